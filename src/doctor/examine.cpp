#include <algorithm>

#include "doctor/report.h"

namespace mica::doctor {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

std::string plural(size_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

bool shows_gpu(const gpu::GpuProbe& probe) {
  return !probe.gpus.empty() || !probe.host.pci_gpus.empty() || !probe.host.module.empty();
}

Line build_line(const MachineFacts& facts) {
  if (facts.build.cuda) {
    std::string names;
    for (const std::string& name : facts.build.architectures) names += " " + name;
    return {"build", Level::kOk,
            fmt::format("CUDA {}, code for{}", gpu::version_text(facts.build.runtime), names)};
  }
  if (!shows_gpu(facts.gpu)) return {"build", Level::kOk, "CPU only"};
  const gpu::Finding finding = gpu::no_cuda_build(facts.gpu);
  return {"build", Level::kWarning, "CPU only, on a machine with an NVIDIA GPU", finding.remedy,
          finding.command};
}

Line system_line(const MachineFacts& facts) {
  const gpu::HostFacts& host = facts.gpu.host;
  std::string text = "Linux " + facts.kernel;
  if (!host.system.empty()) text += ", " + host.system;
  if (host.wsl) text += ", WSL";
  if (!host.container.empty()) text += fmt::format(", in a container ({})", host.container);
  return {"system", Level::kOk, text};
}

Line cpu_line(const CpuFacts& cpu) {
  return {"cpu", Level::kOk,
          fmt::format("{}, {} of {}, instruction set {}", cpu.name, plural(cpu.threads, "thread"),
                      plural(cpu.cpus, "CPU"), cpu.isa)};
}

Line memory_line(const MemoryFacts& memory) {
  uint64_t total = memory.total, available = memory.available;
  std::string of = "";
  if (memory.limit > 0) {
    total = memory.limit;
    available = std::min(available, memory.limit - std::min(memory.limit, memory.used_of_limit));
    of = " (limit of the control group)";
  }
  Line line{"memory", Level::kOk,
            fmt::format("{} free of {}{}", gibibytes(available), gibibytes(total), of)};
  if (total == 0) return {"memory", Level::kNote, "not known"};
  if (available >= 2 * kGiB) return line;
  line.level = Level::kWarning;
  line.remedy = "Little room for weights on the CPU: end other programs";
  line.command = "ps aux --sort=-rss | head";
  return line;
}

Line shared_memory_line(const MachineFacts& facts) {
  const LimitFacts& limits = facts.limits;
  if (limits.shared_memory == 0) return {"shared_memory", Level::kNote, "no /dev/shm"};
  Line line{"shared_memory", Level::kOk,
            fmt::format("{} free of {} (/dev/shm)", gibibytes(limits.shared_memory_free),
                        gibibytes(limits.shared_memory))};
  // What several processes with GPUs use to talk; Docker gives 64 MiB.
  if (facts.gpu.gpus.size() < 2 || limits.shared_memory_free >= kGiB) return line;
  line.level = Level::kWarning;
  line.remedy = "Several GPUs may need more to talk to each other";
  line.command = facts.gpu.host.container.empty() ? "sudo mount -o remount,size=8G /dev/shm"
                                                  : "docker run --shm-size=8g …";
  return line;
}

Line open_files_line(const LimitFacts& limits) {
  constexpr uint64_t kEnough = 4096;  // the server takes 8192 connections
  const bool unlimited = limits.open_files > (uint64_t{1} << 40);
  Line line{"open_files", Level::kOk,
            unlimited ? "unlimited" : fmt::format("at most {}", limits.open_files)};
  if (limits.open_files >= kEnough) return line;
  line.level = Level::kNote;
  line.remedy = "Enough for one user; a server with many connections needs more";
  line.command = fmt::format("ulimit -n {}", std::min<uint64_t>(limits.open_files_max, 65536));
  return line;
}

Line huge_pages_line(const LimitFacts& limits) {
  if (limits.huge_pages.empty()) return {"huge_pages", Level::kNote, "not known"};
  Line line{"huge_pages", Level::kOk, "transparent: " + limits.huge_pages};
  if (limits.huge_pages != "never") return line;
  line.level = Level::kWarning;
  line.remedy = "Large weights are read more slowly by the CPU without them";
  line.command = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
  return line;
}

Line toolkit_line(const ToolFacts& tools) {
  if (tools.nvcc.empty()) return {"toolkit", Level::kOk, "no nvcc (needed only to build Mica)"};
  return {"toolkit", Level::kOk, fmt::format("CUDA {}, {}", tools.nvcc_version, tools.nvcc)};
}

Line docker_line(const MachineFacts& facts) {
  const ToolFacts& tools = facts.tools;
  if (!tools.docker_error.empty())
    return {"docker", Level::kNote, "not usable here: " + tools.docker_error};
  Line line{"docker", Level::kOk, fmt::format("{}, containers can", tools.docker_version)};
  line.found += tools.nvidia_runtime ? " have GPUs" : "not have GPUs";
  if (tools.nvidia_runtime || !shows_gpu(facts.gpu)) return line;
  line.level = Level::kWarning;
  line.remedy = "Install nvidia-container-toolkit, then register it and restart Docker";
  line.command = "sudo nvidia-ctk runtime configure --runtime=docker";
  return line;
}

Line ports_line(const std::vector<PortFacts>& ports) {
  Line line{"ports", Level::kOk, ""};
  for (const PortFacts& port : ports) {
    std::string holder = port.holder, command = port.command;
    if (!port.container.empty()) {
      holder = fmt::format("container '{}'", port.container);
      command = "docker stop " + port.container;
    }
    line.found += line.found.empty() ? "" : "; ";
    line.found += fmt::format("{}: {}", port.number, holder.empty() ? "free" : "held by " + holder);
    if (holder.empty()) continue;
    line.level = Level::kNote;
    line.remedy = "Servers there need another port (--port N), or end who holds it";
    if (command.empty()) command = fmt::format("sudo ss -ltnp 'sport = :{}'", port.number);
    line.command += (line.command.empty() ? "" : "; ") + command;
  }
  return line;
}

std::string speed_class(double bytes_per_second) {
  if (bytes_per_second < 250e6) return "slow disk";
  return bytes_per_second < 1e9 ? "SSD" : "fast SSD";
}

bool is_network(const std::string& type) {
  for (const char* name : {"nfs", "cifs", "smb", "9p", "ceph", "lustre", "fuse.sshfs", "gluster",
                           "fuse.s3fs", "fuse.gcsfuse", "beegfs", "gpfs", "afs"})
    if (type.starts_with(name)) return true;
  return false;
}

Line disk_line(const DiskFacts& disk) {
  if (disk.hung)
    return {"disk", Level::kWarning,
            fmt::format("the file system of {} does not answer in time", disk.folder.string()),
            "Put the cache on a local disk", "export HF_HOME=/local/folder"};
  Line line{"disk", Level::kOk,
            fmt::format("{} free of {} ({}) at {}", gigabytes(disk.free), gigabytes(disk.total),
                        disk.type.empty() ? "unknown" : disk.type, disk.folder.string())};
  const bool slow = disk.bytes_per_second > 0 && disk.bytes_per_second < 250e6;
  if (disk.bytes_per_second > 0)
    line.found += fmt::format("; reads {:.2g} GB/s ({})", disk.bytes_per_second / 1e9,
                              speed_class(disk.bytes_per_second));
  else if (is_network(disk.type))
    line.found += "; over the network";
  else
    line.found += "; speed not measured, no model there to read";
  if (disk.free < 10'000'000'000) {
    line.level = Level::kWarning;
    line.remedy = "Little room for models: delete some, or move the cache";
    line.command = "export HF_HOME=/larger/folder";
  } else if (slow || (disk.bytes_per_second == 0 && is_network(disk.type))) {
    line.level = Level::kWarning;
    line.remedy = "Models load slowly from it: move the cache to a local SSD";
    line.command = "export HF_HOME=/fast/folder";
  }
  return line;
}

Line cache_line(const CacheFacts& cache) {
  uint64_t bytes = 0, unfinished_bytes = 0;
  int unfinished = 0;
  std::string first;
  for (const hub::CachedModel& model : cache.models) {
    bytes += model.bytes;
    unfinished += model.unfinished;
    unfinished_bytes += model.unfinished_bytes;
    if (model.unfinished > 0 && first.empty()) first = model.repo;
  }
  Line line{"cache", Level::kOk,
            cache.exists ? fmt::format("{}, {} in {}", plural(cache.models.size(), "model"),
                                       gigabytes(bytes), cache.folder.string())
                         : fmt::format("{} (made by the first download)", cache.folder.string())};
  if (!cache.writable) {
    line.level = Level::kWarning;
    line.found += "; this user may not write there";
    line.remedy = "Downloads need another folder, or permission";
    line.command = "export HF_HOME=$HOME/.cache/huggingface";
  } else if (unfinished > 0) {
    line.level = Level::kNote;
    line.found +=
        fmt::format("; {} of {}", plural(static_cast<size_t>(unfinished), "unfinished download"),
                    gigabytes(unfinished_bytes));
    line.remedy = "A download continues where it stopped";
    line.command = "mica pull " + first;
  }
  return line;
}

}  // namespace

const char* name(Level level) {
  switch (level) {
    case Level::kOk: return "ok";
    case Level::kNote: return "note";
    case Level::kWarning: return "warning";
    case Level::kFault: return "fault";
  }
  return "fault";
}

std::string gibibytes(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGiB);
}

