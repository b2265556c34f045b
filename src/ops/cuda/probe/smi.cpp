// nvidia-smi, the second source, for where NVML could not be opened.
#include "ops/cuda/probe/parts.h"
#include "ops/cuda/probe/smi_query.h"

namespace mica::gpu {
namespace {

void read_processes(Smi& smi, GpuProbe& probe) {
  for (const SmiProcess& found : query_processes(smi))
    for (GpuFacts& gpu : probe.gpus)
      if (gpu.uuid == found.uuid) gpu.processes.push_back(found.process);
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
    const std::vector<std::string> values = split_values(line);
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
