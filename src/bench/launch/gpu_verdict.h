// Does the engine run where it should? Told from samples, with the evidence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/launch/gpu_samples.h"

namespace mica {

// MiB. A CUDA context alone takes 0.25 to 0.6 GiB; less than this is none.
inline constexpr int64_t kUsedGpuMib = 200;

enum class GpuVerdictKind {
  kOnGpu,
  kNoGpuExpected,  // a run on the CPU
  kCannotTell,     // no NVML and no nvidia-smi, or nothing was sampled
  kNotOnGpu,
  kOneGpuIdle,      // several are wanted and not all are used
  kPartialOffload,  // part of the weights is in the host's memory
  kCompiling,
  kWaiting,  // neither GPU nor CPU works, or GPUs spin
  kDead,
};
const char* name(GpuVerdictKind kind);  // "on_gpu", "no_gpu_expected", …

struct GpuExpectation {
  int gpus = -1;  // how many it should use; 0: none; -1: at least one where there are GPUs
  int64_t weight_mib = -1;  // of all weights; -1: not known
};

// What else is known of the engine in the span.
struct EngineActivity {
  bool dead = false;
  std::string end;             // "exit status 1"
  bool generated = false;      // a token came
  bool compile_lines = false;  // its log speaks of compiling in the span
  double silence = 0;          // seconds without a line of the log
  std::string last_line;
};

struct GpuVerdict {
  GpuVerdictKind kind = GpuVerdictKind::kCannotTell;
  std::string summary;                // one sentence
  std::vector<std::string> evidence;  // a figure a line
  bool good() const {
    return kind == GpuVerdictKind::kOnGpu || kind == GpuVerdictKind::kNoGpuExpected;
  }
};
std::string describe(const GpuVerdict& verdict);

// `baseline`: before the engine began, for where its processes can't be told from others.
GpuVerdict judge_gpu_use(const std::vector<GpuSample>& span,
                         const std::optional<GpuSample>& baseline,
                         const GpuExpectation& expectation, const EngineActivity& activity);

}  // namespace mica
