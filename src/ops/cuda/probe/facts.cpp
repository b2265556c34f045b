#include "ops/cuda/probe/facts.h"

#include <charconv>
#include <cstdlib>

namespace mica::gpu {
namespace {

using Setter = void (*)(GpuFacts&, const std::string&);

template <std::string GpuFacts::*member>
void set_text(GpuFacts& gpu, const std::string& value) {
  gpu.*member = value;
}

// Decimal, or hexadecimal after "0x"; text behind the number, such as a unit, is ignored.
template <std::optional<int64_t> GpuFacts::*member>
void set_integer(GpuFacts& gpu, const std::string& value) {
  char* end = nullptr;
  const bool hex = value.rfind("0x", 0) == 0;
  const long long number = std::strtoll(value.c_str(), &end, hex ? 16 : 10);
  if (end != value.c_str()) gpu.*member = number;
}

template <std::optional<double> GpuFacts::*member>
void set_number(GpuFacts& gpu, const std::string& value) {
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (end != value.c_str()) gpu.*member = number;
}

// "9.0"
void set_capability(GpuFacts& gpu, const std::string& value) {
  const size_t dot = value.find('.');
  if (dot == std::string::npos) return;
  const int major = std::atoi(value.c_str()), minor = std::atoi(value.c_str() + dot + 1);
  if (major > 0) gpu.capability = major * 10 + minor;
}

void set_index(GpuFacts& gpu, const std::string& value) {
  std::from_chars(value.data(), value.data() + value.size(), gpu.index);
}

struct Field {
  const char* name;
  Setter set;
};

constexpr Field kFields[] = {
    {"index", set_index},
    {"name", set_text<&GpuFacts::name>},
    {"uuid", set_text<&GpuFacts::uuid>},
    {"pci.bus_id", set_text<&GpuFacts::bus>},
    {"compute_cap", set_capability},
    {"driver_version", set_text<&GpuFacts::driver>},
    {"memory.total", set_integer<&GpuFacts::memory_total>},
    {"memory.used", set_integer<&GpuFacts::memory_used>},
    {"mig.mode.current", set_text<&GpuFacts::mig>},
    {"pcie.link.gen.current", set_integer<&GpuFacts::link_generation>},
    {"pcie.link.gen.max", set_integer<&GpuFacts::link_generation_max>},
    {"pcie.link.width.current", set_integer<&GpuFacts::link_width>},
    {"pcie.link.width.max", set_integer<&GpuFacts::link_width_max>},
    {"clocks.sm", set_integer<&GpuFacts::sm_clock>},
    {"clocks.max.sm", set_integer<&GpuFacts::sm_clock_max>},
    {"clocks.mem", set_integer<&GpuFacts::memory_clock>},
    {"clocks.max.mem", set_integer<&GpuFacts::memory_clock_max>},
    {"clocks_throttle_reasons.active", set_integer<&GpuFacts::slowdown>},
    {"temperature.gpu", set_integer<&GpuFacts::temperature>},
    {"power.draw", set_number<&GpuFacts::power>},
    {"enforced.power.limit", set_number<&GpuFacts::power_limit>},
    {"power.default_limit", set_number<&GpuFacts::power_limit_default>},
    {"ecc.mode.current", set_text<&GpuFacts::ecc>},
    {"ecc.errors.uncorrected.volatile.total", set_integer<&GpuFacts::ecc_errors>},
    {"compute_mode", set_text<&GpuFacts::compute_mode>},
    {"persistence_mode", set_text<&GpuFacts::persistence>},
};

bool is_told(std::string_view value) {
  return !value.empty() && value[0] != '[' && value != "N/A" && value != "ERR!";
}

}  // namespace

std::vector<std::string> gpu_field_names() {
  std::vector<std::string> names;
  for (const Field& field : kFields) names.emplace_back(field.name);
  return names;
}

bool set_gpu_field(GpuFacts& gpu, std::string_view name, std::string_view value) {
  for (const Field& field : kFields) {
    if (field.name != name) continue;
    if (is_told(value)) field.set(gpu, std::string(value));
    return true;
  }
  return false;
}

std::string slowdown_text(int64_t bits) {
  std::string text;
  for (const SlowdownReason& reason : kSlowdownReasons)
    if (bits & reason.bit) text += (text.empty() ? "" : ", ") + std::string(reason.text);
  return text.empty() ? "none" : text;
}

}  // namespace mica::gpu
