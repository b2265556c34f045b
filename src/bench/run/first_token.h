// The last step of readiness: one true generation, streamed, of one token.
#pragma once

#include <chrono>
#include <stop_token>

#include "bench/client/record.h"
#include "bench/plan/plan.h"

namespace mica {

// As FirstToken of launcher.h wants it. `key`: bearer token, or empty.
RequestSample ask_first_token(const LaunchPlan& plan, const std::string& key,
                              std::chrono::seconds deadline, const std::stop_token& stop);

}  // namespace mica
