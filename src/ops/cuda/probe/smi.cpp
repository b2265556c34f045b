// nvidia-smi, the second source, for where NVML could not be opened.
#include <cstdlib>
#include <utility>

#include "ops/cuda/probe/parts.h"

namespace mica::gpu {
namespace {

using Clock = std::chrono::steady_clock;

// All runs share one limit.
class Smi {
 public:
  Smi(std::string path, double seconds)
      : path_(std::move(path)),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  ProcessResult run(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {path_};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const double left = std::chrono::duration<double>(end_ - Clock::now()).count();
    return ChildProcess::program(argv, left > 0 ? left : 0).finish();
  }

 private:
  std::string path_;
  Clock::time_point end_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::vector<std::string> split(std::string_view line, char separator) {
  std::vector<std::string> parts;
  while (!line.empty()) parts.push_back(trim(next_part(line, separator)));
  return parts;
}

// The name in: Field "compute_cap" is not a valid field to query.
std::string refused_field(const std::string& output) {
  const std::string before = "Field \"", after = "\" is not a valid field";
  const size_t begin = output.find(before), end = output.find(after);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return "";
  return output.substr(begin + before.size(), end - begin - before.size());
}

// Asks for all fields; without those that this version of nvidia-smi does not know.
ProcessResult query_gpus(Smi& smi, std::vector<std::string>& fields) {
  constexpr int kRuns = 6;
  ProcessResult result;
  for (int i = 0; i < kRuns; ++i) {
    result = smi.run({"--query-gpu=" + joined(fields), "--format=csv,noheader,nounits"});
    const std::string refused = refused_field(result.output);
    if (refused.empty() || std::erase(fields, refused) == 0) break;
  }
  return result;
}

void read_processes(Smi& smi, GpuProbe& probe) {
  const ProcessResult result = smi.run(
      {"--query-compute-apps=gpu_uuid,pid,used_memory,name", "--format=csv,noheader,nounits"});
  std::string_view rest = result.output;
  while (result.ok() && !rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string uuid = trim(next_part(line, ','));
    GpuProcess process;
    process.pid = std::atoi(trim(next_part(line, ',')).c_str());
    const std::string memory = trim(next_part(line, ','));
    if (!memory.empty() && memory[0] != '[') process.memory = std::atoi(memory.c_str());
    process.name = trim(line);
    if (process.name.starts_with("[")) process.name.clear();  // "[Not Found]": not in sight
    for (GpuFacts& gpu : probe.gpus)
      if (gpu.uuid == uuid && process.pid > 0) gpu.processes.push_back(process);
  }
}

// Of nvidia-smi -L: "GPU 0: … (UUID: GPU-…)" and below it "  MIG 1g.10gb  Device 0: (UUID: MIG-…)".
void read_instances(Smi& smi, GpuProbe& probe) {
  const ProcessResult result = smi.run({"-L"});
  std::string_view rest = result.output;
  GpuFacts* gpu = nullptr;
  while (result.ok() && !rest.empty()) {
    const std::string line(next_line(rest));
    const size_t begin = line.find("UUID: "), end = line.rfind(')');
    if (begin == std::string::npos || end == std::string::npos || end < begin + 6) continue;
    const std::string uuid = line.substr(begin + 6, end - begin - 6);
    if (gpu && uuid.starts_with("MIG-")) gpu->mig_uuids.push_back(uuid);
    for (GpuFacts& known : probe.gpus)
      if (known.uuid == uuid) gpu = &known;
  }
}

}  // namespace

void ask_smi(const ProbePaths& paths, GpuProbe& probe) {
  if (probe.smi.path.empty()) return;
  Smi smi(probe.smi.path, paths.smi_seconds);
  std::vector<std::string> fields = gpu_field_names();
  const ProcessResult result = query_gpus(smi, fields);
  probe.smi.ran = result.started;
  probe.smi.hung = result.timed_out;
  probe.smi.status = result.status;
  std::string_view rest = result.output;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    const std::vector<std::string> values = split(line, ',');
    if (values.size() != fields.size()) {
      if (probe.smi.error.empty()) probe.smi.error = trim(line);
      continue;
    }
    GpuFacts& gpu = probe.gpus.emplace_back();
    for (size_t i = 0; i < fields.size(); ++i) set_gpu_field(gpu, fields[i], values[i]);
  }
  if (probe.gpus.empty()) return;
  read_processes(smi, probe);
  bool mig = false;
  for (const GpuFacts& gpu : probe.gpus) mig |= gpu.mig == "Enabled";
  if (mig) read_instances(smi, probe);
}

}  // namespace mica::gpu
