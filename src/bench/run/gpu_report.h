// What the GPUs did during a run: a mark that tells whether the engine ran there, and telemetry.
#pragma once

#include <chrono>

#include "bench/launch/launcher.h"
#include "bench/results/store.h"

namespace mica {

// [begin, end]: seconds since `epoch`.
void add_gpu_report(RunWriter& writer, RunningEngine& engine,
                    std::chrono::steady_clock::time_point epoch, double begin, double end);

}  // namespace mica
