// The parts of probe_gpus().
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "ops/cuda/probe/probe.h"

namespace mica::gpu {

// Files: everything of HostFacts but the nodes' errors.
HostFacts read_host(const ProbePaths& paths);

// Children that open the libraries. What they tell is one line a fact, fields separated by tabs.
ChildProcess start_cuda(const ProbePaths& paths, const std::vector<DeviceNode>& nodes);
void read_cuda(ProcessResult result, GpuProbe& probe);
ChildProcess start_nvml(const ProbePaths& paths);
void read_nvml(ProcessResult result, GpuProbe& probe);

// Runs nvidia-smi.
void ask_smi(const ProbePaths& paths, GpuProbe& probe);

// The first lines of a small file, or "".
std::string read_start(const std::filesystem::path& path, size_t max_bytes = 65536);
// The part of a tab-separated line up to the next tab, which goes away with it.
std::string next_part(std::string_view& line, char separator = '\t');
std::string_view next_line(std::string_view& text);
std::string trim(std::string_view text);

}  // namespace mica::gpu
