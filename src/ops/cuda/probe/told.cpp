// What the two children told.
#include <link.h>

#include <cstdlib>
#include <utility>

#include "ops/cuda/probe/library.h"

namespace mica::gpu {
namespace {

int to_int(const std::string& text) {
  return std::atoi(text.c_str());
}

CallState call_state(const ProcessResult& result, bool returned, bool called) {
  if (returned) return CallState::kReturned;
  if (!called) return CallState::kNotMade;
  return result.timed_out ? CallState::kHung : CallState::kCrashed;
}

void read_library(std::string_view line, LibraryFacts& library) {
  library.found = next_part(line) == "found";
  (library.found ? library.path : library.error) = std::string(line);
}

GpuFacts& gpu_at(std::vector<GpuFacts>& gpus, int index) {
  for (GpuFacts& gpu : gpus)
    if (gpu.index == index) return gpu;
  gpus.emplace_back().index = index;
  return gpus.back();
}

void read_gpu(std::string_view line, std::vector<GpuFacts>& gpus) {
  GpuFacts& gpu = gpu_at(gpus, to_int(next_part(line)));
  const std::string field = next_part(line);
  if (field == "failure") {
    gpu.failure = std::string(line);
  } else if (field == "instance") {
    gpu.mig_uuids.emplace_back(line);
  } else if (field == "process") {
    GpuProcess process;
    process.pid = to_int(next_part(line));
    if (!line.empty()) process.memory = to_int(std::string(line));
    gpu.processes.push_back(std::move(process));
  } else {
    set_gpu_field(gpu, field, line);
  }
}

}  // namespace

void* open_library(const std::string& name, const Emit& emit) {
  void* library = ::dlopen(name.empty() ? nullptr : name.c_str(), RTLD_NOW);
  if (!library) {
    const char* error = ::dlerror();
    tell(emit, "library", "error", error ? error : "unknown");
    return nullptr;
  }
  link_map* map = nullptr;
  std::string path = name;
  if (::dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name[0]) path = map->l_name;
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(path, failed);
  tell(emit, "library", "found", failed ? path : real.string());
  return library;
}

void read_cuda(ProcessResult result, GpuProbe& probe) {
  CudaFacts& cuda = probe.cuda;
  bool called = false, returned = false;
  std::string_view rest = result.output;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string kind = next_part(line);
    if (kind == "node") {
      const std::string path = next_part(line);
      for (DeviceNode& node : probe.host.nodes)
        if (node.path == path) node.error = to_int(std::string(line));
    } else if (kind == "library") {
      read_library(line, cuda.library);
    } else if (kind == "version") {
      cuda.driver_version = to_int(std::string(line));
    } else if (kind == "call") {
      called = true;
    } else if (kind == "init") {
      returned = true;
      cuda.init_status = to_int(next_part(line));
      cuda.init_error = std::string(line);
    } else if (kind == "count") {
      cuda.device_count = to_int(std::string(line));
    } else if (kind == "device") {
      read_gpu(line, cuda.devices);
    }
  }
  cuda.init_call = call_state(result, returned, called);
}

void read_nvml(ProcessResult result, GpuProbe& probe) {
  NvmlFacts& nvml = probe.nvml;
  bool called = false, returned = false;
  std::string_view rest = result.output;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string kind = next_part(line);
    if (kind == "library") {
      read_library(line, nvml.library);
    } else if (kind == "call") {
      called = true;
    } else if (kind == "init") {
      returned = true;
      nvml.init_status = to_int(next_part(line));
      nvml.init_error = std::string(line);
    } else if (kind == "driver") {
      nvml.driver = std::string(line);
    } else if (kind == "gpu") {
      read_gpu(line, probe.gpus);
    }
  }
  nvml.init_call = call_state(result, returned, called);
  nvml.hung = result.timed_out;
}

}  // namespace mica::gpu
