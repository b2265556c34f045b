// The emulated device: gpu::Device over host memory, whose kernels run as fibers.
#pragma once

#include <memory>

#include "ops/cuda/runtime.h"
#include "ops/simt/schedule.h"

namespace mica::simt {

struct DeviceOptions {
  Schedule schedule;
  // Work runs when it is enqueued, when it must be done, or either by the schedule's seed.
  enum class When { kAtOnce, kAtWait, kBySeed } when = When::kBySeed;
  size_t memory_bytes = size_t{4} << 30;
  size_t shared_bytes = 99 * 1024;  // what a block has on 8.6, 8.9 and 12.0
  bool must_wait = false;           // a block without grid_dependency_wait is an error
};

std::unique_ptr<gpu::Device> make_device(const DeviceOptions& options = {});

}  // namespace mica::simt
