#include "ops/cuda/probe/facts.h"

#include <fmt/format.h>

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

// What set_gpu_field() would read again; empty: not told.
using Getter = std::string (*)(const GpuFacts&);

template <std::string GpuFacts::*member>
std::string text_of(const GpuFacts& gpu) {
  return gpu.*member;
}

template <auto member>
std::string number_of(const GpuFacts& gpu) {
  return gpu.*member ? fmt::format("{}", *(gpu.*member)) : "";
}

std::string capability_of(const GpuFacts& gpu) {
  return gpu.capability ? fmt::format("{}.{}", *gpu.capability / 10, *gpu.capability % 10) : "";
}

std::string index_of(const GpuFacts& gpu) {
  return gpu.index >= 0 ? fmt::format("{}", gpu.index) : "";
}

struct Field {
  const char* name;
  Setter set;
  Getter get;
};

template <auto member>
constexpr Field text(const char* name) {
  return {name, set_text<member>, text_of<member>};
}
template <auto member>
constexpr Field integer(const char* name) {
  return {name, set_integer<member>, number_of<member>};
}
template <auto member>
constexpr Field number(const char* name) {
  return {name, set_number<member>, number_of<member>};
}

constexpr Field kFields[] = {
    {"index", set_index, index_of},
    text<&GpuFacts::name>("name"),
    text<&GpuFacts::uuid>("uuid"),
    text<&GpuFacts::bus>("pci.bus_id"),
    {"compute_cap", set_capability, capability_of},
    text<&GpuFacts::driver>("driver_version"),
    integer<&GpuFacts::memory_total>("memory.total"),
    integer<&GpuFacts::memory_used>("memory.used"),
    text<&GpuFacts::mig>("mig.mode.current"),
    integer<&GpuFacts::link_generation>("pcie.link.gen.current"),
    integer<&GpuFacts::link_generation_max>("pcie.link.gen.max"),
    integer<&GpuFacts::link_width>("pcie.link.width.current"),
    integer<&GpuFacts::link_width_max>("pcie.link.width.max"),
    integer<&GpuFacts::sm_clock>("clocks.sm"),
    integer<&GpuFacts::sm_clock_max>("clocks.max.sm"),
    integer<&GpuFacts::memory_clock>("clocks.mem"),
    integer<&GpuFacts::memory_clock_max>("clocks.max.mem"),
    integer<&GpuFacts::slowdown>("clocks_throttle_reasons.active"),
    integer<&GpuFacts::temperature>("temperature.gpu"),
    number<&GpuFacts::power>("power.draw"),
    number<&GpuFacts::power_limit>("enforced.power.limit"),
    number<&GpuFacts::power_limit_default>("power.default_limit"),
    text<&GpuFacts::ecc>("ecc.mode.current"),
    integer<&GpuFacts::ecc_errors>("ecc.errors.uncorrected.volatile.total"),
    text<&GpuFacts::compute_mode>("compute_mode"),
    text<&GpuFacts::persistence>("persistence_mode"),
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

std::vector<std::pair<std::string, std::string>> told_fields(const GpuFacts& gpu) {
  std::vector<std::pair<std::string, std::string>> told;
  for (const Field& field : kFields)
    if (std::string value = field.get(gpu); !value.empty())
      told.emplace_back(field.name, std::move(value));
  return told;
}

std::string slowdown_text(int64_t bits) {
  std::string text;
  for (const SlowdownReason& reason : kSlowdownReasons)
    if (bits & reason.bit) text += (text.empty() ? "" : ", ") + std::string(reason.text);
  return text.empty() ? "none" : text;
}

}  // namespace mica::gpu
