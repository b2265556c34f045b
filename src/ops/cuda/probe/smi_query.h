// Questions to nvidia-smi.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "ops/cuda/probe/facts.h"

namespace mica::gpu {

// All runs of one object share one limit.
class Smi {
 public:
  Smi(std::string path, double seconds);
  ProcessResult run(const std::vector<std::string>& arguments);

 private:
  using Clock = std::chrono::steady_clock;
  std::string path_;
  Clock::time_point end_;
};

// A line of its CSV, blanks around the values removed.
std::vector<std::string> split_values(std::string_view line, char separator = ',');

// A line for each GPU with these fields; those that this version of nvidia-smi does not know leave
// `fields`.
ProcessResult query_gpus(Smi& smi, std::vector<std::string>& fields);

struct SmiProcess {
  std::string uuid;  // of the GPU
  GpuProcess process;
};
std::vector<SmiProcess> query_processes(Smi& smi);

}  // namespace mica::gpu
