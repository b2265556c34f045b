// For tests: libcuda and NVML as functions of the test program, which exports them. A child process
// has a copy of this state.
#pragma once

#include <string>
#include <vector>

namespace mica::gpu {

struct FakeGpu {
  std::string name = "NVIDIA H100 80GB HBM3", uuid = "GPU-5f1a0001";
  std::string bus = "00000000:01:00.0";
  int major = 9, minor = 0;
  long total_mib = 81559, used_mib = 1000;
  bool mig = false;
  std::vector<std::string> instances;
  std::vector<std::pair<unsigned, long>> processes;  // pid, MiB
  unsigned link_width = 16;
  int handle_status = 0;
  unsigned compute_mode = 0;
};

struct FakeDriver {
  int cuda_version = 13000;
  int init_status = 0, nvml_status = 0;
  bool init_hangs = false, init_crashes = false, nvml_hangs = false;
  std::string version = "580.65.06";
  std::vector<FakeGpu> gpus = {FakeGpu()};
};
FakeDriver& fake_driver();

}  // namespace mica::gpu
