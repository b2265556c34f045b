#include "ops/cuda/probe/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace mica::gpu {
namespace {

struct Architecture {
  int capability = 0;
  char suffix = 0;  // 'a': this capability only; 'f': its family; 0: later ones too
  bool machine_code = true, ptx = true;
};

Architecture parse(const std::string& text) {
  Architecture parsed;
  char* end = nullptr;
  parsed.capability = static_cast<int>(std::strtol(text.c_str(), &end, 10));
  if (*end == 'a' || *end == 'f') parsed.suffix = *end++;
  parsed.machine_code = std::string(end) != "-virtual";
  parsed.ptx = std::string(end) != "-real";
  return parsed;
}

bool covers(const Architecture& architecture, int capability) {
  if (architecture.suffix == 'a') return capability == architecture.capability;
  const bool same_major = capability / 10 == architecture.capability / 10;
  if (capability < architecture.capability) return false;
  if (architecture.suffix == 'f') return same_major;
  return architecture.ptx || (architecture.machine_code && same_major);
}

}  // namespace

GpuBuild parse_build(const std::string& cuda_version, const std::string& architectures) {
  GpuBuild build;
  int major = 0, minor = 0;
  if (std::sscanf(cuda_version.c_str(), "%d.%d", &major, &minor) >= 1)
    build.runtime = major * 1000 + minor * 10;
  build.cuda = build.runtime > 0;
  std::istringstream words(architectures);
  for (std::string word; words >> word;) build.architectures.push_back(word);
  return build;
}

const GpuBuild& gpu_build() {
  static const GpuBuild build = parse_build(MICA_CUDA_VERSION, MICA_CUDA_ARCHITECTURE_NAMES);
  return build;
}

bool runs_on(const GpuBuild& build, int capability) {
  return std::any_of(build.architectures.begin(), build.architectures.end(),
                     [&](const std::string& name) { return covers(parse(name), capability); });
}

int oldest_capability(const GpuBuild& build) {
  int oldest = 0;
  for (const std::string& name : build.architectures) {
    const int capability = parse(name).capability;
    if (oldest == 0 || capability < oldest) oldest = capability;
  }
  return oldest;
}

std::string version_text(int cuda_version) {
  return fmt::format("{}.{}", cuda_version / 1000, cuda_version % 1000 / 10);
}

std::string capability_text(int capability) {
  return fmt::format("{}.{}", capability / 10, capability % 10);
}

}  // namespace mica::gpu
