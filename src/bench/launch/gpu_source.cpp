// The two sources of GPU readings, and the choice between them.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/process.h"
#include "bench/launch/gpu_samples.h"
#include "ops/cuda/probe/library.h"
#include "ops/cuda/probe/nvml_api.h"
#include "ops/cuda/probe/smi_query.h"

namespace mica {
namespace {

using gpu::kNvmlSuccess;
using gpu::NvmlDevice;
using gpu::symbol;

// Functions of NVML with a device and results; a missing function or a refusal gives nothing.
class NvmlSource : public GpuSource {
 public:
  explicit NvmlSource(void* library) : library_(library) {
    find_devices();
    std::array<char, 128> text{};
    const auto driver = symbol<int(char*, unsigned)>(library_, "nvmlSystemGetDriverVersion");
    if (driver && driver(text.data(), text.size()) == kNvmlSuccess) driver_ = text.data();
  }
  ~NvmlSource() override {
    if (const auto shutdown = symbol<int()>(library_, "nvmlShutdown")) shutdown();
  }
  std::string name() const override { return "NVML " + driver_; }
  bool empty() const { return devices_.empty(); }

  std::vector<GpuReading> read() override {
    std::vector<GpuReading> readings;
    for (Device& device : devices_) readings.push_back(read_one(device));
    return readings;
  }

 private:
  struct Device {
    NvmlDevice handle = nullptr;
    GpuReading identity;
    unsigned long long last_seen = 0;  // newest sample of the processes' utilization, µs
  };

  template <typename Number, typename... Arguments>
  std::optional<Number> number(const Device& device, const char* function,
                               Arguments... arguments) const {
    const auto get = symbol<int(NvmlDevice, Arguments..., Number*)>(library_, function);
    Number value{};
    if (!get || get(device.handle, arguments..., &value) != kNvmlSuccess) return std::nullopt;
    return value;
  }
  std::string text(const Device& device, const char* function) const {
    const auto get = symbol<int(NvmlDevice, char*, unsigned)>(library_, function);
    std::array<char, 128> value{};
    return get && get(device.handle, value.data(), value.size()) == kNvmlSuccess ? value.data()
                                                                                 : "";
  }

  void find_devices() {
    unsigned count = 0;
    const auto get_count = symbol<int(unsigned*)>(library_, "nvmlDeviceGetCount_v2");
    const auto handle =
        symbol<int(unsigned, NvmlDevice*)>(library_, "nvmlDeviceGetHandleByIndex_v2");
    if (!get_count || !handle || get_count(&count) != kNvmlSuccess) return;
    for (unsigned i = 0; i < count; ++i) {
      Device device;
      if (handle(i, &device.handle) != kNvmlSuccess) continue;
      device.identity.index = static_cast<int>(i);
      device.identity.name = text(device, "nvmlDeviceGetName");
      device.identity.uuid = text(device, "nvmlDeviceGetUUID");
      devices_.push_back(device);
    }
  }

  GpuReading read_one(Device& device) {
    constexpr int kSm = 1, kMemory = 2;  // nvmlClockType_t
    constexpr int kGpuSensor = 0;        // nvmlTemperatureSensors_t
    GpuReading reading = device.identity;
    if (const auto memory = number<gpu::NvmlMemory>(device, "nvmlDeviceGetMemoryInfo")) {
      reading.memory_total = static_cast<int64_t>(memory->total >> 20);
      reading.memory_used = static_cast<int64_t>(memory->used >> 20);
    }
    if (const auto busy = number<gpu::NvmlUtilization>(device, "nvmlDeviceGetUtilizationRates")) {
      reading.busy = static_cast<int>(busy->gpu);
      reading.memory_busy = static_cast<int>(busy->memory);
    }
    const auto integer = [&](auto& field, const char* function, auto... arguments) {
      if (const auto value = number<unsigned>(device, function, arguments...)) field = *value;
    };
    integer(reading.temperature, "nvmlDeviceGetTemperature", kGpuSensor);
    integer(reading.sm_clock, "nvmlDeviceGetClockInfo", kSm);
    integer(reading.memory_clock, "nvmlDeviceGetClockInfo", kMemory);
    const auto thousandths = [&](auto& field, auto value) {
      if (value) field = static_cast<double>(*value) / 1000;
    };
    thousandths(reading.power, number<unsigned>(device, "nvmlDeviceGetPowerUsage"));
    thousandths(reading.power_limit, number<unsigned>(device, "nvmlDeviceGetEnforcedPowerLimit"));
    thousandths(reading.energy,
                number<unsigned long long>(device, "nvmlDeviceGetTotalEnergyConsumption"));
    if (const auto bits =
            number<unsigned long long>(device, "nvmlDeviceGetCurrentClocksThrottleReasons"))
      reading.slowdown = static_cast<int64_t>(*bits);
    read_users(device, reading);
    return reading;
  }

