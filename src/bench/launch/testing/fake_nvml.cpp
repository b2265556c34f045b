// NVML for tests. The file $FAKE_NVML tells what it says, read anew at every question:
//   init 999                      nvmlInit fails
//   hang memory                   this question never returns (memory | init)
//   gpu 0 H100 81559 1000 35 120.5 700 55 1980 2619 4 123456
//       index name total used (MiB) busy (%) power limit (W) °C sm memory (MHz) slowdown energy
//       (mJ)
//   process 0 4711 5000 30        GPU, pid, MiB (-1: not told), busy (%)
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "ops/cuda/probe/nvml_api.h"

namespace {

struct Process {
  unsigned gpu = 0, pid = 0;
  long long memory = 0;
  unsigned busy = 0;
};

struct Gpu {
  unsigned index = 0;
  std::string name;
  unsigned long long total = 0, used = 0;
  unsigned busy = 0;
  double power = 0, limit = 0;
  unsigned temperature = 0, sm = 0, memory = 0;
  unsigned long long slowdown = 0, energy = 0;
};

struct State {
  int init = 0;
  std::string hang;
  std::vector<Gpu> gpus;
  std::vector<Process> processes;
};

State read_state() {
  State state;
  const char* path = std::getenv("FAKE_NVML");
  std::ifstream file(path ? path : "");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "init") words >> state.init;
    if (key == "hang") words >> state.hang;
    if (key == "gpu") {
      Gpu gpu;
      words >> gpu.index >> gpu.name >> gpu.total >> gpu.used >> gpu.busy >> gpu.power >>
          gpu.limit >> gpu.temperature >> gpu.sm >> gpu.memory >> gpu.slowdown >> gpu.energy;
      state.gpus.push_back(gpu);
    }
    if (key == "process") {
      Process process;
      words >> process.gpu >> process.pid >> process.memory >> process.busy;
      state.processes.push_back(process);
    }
  }
  return state;
}

constexpr int kInvalidArgument = 2;
using mica::gpu::NvmlDevice;

// Handles are 1 + the index.
template <typename Set>
int with_gpu(NvmlDevice device, Set set) {
  const State state = read_state();
  const size_t index = reinterpret_cast<size_t>(device) - 1;
  if (index >= state.gpus.size()) return kInvalidArgument;
  set(state.gpus[index]);
  return mica::gpu::kNvmlSuccess;
}

void hang_at(const char* question) {
  while (read_state().hang == question) ::usleep(20000);
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  hang_at("init");
  return read_state().init;
}
int nvmlShutdown() {
  return 0;
}
const char* nvmlErrorString(int status) {
  return status == 18 ? "RM has detected an NVML/RM version mismatch." : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "580.65.06");
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(read_state().gpus.size());
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, NvmlDevice* device) {
  *device = reinterpret_cast<NvmlDevice>(static_cast<size_t>(index) + 1);
  return 0;
}
int nvmlDeviceGetName(NvmlDevice device, char* text, unsigned size) {
  return with_gpu(device,
                  [&](const Gpu& gpu) { std::snprintf(text, size, "%s", gpu.name.c_str()); });
}
int nvmlDeviceGetUUID(NvmlDevice device, char* text, unsigned size) {
  return with_gpu(device, [&](const Gpu& gpu) { std::snprintf(text, size, "GPU-%u", gpu.index); });
}
int nvmlDeviceGetMemoryInfo(NvmlDevice device, mica::gpu::NvmlMemory* memory) {
  hang_at("memory");
  return with_gpu(device, [&](const Gpu& gpu) {
    *memory = {gpu.total << 20, (gpu.total - gpu.used) << 20, gpu.used << 20};
  });
}
int nvmlDeviceGetUtilizationRates(NvmlDevice device, mica::gpu::NvmlUtilization* busy) {
  return with_gpu(device, [&](const Gpu& gpu) { *busy = {gpu.busy, gpu.busy / 2}; });
}
int nvmlDeviceGetPowerUsage(NvmlDevice device, unsigned* milliwatts) {
  return with_gpu(device,
                  [&](const Gpu& gpu) { *milliwatts = static_cast<unsigned>(gpu.power * 1000); });
}
int nvmlDeviceGetEnforcedPowerLimit(NvmlDevice device, unsigned* milliwatts) {
  return with_gpu(device,
                  [&](const Gpu& gpu) { *milliwatts = static_cast<unsigned>(gpu.limit * 1000); });
}
int nvmlDeviceGetTotalEnergyConsumption(NvmlDevice device, unsigned long long* millijoules) {
  return with_gpu(device, [&](const Gpu& gpu) { *millijoules = gpu.energy; });
}
int nvmlDeviceGetTemperature(NvmlDevice device, int, unsigned* temperature) {
  return with_gpu(device, [&](const Gpu& gpu) { *temperature = gpu.temperature; });
}
int nvmlDeviceGetClockInfo(NvmlDevice device, int kind, unsigned* clock) {
  return with_gpu(device, [&](const Gpu& gpu) { *clock = kind == 1 ? gpu.sm : gpu.memory; });
}
int nvmlDeviceGetCurrentClocksThrottleReasons(NvmlDevice device, unsigned long long* bits) {
  return with_gpu(device, [&](const Gpu& gpu) { *bits = gpu.slowdown; });
}
int nvmlDeviceGetComputeRunningProcesses_v3(NvmlDevice device, unsigned* count,
                                            mica::gpu::NvmlProcess* list) {
  const State state = read_state();
  const size_t index = reinterpret_cast<size_t>(device) - 1;
  unsigned found = 0;
  for (const Process& process : state.processes) {
    if (process.gpu != index) continue;
    if (found < *count)
      list[found] = {
          process.pid,
          process.memory < 0 ? ~0ULL : static_cast<unsigned long long>(process.memory) << 20, 0, 0};
    ++found;
  }
  const bool fits = found <= *count;
  *count = found;
  return fits ? 0 : mica::gpu::kNvmlTooSmall;
}
int nvmlDeviceGetProcessUtilization(NvmlDevice device, mica::gpu::NvmlProcessUtilization* list,
                                    unsigned* count, unsigned long long last_seen) {
  const State state = read_state();
  const size_t index = reinterpret_cast<size_t>(device) - 1;
  unsigned found = 0;
  for (const Process& process : state.processes)
    if (process.gpu == index && found < *count)
      list[found++] = {process.pid, last_seen + 1, process.busy, 0, 0, 0};
  *count = found;
  return found > 0 ? 0 : 6;  // NVML_ERROR_NOT_FOUND
}

}  // extern "C"
