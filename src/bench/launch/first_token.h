// The request by which an engine proves that it generates.
#pragma once

#include <string>

#include "bench/launch/launcher.h"

namespace mica {

// Through the measuring client. `key`: a bearer token, or empty.
FirstToken client_first_token(const std::string& key = "");

}  // namespace mica