std::string gigabytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes) / 1e9;
  return value >= 1000 ? fmt::format("{:.1f} TB", value / 1000) : fmt::format("{:.1f} GB", value);
}

void examine_host(const MachineFacts& facts, std::vector<Line>& lines) {
  lines.push_back({"mica", Level::kOk, facts.version});
  lines.push_back(build_line(facts));
  lines.push_back(system_line(facts));
  lines.push_back(cpu_line(facts.cpu));
  lines.push_back(memory_line(facts.memory));
}

void examine_storage(const MachineFacts& facts, std::vector<Line>& lines) {
  lines.push_back(toolkit_line(facts.tools));
  if (!facts.tools.docker.empty()) lines.push_back(docker_line(facts));
  if (!facts.ports.empty()) lines.push_back(ports_line(facts.ports));
  lines.push_back(disk_line(facts.disk));
  lines.push_back(cache_line(facts.cache));
  lines.push_back(shared_memory_line(facts));
  lines.push_back(open_files_line(facts.limits));
  lines.push_back(huge_pages_line(facts.limits));
}

Report examine(const MachineFacts& facts) {
  Report report;
  report.device = gpu::diagnose(facts.gpu, facts.build);
  examine_host(facts, report.lines);
  examine_gpus(facts, report.lines);
  examine_storage(facts, report.lines);
  return report;
}

int exit_status(const Report& report) {
  const bool fault = std::any_of(report.lines.begin(), report.lines.end(),
                                 [](const Line& line) { return line.level == Level::kFault; });
  return fault ? mica::exit_status(ErrorKind::kDevice) : 0;
}

}  // namespace mica::doctor
