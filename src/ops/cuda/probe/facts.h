// What is known of one GPU. Both sources, NVML and nvidia-smi, name its fields as
// `nvidia-smi --query-gpu` does, in that program's units.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mica::gpu {

struct GpuProcess {
  int pid = 0;
  std::string name;               // empty where it can't be seen, as from inside a container
  std::optional<int64_t> memory;  // MiB
};

// Empty fields were not told.
struct GpuFacts {
  int index = -1;
  std::string name, uuid, bus, driver;
  std::optional<int64_t> capability;                 // 90 is 9.0
  std::optional<int64_t> memory_total, memory_used;  // MiB
  std::string mig;                                   // Enabled, Disabled
  std::vector<std::string> mig_uuids;                // of its instances
  std::optional<int64_t> link_generation, link_generation_max, link_width, link_width_max;
  std::optional<int64_t> sm_clock, sm_clock_max, memory_clock, memory_clock_max;  // MHz
  std::optional<int64_t> slowdown;                                // bits of kSlowdownReasons
  std::optional<int64_t> temperature;                             // °C
  std::optional<double> power, power_limit, power_limit_default;  // W
  std::string ecc;                                                // Enabled, Disabled
  std::optional<int64_t> ecc_errors;                              // uncorrected since the start
  std::string compute_mode, persistence;
  std::vector<GpuProcess> processes;
  std::string failure;  // why it could not be asked, such as "GPU is lost"
};

// The fields in the order in which nvidia-smi is asked for them.
std::vector<std::string> gpu_field_names();
// False for an unknown name. "[N/A]", "[Not Supported]" and the like leave the field empty.
bool set_gpu_field(GpuFacts& gpu, std::string_view name, std::string_view value);

// Name and value of every field that was told, in that order, as set_gpu_field() takes them.
std::vector<std::pair<std::string, std::string>> told_fields(const GpuFacts& gpu);

// Bits of nvmlDeviceGetCurrentClocksThrottleReasons (nvml.h).
struct SlowdownReason {
  int64_t bit;
  const char* text;
  bool harmful;  // costs speed that is expected of this GPU
};
inline constexpr SlowdownReason kSlowdownReasons[] = {
    {0x001, "idle", false},
    {0x002, "application clocks", false},
    {0x004, "power limit", false},
    {0x008, "hardware slowdown", true},
    {0x010, "sync boost", false},
    {0x020, "thermal slowdown (software)", true},
    {0x040, "thermal slowdown (hardware)", true},
    {0x080, "power brake", true},
    {0x100, "display clocks", false},
};
std::string slowdown_text(int64_t bits);  // "idle, power limit", "none"

}  // namespace mica::gpu