  void read_users(Device& device, GpuReading& reading) {
    const std::map<unsigned, int> busy = busy_processes(device);
    const auto get = symbol<int(NvmlDevice, unsigned*, gpu::NvmlProcess*)>(
        library_, "nvmlDeviceGetComputeRunningProcesses_v3");
    std::vector<gpu::NvmlProcess> list(64);
    unsigned count = 0;
    int status = gpu::kNvmlTooSmall;
    for (int i = 0; get && status == gpu::kNvmlTooSmall && i < 3; ++i) {
      list.resize(std::max<size_t>(list.size(), count + 16));
      count = static_cast<unsigned>(list.size());
      status = get(device.handle, &count, list.data());
    }
    if (status != kNvmlSuccess) return;
    for (unsigned i = 0; i < std::min<size_t>(count, list.size()); ++i) {
      if (list[i].pid == 0) continue;
      GpuUser user{static_cast<pid_t>(list[i].pid), {}, {}};
      if (list[i].memory != ~0ULL) user.memory = static_cast<int64_t>(list[i].memory >> 20);
      if (const auto found = busy.find(list[i].pid); found != busy.end()) user.busy = found->second;
      reading.users.push_back(user);
    }
  }

  // Of each process the highest share since the last question.
  std::map<unsigned, int> busy_processes(Device& device) const {
    const auto get =
        symbol<int(NvmlDevice, gpu::NvmlProcessUtilization*, unsigned*, unsigned long long)>(
            library_, "nvmlDeviceGetProcessUtilization");
    std::array<gpu::NvmlProcessUtilization, 256> list{};
    unsigned count = list.size();
    std::map<unsigned, int> busy;
    if (!get || get(device.handle, list.data(), &count, device.last_seen) != kNvmlSuccess)
      return busy;
    for (unsigned i = 0; i < std::min<size_t>(count, list.size()); ++i) {
      busy[list[i].pid] = std::max(busy[list[i].pid], static_cast<int>(list[i].sm));
      device.last_seen = std::max(device.last_seen, list[i].time);
    }
    return busy;
  }

  void* library_;
  std::string driver_;
  std::vector<Device> devices_;
};

class SmiSource : public GpuSource {
 public:
  SmiSource(std::string path, double seconds) : path_(std::move(path)), seconds_(seconds) {}
  std::string name() const override { return "nvidia-smi"; }
  double least_interval() const override { return 1; }  // it takes a tenth of a second itself
  const std::string& failure() const { return failure_; }

  std::vector<GpuReading> read() override {
    gpu::Smi smi(path_, seconds_);
    const ProcessResult result = gpu::query_gpus(smi, fields_);
    std::vector<GpuReading> readings;
    std::string_view rest = result.output;
    while (!rest.empty()) {
      const std::string_view line = gpu::next_line(rest);
      const std::vector<std::string> values = gpu::split_values(line);
      if (values.size() == fields_.size())
        readings.push_back(reading_of(values));
      else if (readings.empty() && failure_.empty())
        failure_ = std::string(line);
    }
    if (result.timed_out) failure_ = "no answer in time";
    if (readings.empty()) return readings;
    for (const gpu::SmiProcess& found : gpu::query_processes(smi))
      for (GpuReading& reading : readings)
        if (reading.uuid == found.uuid)
          reading.users.push_back({found.process.pid, found.process.memory, std::nullopt});
    return readings;
  }

