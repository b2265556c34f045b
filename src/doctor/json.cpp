#include <algorithm>
#include <nlohmann/json.hpp>

#include "doctor/report.h"

namespace mica::doctor {
namespace {

using nlohmann::ordered_json;

// null for what is not known.
template <typename Value>
ordered_json maybe(const std::optional<Value>& value) {
  return value ? ordered_json(*value) : ordered_json();
}
ordered_json maybe(const std::string& value) {
  return value.empty() ? ordered_json() : ordered_json(value);
}

ordered_json build_json(const gpu::GpuBuild& build) {
  return {{"cuda", build.cuda},
          {"cuda_version", maybe(build.cuda ? gpu::version_text(build.runtime) : "")},
          {"architectures", build.architectures}};
}

ordered_json host_json(const MachineFacts& facts) {
  const gpu::HostFacts& host = facts.gpu.host;
  return {{"kernel", facts.kernel},
          {"system", maybe(host.system)},
          {"container", maybe(host.container)},
          {"wsl", host.wsl},
          {"cpu", facts.cpu.name},
          {"cpus", facts.cpu.cpus},
          {"threads", facts.cpu.threads},
          {"isa", facts.cpu.isa},
          {"memory_bytes", facts.memory.total},
          {"memory_available_bytes", facts.memory.available},
          {"memory_limit_bytes",
           facts.memory.limit ? ordered_json(facts.memory.limit) : ordered_json()},
          {"shared_memory_bytes", facts.limits.shared_memory},
          {"open_files", facts.limits.open_files},
          {"huge_pages", maybe(facts.limits.huge_pages)}};
}

ordered_json driver_json(const gpu::GpuProbe& probe) {
  const gpu::CudaFacts& cuda = probe.cuda;
  ordered_json nodes = ordered_json::array();
  for (const gpu::DeviceNode& node : probe.host.nodes)
    nodes.push_back({{"path", node.path}, {"exists", node.exists}, {"errno", node.error}});
  const bool returned = cuda.init_call == gpu::CallState::kReturned;
  return {
      {"version", maybe(probe.driver_version())},
      {"cuda_version", maybe(cuda.driver_version ? gpu::version_text(*cuda.driver_version) : "")},
      {"library", maybe(cuda.library.path)},
      {"module", maybe(probe.host.module)},
      {"cu_init", returned ? ordered_json(cuda.init_status) : ordered_json()},
      {"device_count", maybe(cuda.device_count)},
      {"nvml", probe.nvml.library.found},
      {"nvidia_smi", maybe(probe.smi.path)},
      {"cuda_visible_devices", maybe(probe.cuda_visible_devices)},
      {"nodes", nodes}};
}

ordered_json gpu_json(const gpu::GpuFacts& gpu) {
  ordered_json processes = ordered_json::array();
  for (const gpu::GpuProcess& process : gpu.processes)
    processes.push_back({{"pid", process.pid},
                         {"name", maybe(process.name)},
                         {"memory_mib", maybe(process.memory)}});
  const auto capability =
      gpu.capability ? gpu::capability_text(static_cast<int>(*gpu.capability)) : std::string();
  return {{"index", gpu.index},
          {"name", maybe(gpu.name)},
          {"uuid", maybe(gpu.uuid)},
          {"bus", maybe(gpu.bus)},
          {"compute_capability", maybe(capability)},
          {"memory_mib", maybe(gpu.memory_total)},
          {"memory_used_mib", maybe(gpu.memory_used)},
          {"mig", maybe(gpu.mig)},
          {"mig_instances", gpu.mig_uuids},
          {"ecc", maybe(gpu.ecc)},
          {"ecc_errors", maybe(gpu.ecc_errors)},
          {"link_generation", maybe(gpu.link_generation)},
          {"link_generation_max", maybe(gpu.link_generation_max)},
          {"link_width", maybe(gpu.link_width)},
          {"link_width_max", maybe(gpu.link_width_max)},
          {"sm_clock_mhz", maybe(gpu.sm_clock)},
          {"sm_clock_max_mhz", maybe(gpu.sm_clock_max)},
          {"memory_clock_mhz", maybe(gpu.memory_clock)},
          {"memory_clock_max_mhz", maybe(gpu.memory_clock_max)},
          {"held_back_by", maybe(gpu.slowdown ? gpu::slowdown_text(*gpu.slowdown) : "")},
          {"temperature_c", maybe(gpu.temperature)},
          {"power_w", maybe(gpu.power)},
          {"power_limit_w", maybe(gpu.power_limit)},
          {"power_limit_default_w", maybe(gpu.power_limit_default)},
          {"compute_mode", maybe(gpu.compute_mode)},
          {"persistence", maybe(gpu.persistence)},
          {"processes", processes},
          {"failure", maybe(gpu.failure)}};
}

ordered_json tools_json(const ToolFacts& tools) {
  return {{"nvcc", maybe(tools.nvcc)},
          {"nvcc_version", maybe(tools.nvcc_version)},
          {"docker", maybe(tools.docker)},
          {"docker_version", maybe(tools.docker_version)},
          {"docker_gpus", tools.nvidia_runtime}};
}

ordered_json ports_json(const std::vector<PortFacts>& ports) {
  ordered_json out = ordered_json::array();
  for (const PortFacts& port : ports)
    out.push_back({{"port", port.number},
                   {"container", maybe(port.container)},
                   {"holder", maybe(port.holder)}});
  return out;
}

ordered_json disk_json(const DiskFacts& disk) {
  return {{"folder", disk.folder.string()},
          {"type", maybe(disk.type)},
          {"bytes", disk.total},
          {"free_bytes", disk.free},
          {"read_bytes_per_second",
           disk.bytes_per_second > 0 ? ordered_json(disk.bytes_per_second) : ordered_json()}};
}

ordered_json cache_json(const CacheFacts& cache) {
  ordered_json models = ordered_json::array();
  for (const hub::CachedModel& model : cache.models)
    models.push_back({{"repo", model.repo},
                      {"bytes", model.bytes},
                      {"unfinished", model.unfinished},
                      {"unfinished_bytes", model.unfinished_bytes}});
  return {{"folder", cache.folder.string()},
          {"exists", cache.exists},
          {"writable", cache.writable},
          {"models", models}};
}

ordered_json line_json(const Line& line) {
  return {{"id", line.id},
          {"level", name(line.level)},
          {"found", line.found},
          {"remedy", maybe(line.remedy)},
          {"command", maybe(line.command)}};
}

}  // namespace

std::string to_json(const MachineFacts& facts, const Report& report) {
  Level worst = Level::kOk;
  ordered_json lines = ordered_json::array(), gpus = ordered_json::array();
  for (const Line& line : report.lines) {
    worst = std::max(worst, line.level);
    lines.push_back(line_json(line));
  }
  for (const gpu::GpuFacts& gpu : facts.gpu.gpus) gpus.push_back(gpu_json(gpu));
  const ordered_json out = {{"version", facts.version},
                            {"status", name(worst)},
                            {"exit_status", exit_status(report)},
                            {"build", build_json(facts.build)},
                            {"host", host_json(facts)},
                            {"device",
                             {{"code", gpu::name(report.device.code)},
                              {"reason", report.device.reason},
                              {"remedy", maybe(report.device.remedy)},
                              {"command", maybe(report.device.command)}}},
                            {"driver", driver_json(facts.gpu)},
                            {"gpus", gpus},
                            {"topology",
                             {{"names", facts.topology.names},
                              {"links", facts.topology.links},
                              {"peers", facts.topology.peers}}},
                            {"tools", tools_json(facts.tools)},
                            {"ports", ports_json(facts.ports)},
                            {"disk", disk_json(facts.disk)},
                            {"cache", cache_json(facts.cache)},
                            {"lines", lines}};
  // Names from outside may not be UTF-8.
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace mica::doctor
