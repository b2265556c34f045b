// The orders in which tests run a kernel's threads and blocks.
#pragma once

#include <vector>

#include "ops/simt/schedule.h"
#include "test_devices.h"

namespace mica::simt {

inline std::vector<Schedule> all_schedules(int seeds = 6) {
  if (tests_a_gpu()) return {{}, {}};  // it has an order of its own: the same bits twice
  std::vector<Schedule> result = {{.order = Order::kForward}, {.order = Order::kReverse}};
  for (int seed = 0; seed < seeds; ++seed)
    result.push_back({.order = Order::kRandom, .seed = static_cast<uint64_t>(seed)});
  return result;
}

}  // namespace mica::simt
