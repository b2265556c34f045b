// What the GPUs did during a run: a mark that tells whether the engine ran there, which of them it
// used, a summary of each, energy and telemetry.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "bench/launch/launcher.h"
#include "bench/results/store.h"

namespace mica {

// What the plan says of them.
struct GpuPlan {
  std::vector<int> gpus;   // indices that the engine was given; empty = not known
  uint64_t estimated = 0;  // bytes by the memory's estimate; 0 = there is none
  double reserved = 0;     // share of the memory that the backend takes whatever it needs; 0 = none
};

// A measured load; times by steady_seconds().
struct GpuSpan {
  std::vector<GpuSample> samples;  // of the whole launch
  std::string source;
  GpuVerdict verdict;
  double epoch = 0, begin = 0, end = 0;  // epoch: zero of the run's clock
};

// [begin, end]: seconds since `epoch`.
void add_gpu_report(RunWriter& writer, RunningEngine& engine, const GpuPlan& plan,
                    std::chrono::steady_clock::time_point epoch, double begin, double end);
void add_gpu_report(RunWriter& writer, const GpuSpan& span, const GpuPlan& plan);

}  // namespace mica
