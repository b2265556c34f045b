#include "ops/cuda/probe/probe.h"

#include <cstdlib>
#include <fstream>

#include "ops/cuda/probe/parts.h"

namespace mica::gpu {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

// A copy of the library in a folder where drivers are put, when the loader found none.
std::string find_elsewhere(const fs::path& root, const std::string& name) {
  constexpr const char* kFolders[] = {
      "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64",
      "usr/lib/wsl/lib",          "usr/local/nvidia/lib64",    "usr/local/nvidia/lib",
      "run/opengl-driver/lib",    "usr/lib64/nvidia",          "usr/lib/nvidia",
  };
  for (const char* folder : kFolders) {
    std::error_code ignored;
    if (!name.empty() && fs::exists(root / folder / fs::path(name).filename(), ignored))
      return (fs::path("/") / folder / fs::path(name).filename()).string();
  }
  return "";
}

// Names of the processes, as far as this process sees them.
void name_processes(const fs::path& root, GpuProbe& probe) {
  for (GpuFacts& gpu : probe.gpus)
    for (GpuProcess& process : gpu.processes)
      if (process.name.empty())
        process.name = trim(read_start(root / "proc" / std::to_string(process.pid) / "comm", 256));
}

}  // namespace

std::string read_start(const fs::path& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string text(max_bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(max_bytes));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  return text;
}

std::string next_part(std::string_view& line, char separator) {
  const size_t end = std::min(line.find(separator), line.size());
  std::string part(line.substr(0, end));
  line.remove_prefix(std::min(end + 1, line.size()));
  return part;
}

std::string_view next_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string trim(std::string_view text) {
  const char* blank = " \t\r\n";
  const size_t begin = text.find_first_not_of(blank);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(blank) - begin + 1));
}

std::string GpuProbe::driver_version() const {
  if (!nvml.driver.empty()) return nvml.driver;
  if (!host.module.empty()) return host.module;
  return gpus.empty() ? "" : gpus[0].driver;
}

GpuProbe probe_gpus(const ProbePaths& asked) {
  ProbePaths paths = asked;
  if (!paths.variable) paths.variable = environment;
  if (!paths.programs)
    paths.programs = environment("PATH").value_or("") + ":/usr/bin:/usr/local/bin:/usr/lib/wsl/lib";
  GpuProbe probe;
  probe.cuda_visible_devices = paths.variable("CUDA_VISIBLE_DEVICES");
  probe.nvidia_visible_devices = paths.variable("NVIDIA_VISIBLE_DEVICES");
  probe.host = read_host(paths);
  ChildProcess cuda = start_cuda(paths, probe.host.nodes);
  ChildProcess nvml = start_nvml(paths);
  read_nvml(nvml.finish(), probe);
  probe.smi.path = find_program("nvidia-smi", *paths.programs).string();
  // Where NVML hangs, nvidia-smi, which is made of it, does too.
  if (probe.gpus.empty() && !probe.nvml.hung) ask_smi(paths, probe);
  read_cuda(cuda.finish(), probe);
  if (probe.gpus.empty()) probe.gpus = probe.cuda.devices;
  if (!probe.cuda.library.found)
    probe.cuda.library.elsewhere = find_elsewhere(paths.root, paths.cuda_library);
  name_processes(paths.root, probe);
  return probe;
}

}  // namespace mica::gpu
