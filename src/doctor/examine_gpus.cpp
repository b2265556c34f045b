#include "doctor/report.h"

namespace mica::doctor {
namespace {

using gpu::GpuFacts;

std::string number(const std::optional<int64_t>& value) {
  return value ? fmt::format("{}", *value) : "?";
}

std::string mebibytes(int64_t mib) {
  return gibibytes(static_cast<uint64_t>(mib) << 20);
}

Line driver_line(const MachineFacts& facts) {
  const gpu::GpuProbe& probe = facts.gpu;
  const std::string version = probe.driver_version();
  if (version.empty() && !probe.cuda.library.found)
    return {"driver", Level::kOk, "no NVIDIA driver"};
  std::string text = "NVIDIA " + (version.empty() ? std::string("of unknown version") : version);
  if (probe.host.module_open) text += " (open kernel module)";
  if (probe.cuda.driver_version)
    text += ", up to CUDA " + gpu::version_text(*probe.cuda.driver_version);
  if (!probe.cuda.library.found) text += ", without libcuda.so.1";
  const bool silent = probe.nvml.hung || probe.smi.hung;
  if (!silent) return {"driver", Level::kOk, text};
  return {
      "driver", Level::kWarning,
      text + fmt::format("; {} did not answer in time", probe.nvml.hung ? "NVML" : "nvidia-smi"),
      "Without the persistence daemon GPUs take seconds to wake; else see the kernel's log",
      "sudo nvidia-smi -pm 1"};
}

Line device_line(const MachineFacts& facts, const gpu::Finding& finding) {
  Line line{"device", Level::kOk, finding.reason, finding.remedy, finding.command};
  if (finding.code == gpu::FindingCode::kUsable) {
    if (!facts.build.cuda) line.found += ", for programs built with CUDA";
    return line;
  }
  if (facts.build.cuda)
    line.level = Level::kFault;
  else
    line.level = finding.code == gpu::FindingCode::kNoGpu ? Level::kNote : Level::kWarning;
  return line;
}

Line gpu_line(const MachineFacts& facts, const GpuFacts& gpu, const std::string& id) {
  if (!gpu.failure.empty())
    return {id, facts.build.cuda ? Level::kFault : Level::kWarning,
            "does not answer: " + gpu.failure,
            "See what the kernel logged about it, then restart the machine",
            "sudo dmesg | grep -i xid"};
  Line line{id, Level::kOk, gpu.name.empty() ? "unknown" : gpu.name};
  if (gpu.capability)
    line.found += ", compute capability " + gpu::capability_text(static_cast<int>(*gpu.capability));
  if (!gpu.ecc.empty()) line.found += gpu.ecc == "Enabled" ? ", ECC on" : ", ECC off";
  if (gpu.mig == "Enabled")
    line.found += fmt::format(", MIG on, {} instances", gpu.mig_uuids.size());
  if (gpu.mig == "Disabled") line.found += ", MIG off";
  const bool known = gpu.capability && !facts.build.architectures.empty();
  if (!known || gpu::runs_on(facts.build, static_cast<int>(*gpu.capability))) return line;
  line.level = Level::kWarning;
  line.found += "; this build has no code for it";
  if (*gpu.capability < 80) return line;  // nothing to be done
  line.remedy = "Build Mica for it";
  line.command = fmt::format("cmake --preset release -DMICA_CUDA_ARCHITECTURES={}{}-real",
                             *gpu.capability, *gpu.capability >= 90 ? "a" : "");
  return line;
}

void memory_line(const GpuFacts& gpu, const std::string& id, std::vector<Line>& lines) {
  if (!gpu.memory_total) return;
  if (!gpu.memory_used) {
    lines.push_back({id + ".memory", Level::kOk, mebibytes(*gpu.memory_total)});
    return;
  }
  const int64_t free = *gpu.memory_total - *gpu.memory_used;
  Line line{id + ".memory", Level::kOk,
            fmt::format("{} free of {}", mebibytes(free), mebibytes(*gpu.memory_total))};
  for (size_t i = 0; i < gpu.processes.size(); ++i) {
    const gpu::GpuProcess& process = gpu.processes[i];
    line.found += fmt::format("{}{} (pid {})", i == 0 ? "; used by " : ", ",
                              process.name.empty() ? "a process" : process.name, process.pid);
    if (process.memory) line.found += " " + mebibytes(*process.memory);
  }
  if (free * 2 < *gpu.memory_total) {
    line.level = Level::kWarning;
    line.remedy = "Less than half is free: end what holds it, or take another GPU";
    line.command = "nvidia-smi";
  }
  lines.push_back(line);
}

void link_line(const GpuFacts& gpu, const std::string& id, std::vector<Line>& lines) {
  if (!gpu.link_width && !gpu.link_generation) return;
  Line line{id + ".link", Level::kOk,
            fmt::format("PCIe {} x{}, at most {} x{}", number(gpu.link_generation),
                        number(gpu.link_width), number(gpu.link_generation_max),
                        number(gpu.link_width_max))};
  if (gpu.link_generation && gpu.link_generation_max &&
      *gpu.link_generation < *gpu.link_generation_max)
    line.found += " (an idle GPU lowers the generation)";
  if (gpu.link_width && gpu.link_width_max && *gpu.link_width < *gpu.link_width_max) {
    line.level = Level::kWarning;
    line.remedy =
        "Loading and GPU-to-GPU copies take longer: check slot, riser and the slot's lanes in the "
        "firmware";
    line.command = "sudo lspci -vv | grep -E 'NVIDIA|LnkSta:'";
  }
  lines.push_back(line);
}

void clocks_line(const GpuFacts& gpu, const std::string& id, std::vector<Line>& lines) {
  if (!gpu.sm_clock && !gpu.temperature && !gpu.slowdown) return;
  Line line{id + ".clocks", Level::kOk,
            fmt::format("SM {} of {} MHz, memory {} of {} MHz", number(gpu.sm_clock),
                        number(gpu.sm_clock_max), number(gpu.memory_clock),
                        number(gpu.memory_clock_max))};
  if (gpu.temperature) line.found += fmt::format(", {} C", *gpu.temperature);
  if (gpu.slowdown) line.found += "; held back by: " + gpu::slowdown_text(*gpu.slowdown);
  for (const gpu::SlowdownReason& reason : gpu::kSlowdownReasons)
    if (reason.harmful && (gpu.slowdown.value_or(0) & reason.bit)) line.level = Level::kWarning;
  if (line.level == Level::kWarning) {
    line.remedy = "Check cooling and power supply";
    line.command = "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER";
  }
  lines.push_back(line);
}

void power_line(const GpuFacts& gpu, const std::string& id, std::vector<Line>& lines) {
  if (!gpu.power_limit) return;
  Line line{id + ".power", Level::kOk, fmt::format("limit {:.0f} W", *gpu.power_limit)};
  if (gpu.power) line.found = fmt::format("{:.0f} W, ", *gpu.power) + line.found;
  if (gpu.power_limit_default && *gpu.power_limit + 0.5 < *gpu.power_limit_default) {
    line.level = Level::kNote;
    line.found += fmt::format(", by default {:.0f} W", *gpu.power_limit_default);
    line.remedy = "Prefill is slower under a lower limit";
    line.command =
        fmt::format("sudo nvidia-smi -i {} -pl {:.0f}", gpu.index, *gpu.power_limit_default);
  }
  lines.push_back(line);
}

// "0000:01:00" of a log line is "00000000:01:00.0" of NVML.
bool same_place(const GpuFacts& gpu, const std::string& address) {
  return !address.empty() && gpu.bus.find(address) != std::string::npos;
}

// Faults of the hardware that the driver counted or logged.
void errors_line(const MachineFacts& facts, const GpuFacts& gpu, const std::string& id,
                 std::vector<Line>& lines) {
  std::string text;
  if (gpu.ecc_errors.value_or(0) > 0)
    text = fmt::format("{} memory errors beyond ECC since the start", *gpu.ecc_errors);
  for (const gpu::Xid& xid : facts.gpu.host.xids) {
    // Xids of a program's own faults, not the GPU's: 13, 31, 32, 43, 45, 69 (XID catalog).
    const bool own = xid.number == 13 || xid.number == 31 || xid.number == 32 || xid.number == 43 ||
                     xid.number == 45 || xid.number == 69;
    if (own || !same_place(gpu, xid.address)) continue;
    const std::string word = fmt::format("Xid {}", xid.number);
    if (text.find(word) == std::string::npos) text += (text.empty() ? "" : ", ") + word;
  }
  if (text.empty()) return;
  lines.push_back({id + ".errors", Level::kWarning, text,
                   "Reset the GPU when nothing runs on it; replace it if they come back",
                   fmt::format("sudo nvidia-smi --gpu-reset -i {}", gpu.index)});
}

void persistence_line(const MachineFacts& facts, const GpuFacts& gpu, const std::string& id,
                      std::vector<Line>& lines) {
  if (gpu.persistence != "Disabled" || facts.gpu.host.wsl) return;
  lines.push_back({id + ".persistence", Level::kNote, "off",
                   "Mica starts up to seconds later when no other program keeps the GPU awake",
                   fmt::format("sudo nvidia-smi -i {} -pm 1", gpu.index)});
}

void topology_line(const MachineFacts& facts, std::vector<Line>& lines) {
  const TopologyFacts& topology = facts.topology;
  std::string links, peers;
  bool all = true;
  for (size_t i = 0; i < topology.names.size(); ++i)
    for (size_t j = i + 1; j < topology.names.size(); ++j) {
      const std::string pair = fmt::format("{}-{} ", i, j);
      if (i < topology.links.size())
        links += (links.empty() ? "" : ", ") + pair + topology.links[i][j];
      if (i >= topology.peers.size()) continue;
      const std::string& peer = topology.peers[i][j];
      all &= peer == "OK";
      if (peer != "OK") peers += (peers.empty() ? "" : ", ") + pair + peer;
    }
  if (links.empty() && topology.peers.empty()) return;
  Line line{"topology", Level::kOk, links.empty() ? "links not known" : links};
  if (topology.peers.empty())
    line.found += "; peer access not known";
  else
    line.found += all ? "; peer access between all" : "; no peer access: " + peers;
  if (!all) {
    line.level = Level::kNote;
    line.remedy = "Copies between these GPUs go through the CPU's memory";
    line.command = "nvidia-smi topo -p2p r";
  }
  lines.push_back(line);
}

}  // namespace

void examine_gpus(const MachineFacts& facts, std::vector<Line>& lines) {
  lines.push_back(driver_line(facts));
  lines.push_back(device_line(facts, gpu::diagnose(facts.gpu, facts.build)));
  for (const GpuFacts& gpu : facts.gpu.gpus) {
    const std::string id = fmt::format("gpu{}", gpu.index);
    lines.push_back(gpu_line(facts, gpu, id));
    memory_line(gpu, id, lines);
    link_line(gpu, id, lines);
    clocks_line(gpu, id, lines);
    power_line(gpu, id, lines);
    errors_line(facts, gpu, id, lines);
    persistence_line(facts, gpu, id, lines);
  }
  topology_line(facts, lines);
}

}  // namespace mica::doctor