 private:
  GpuReading reading_of(const std::vector<std::string>& values) const {
    gpu::GpuFacts facts;
    GpuReading reading;
    for (size_t i = 0; i < fields_.size(); ++i) {
      const int number = std::atoi(values[i].c_str());
      const bool told = !values[i].empty() && values[i][0] >= '0' && values[i][0] <= '9';
      if (fields_[i] == "utilization.gpu" && told) reading.busy = number;
      if (fields_[i] == "utilization.memory" && told) reading.memory_busy = number;
      gpu::set_gpu_field(facts, fields_[i], values[i]);
    }
    const auto integer = [](auto& field, const std::optional<int64_t>& value) {
      if (value) field = static_cast<int>(*value);
    };
    reading.index = facts.index;
    reading.uuid = facts.uuid;
    reading.name = facts.name;
    reading.memory_total = facts.memory_total;
    reading.memory_used = facts.memory_used;
    reading.power = facts.power;
    reading.power_limit = facts.power_limit;
    reading.slowdown = facts.slowdown;
    integer(reading.temperature, facts.temperature);
    integer(reading.sm_clock, facts.sm_clock);
    integer(reading.memory_clock, facts.memory_clock);
    return reading;
  }

  std::string path_;
  double seconds_;
  std::string failure_;
  std::vector<std::string> fields_ = {"index",
                                      "uuid",
                                      "name",
                                      "memory.total",
                                      "memory.used",
                                      "utilization.gpu",
                                      "utilization.memory",
                                      "power.draw",
                                      "enforced.power.limit",
                                      "temperature.gpu",
                                      "clocks.sm",
                                      "clocks.mem",
                                      "clocks_throttle_reasons.active"};
};

std::unique_ptr<GpuSource> open_nvml(const std::string& name, std::string& why) {
  void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* error = ::dlerror();
    why = fmt::format("NVML: {}", error ? error : "not found");
    return nullptr;
  }
  const auto init = symbol<int()>(library, "nvmlInit_v2");
  const auto error_text = symbol<const char*(int)>(library, "nvmlErrorString");
  const int status = init ? init() : -1;
  if (status != kNvmlSuccess) {
    why =
        fmt::format("NVML: {}", init && error_text ? error_text(status) : "it has no nvmlInit_v2");
    return nullptr;
  }
  auto source = std::make_unique<NvmlSource>(library);
  if (!source->empty()) return source;
  why = "NVML: no GPU";
  return nullptr;
}

std::unique_ptr<GpuSource> open_smi(const GpuSourceOptions& options, std::string& why) {
  std::string path = options.smi;
  if (path.find('/') == std::string::npos) {
    const char* folders = std::getenv("PATH");
    path = find_program(path, folders ? folders : "/usr/bin").string();
  }
  if (path.empty()) {
    why += "; nvidia-smi: not found";
    return nullptr;
  }
  auto source = std::make_unique<SmiSource>(path, options.smi_seconds);
  if (!source->read().empty()) return source;
  why += "; nvidia-smi: " + (source->failure().empty() ? "no GPU" : source->failure());
  return nullptr;
}

}  // namespace

GpuSourceChoice open_gpu_source(const GpuSourceOptions& options) {
  GpuSourceChoice choice;
  if (!options.nvml_library.empty()) choice.source = open_nvml(options.nvml_library, choice.why);
  if (!choice.source && !options.smi.empty()) choice.source = open_smi(options, choice.why);
  if (choice.source) choice.why = choice.source->name();
  return choice;
}

}  // namespace mica
