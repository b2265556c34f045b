// The child that opens NVML.
#include <algorithm>
#include <iterator>

#include "ops/cuda/probe/library.h"
#include "ops/cuda/probe/nvml_api.h"

namespace mica::gpu {
namespace {

// One GPU, asked field by field; a missing function or a refusal leaves the field out.
class NvmlGpu {
 public:
  NvmlGpu(void* library, NvmlDevice device, unsigned index, const Emit& emit)
      : library_(library), device_(device), index_(index), emit_(emit) {}
  void tell_all() const;

 private:
  template <typename... Parts>
  void say(const Parts&... parts) const {
    tell(emit_, "gpu", index_, parts...);
  }
  void text(const char* function, const char* field) const;
  // A getter of one number, with arguments before it.
  template <typename Number, typename... Arguments>
  std::optional<Number> number(const char* function, Arguments... arguments) const;
  template <typename... Arguments>
  void integer(const char* field, const char* function, Arguments... arguments) const;
  void milliwatts(const char* field, const char* function) const;
  void flag(const char* field, const char* function) const;
  void identity() const;
  void memory() const;
  void instances() const;
  void processes() const;

  void* library_;
  NvmlDevice device_;
  unsigned index_;
  const Emit& emit_;
};

void NvmlGpu::text(const char* function, const char* field) const {
  const auto get = symbol<int(NvmlDevice, char*, unsigned)>(library_, function);
  char value[128] = "";
  if (get && get(device_, value, sizeof value) == kNvmlSuccess) say(field, value);
}

template <typename Number, typename... Arguments>
std::optional<Number> NvmlGpu::number(const char* function, Arguments... arguments) const {
  const auto get = symbol<int(NvmlDevice, Arguments..., Number*)>(library_, function);
  Number value = 0;
  if (!get || get(device_, arguments..., &value) != kNvmlSuccess) return std::nullopt;
  return value;
}

template <typename... Arguments>
void NvmlGpu::integer(const char* field, const char* function, Arguments... arguments) const {
  if (const auto value = number<unsigned>(function, arguments...)) say(field, *value);
}

void NvmlGpu::milliwatts(const char* field, const char* function) const {
  if (const auto value = number<unsigned>(function)) say(field, *value / 1000.0);
}

// Getters of a current and a pending state.
void NvmlGpu::flag(const char* field, const char* function) const {
  const auto get = symbol<int(NvmlDevice, unsigned*, unsigned*)>(library_, function);
  unsigned current = 0, pending = 0;
  if (get && get(device_, &current, &pending) == kNvmlSuccess)
    say(field, current ? "Enabled" : "Disabled");
}

void NvmlGpu::identity() const {
  text("nvmlDeviceGetName", "name");
  text("nvmlDeviceGetUUID", "uuid");
  const auto capability =
      symbol<int(NvmlDevice, int*, int*)>(library_, "nvmlDeviceGetCudaComputeCapability");
  int major = 0, minor = 0;
  if (capability && capability(device_, &major, &minor) == kNvmlSuccess)
    say("compute_cap", fmt::format("{}.{}", major, minor));
  const auto pci = symbol<int(NvmlDevice, NvmlPci*)>(library_, "nvmlDeviceGetPciInfo_v3");
  NvmlPci place = {};
  if (pci && pci(device_, &place) == kNvmlSuccess) say("pci.bus_id", place.bus_id);
}

void NvmlGpu::memory() const {
  const auto get = symbol<int(NvmlDevice, NvmlMemory*)>(library_, "nvmlDeviceGetMemoryInfo");
  NvmlMemory memory = {};
  if (!get || get(device_, &memory) != kNvmlSuccess) return;
  say("memory.total", memory.total >> 20);
  say("memory.used", memory.used >> 20);
}

void NvmlGpu::instances() const {
  flag("mig.mode.current", "nvmlDeviceGetMigMode");
  const auto count = number<unsigned>("nvmlDeviceGetMaxMigDeviceCount");
  const auto handle = symbol<int(NvmlDevice, unsigned, NvmlDevice*)>(
      library_, "nvmlDeviceGetMigDeviceHandleByIndex");
  const auto uuid = symbol<int(NvmlDevice, char*, unsigned)>(library_, "nvmlDeviceGetUUID");
  for (unsigned i = 0; count && handle && uuid && i < *count; ++i) {
    NvmlDevice instance = nullptr;
    char text[128] = "";
    if (handle(device_, i, &instance) == kNvmlSuccess &&
        uuid(instance, text, sizeof text) == kNvmlSuccess)
      say("instance", text);
  }
}

void NvmlGpu::processes() const {
  const auto get = symbol<int(NvmlDevice, unsigned*, NvmlProcess*)>(
      library_, "nvmlDeviceGetComputeRunningProcesses_v3");
  NvmlProcess list[64] = {};
  unsigned count = std::size(list);
  if (!get) return;
  const int status = get(device_, &count, list);
  if (status != kNvmlSuccess && status != kNvmlTooSmall) return;
  for (unsigned i = 0; i < std::min<unsigned>(count, std::size(list)); ++i) {
    if (list[i].pid == 0) continue;
    const bool told = list[i].memory != ~0ULL;
    say("process", list[i].pid, told ? fmt::format("{}", list[i].memory >> 20) : "");
  }
}

void NvmlGpu::tell_all() const {
  constexpr int kSm = 1, kMemory = 2;               // nvmlClockType_t
  constexpr int kUncorrected = 1, kSinceStart = 0;  // of nvmlDeviceGetTotalEccErrors
  identity();
  memory();
  instances();
  integer("pcie.link.gen.current", "nvmlDeviceGetCurrPcieLinkGeneration");
  integer("pcie.link.gen.max", "nvmlDeviceGetMaxPcieLinkGeneration");
  integer("pcie.link.width.current", "nvmlDeviceGetCurrPcieLinkWidth");
  integer("pcie.link.width.max", "nvmlDeviceGetMaxPcieLinkWidth");
  integer("clocks.sm", "nvmlDeviceGetClockInfo", kSm);
  integer("clocks.max.sm", "nvmlDeviceGetMaxClockInfo", kSm);
  integer("clocks.mem", "nvmlDeviceGetClockInfo", kMemory);
  integer("clocks.max.mem", "nvmlDeviceGetMaxClockInfo", kMemory);
  if (const auto bits = number<unsigned long long>("nvmlDeviceGetCurrentClocksThrottleReasons"))
    say("clocks_throttle_reasons.active", *bits);
  integer("temperature.gpu", "nvmlDeviceGetTemperature", 0);
  milliwatts("power.draw", "nvmlDeviceGetPowerUsage");
  milliwatts("enforced.power.limit", "nvmlDeviceGetEnforcedPowerLimit");
  milliwatts("power.default_limit", "nvmlDeviceGetPowerManagementDefaultLimit");
  flag("ecc.mode.current", "nvmlDeviceGetEccMode");
  if (const auto errors =
          number<unsigned long long>("nvmlDeviceGetTotalEccErrors", kUncorrected, kSinceStart))
    say("ecc.errors.uncorrected.volatile.total", *errors);
  constexpr const char* kModes[] = {"Default", "Exclusive_Thread", "Prohibited",
                                    "Exclusive_Process"};
  const auto mode = number<unsigned>("nvmlDeviceGetComputeMode");
  if (mode && *mode < std::size(kModes)) say("compute_mode", kModes[*mode]);
  if (const auto on = number<unsigned>("nvmlDeviceGetPersistenceMode"))
    say("persistence_mode", *on ? "Enabled" : "Disabled");
  processes();
}

void ask_nvml(const ProbePaths& paths, const Emit& emit) {
  void* library = open_library(paths.nvml_library, emit);
  if (!library) return;
  const auto init = symbol<int()>(library, "nvmlInit_v2");
  const auto error_text = symbol<const char*(int)>(library, "nvmlErrorString");
  if (!init) return;
  const auto describe = [&](int status) { return error_text ? error_text(status) : "unknown"; };
  tell(emit, "call");
  const int status = init();
  tell(emit, "init", status, describe(status));
  if (status != kNvmlSuccess) return;
  char text[128] = "";
  const auto driver = symbol<int(char*, unsigned)>(library, "nvmlSystemGetDriverVersion");
  if (driver && driver(text, sizeof text) == kNvmlSuccess) tell(emit, "driver", text);
  unsigned count = 0;
  const auto get_count = symbol<int(unsigned*)>(library, "nvmlDeviceGetCount_v2");
  const auto handle = symbol<int(unsigned, NvmlDevice*)>(library, "nvmlDeviceGetHandleByIndex_v2");
  if (!get_count || !handle || get_count(&count) != kNvmlSuccess) return;
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice device = nullptr;
    tell(emit, "gpu", i, "index", i);
    const int failure = handle(i, &device);
    if (failure == kNvmlSuccess)
      NvmlGpu(library, device, i, emit).tell_all();
    else
      tell(emit, "gpu", i, "failure", describe(failure));
  }
}

}  // namespace

ChildProcess start_nvml(const ProbePaths& paths) {
  return ChildProcess::function([&](const Emit& emit) { ask_nvml(paths, emit); },
                                paths.nvml_seconds);
}

}  // namespace mica::gpu
