#include "ops/cuda/probe/fake_driver.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

namespace mica::gpu {

FakeDriver& fake_driver() {
  static FakeDriver driver;
  return driver;
}

namespace {

FakeDriver& fake = fake_driver();

int copy(const std::string& text, char* to, size_t size) {
  std::snprintf(to, size, "%s", text.c_str());
  return 0;
}

void hang() {
  for (;;) ::pause();
}

// Handles are 1 + the GPU's index; of an instance 1000 * handle + its index.
FakeGpu& gpu_of(void* handle) {
  const auto number = reinterpret_cast<size_t>(handle);
  return fake.gpus[(number >= 1000 ? number / 1000 : number) - 1];
}

template <typename Number>
int give(Number* to, long value) {
  *to = static_cast<Number>(value);
  return 0;
}

}  // namespace
}  // namespace mica::gpu

using namespace mica::gpu;

extern "C" {

// --- libcuda
int cuDriverGetVersion(int* version) {
  return give(version, fake.cuda_version);
}
int cuInit(unsigned) {
  if (fake.init_hangs) hang();
  if (fake.init_crashes) ::raise(SIGKILL);  // SIGSEGV would be AddressSanitizer's
  return fake.init_status;
}
int cuGetErrorName(int status, const char** name) {
  *name = status == 0 ? "CUDA_SUCCESS" : status == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR";
  return 0;
}
int cuDeviceGetCount(int* count) {
  return give(count, static_cast<long>(fake.gpus.size()));
}
int cuDeviceGet(int* device, int index) {
  return give(device, index);
}
int cuDeviceGetName(char* name, int size, int device) {
  return copy(fake.gpus[device].name, name, size);
}
int cuDeviceGetPCIBusId(char* bus, int size, int device) {
  return copy(fake.gpus[device].bus.substr(4), bus, size);
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute != 75 && attribute != 76) return 1;
  return give(value, attribute == 75 ? fake.gpus[device].major : fake.gpus[device].minor);
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return give(bytes, fake.gpus[device].total_mib << 20);
}

// --- NVML
int nvmlInit_v2() {
  if (fake.nvml_hangs) hang();
  return fake.nvml_status;
}
const char* nvmlErrorString(int status) {
  if (status == 18) return "Driver/library version mismatch";
  return status == 15 ? "GPU is lost" : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  return copy(fake.version, text, size);
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  return give(count, static_cast<long>(fake.gpus.size()));
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  *handle = reinterpret_cast<void*>(static_cast<size_t>(index) + 1);
  return fake.gpus[index].handle_status;
}
int nvmlDeviceGetName(void* gpu, char* text, unsigned size) {
  return copy(gpu_of(gpu).name, text, size);
}
int nvmlDeviceGetUUID(void* gpu, char* text, unsigned size) {
  const auto number = reinterpret_cast<size_t>(gpu);
  return copy(number >= 1000 ? gpu_of(gpu).instances[number % 1000] : gpu_of(gpu).uuid, text, size);
}
int nvmlDeviceGetCudaComputeCapability(void* gpu, int* major, int* minor) {
  *major = gpu_of(gpu).major;
  *minor = gpu_of(gpu).minor;
  return 0;
}
int nvmlDeviceGetPciInfo_v3(void* gpu, void* info) {
  constexpr size_t kBusOffset = 16 + 5 * sizeof(unsigned);  // busId of nvmlPciInfo_t
  return copy(gpu_of(gpu).bus, static_cast<char*>(info) + kBusOffset, 32);
}
int nvmlDeviceGetMemoryInfo(void* gpu, unsigned long long* memory) {
  memory[0] = static_cast<unsigned long long>(gpu_of(gpu).total_mib) << 20;
  memory[2] = static_cast<unsigned long long>(gpu_of(gpu).used_mib) << 20;
  memory[1] = memory[0] - memory[2];
  return 0;
}
int nvmlDeviceGetMigMode(void* gpu, unsigned* current, unsigned* pending) {
  *current = *pending = gpu_of(gpu).mig;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* count) {
  return give(count, 7);
}
int nvmlDeviceGetMigDeviceHandleByIndex(void* gpu, unsigned index, void** instance) {
  if (index >= gpu_of(gpu).instances.size()) return 6;
  *instance = reinterpret_cast<void*>(reinterpret_cast<size_t>(gpu) * 1000 + index);
  return 0;
}
int nvmlDeviceGetCurrPcieLinkWidth(void* gpu, unsigned* width) {
  return give(width, gpu_of(gpu).link_width);
}
int nvmlDeviceGetMaxPcieLinkWidth(void*, unsigned* width) {
  return give(width, 16);
}
int nvmlDeviceGetClockInfo(void*, int type, unsigned* clock) {
  return give(clock, type == 1 ? 345 : 2619);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* bits) {
  return give(bits, 1);
}
int nvmlDeviceGetTemperature(void*, int, unsigned* degrees) {
  return give(degrees, 33);
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  return give(milliwatts, 71500);
}
int nvmlDeviceGetTotalEccErrors(void*, int type, int counter, unsigned long long* count) {
  return give(count, type == 1 && counter == 0 ? 2 : 99);
}
int nvmlDeviceGetComputeMode(void* gpu, unsigned* mode) {
  return give(mode, gpu_of(gpu).compute_mode);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void* gpu, unsigned* count, void* list) {
  struct Process {
    unsigned pid;
    unsigned long long memory;
    unsigned instances[2];
  };
  const auto& processes = gpu_of(gpu).processes;
  for (size_t i = 0; i < processes.size() && i < *count; ++i) {
    Process& process = static_cast<Process*>(list)[i];
    process.pid = processes[i].first;
    process.memory = static_cast<unsigned long long>(processes[i].second) << 20;
  }
  return give(count, static_cast<long>(processes.size()));
}

}  // extern "C"
