// What this program was built for.
#pragma once

#include <string>
#include <vector>

namespace mica::gpu {

struct GpuBuild {
  bool cuda = false;
  int runtime = 0;  // of the CUDA runtime, as CUDA counts: 13020 is 13.2; 0 without CUDA
  // In CMake's notation: "90a-real" is code for 9.0 only, "80-real" for 8.x, "90-virtual" is PTX,
  // which the driver compiles for 9.0 and later, "80" both.
  std::vector<std::string> architectures;
};

const GpuBuild& gpu_build();

// "90a-real 120a-real" and "13.0", as the build system names them; empty means none.
GpuBuild parse_build(const std::string& cuda_version, const std::string& architectures);

// Does a GPU of this compute capability (90 is 9.0) find code in the build?
bool runs_on(const GpuBuild& build, int capability);
// The oldest compute capability of the build; 0 without architectures.
int oldest_capability(const GpuBuild& build);

std::string version_text(int cuda_version);   // 13020: "13.2"
std::string capability_text(int capability);  // 90: "9.0"

}  // namespace mica::gpu
