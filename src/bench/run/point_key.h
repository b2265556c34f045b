// What makes two measurements the same: by it a group that was cut short goes on.
#pragma once

#include <string>

#include "bench/plan/plan.h"
#include "bench/results/run_record.h"
#include "bench/run/point.h"

namespace mica {

// 16 hex digits: equal for the same engine, started or attached to in the same way, with the same
// weights, and the same work sent in the same way. Origins and warnings of a plan don't count.
std::string point_key(const LaunchPlan& plan, const ModelRecord& model, const BenchPoint& point);

}  // namespace mica
