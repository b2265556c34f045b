// Facts about this machine's GPUs and about all that stands between them and a program. Needs no
// CUDA: libraries are opened at run time, in processes of their own with time limits, so a broken
// driver can neither end nor stop this program.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ops/cuda/probe/facts.h"

namespace mica::gpu {

// Where to look. The defaults are the machine; tests stage others.
struct ProbePaths {
  std::filesystem::path root = "/";  // of /proc, /sys, /dev, /etc, /run
  // As dlopen takes them. Empty: the program itself.
  std::string cuda_library = "libcuda.so.1";
  std::string nvml_library = "libnvidia-ml.so.1";
  // Folders of nvidia-smi, separated by ':'; nullopt: PATH and the usual ones.
  std::optional<std::string> programs;
  // nullopt where the variable is not set.
  std::function<std::optional<std::string>(const char* name)> variable;  // empty: getenv
  // NVML and cuInit wake every GPU: up to a second for each without the persistence daemon.
  double nvml_seconds = 4, cuda_seconds = 6;
  double smi_seconds = 2;  // all runs of nvidia-smi together
};

// /dev/nvidiactl and the like.
struct DeviceNode {
  std::string path;  // without the root
  bool exists = false;
  int error = 0;      // errno of opening it to read and write
  unsigned mode = 0;  // 0666
  std::string owner, group;
};

// A library of the driver, as the loader found it.
struct LibraryFacts {
  bool found = false;
  std::string path;       // where the loader found it, links followed
  std::string error;      // the loader's words
  std::string elsewhere;  // a copy that the loader does not look at
};

enum class CallState { kNotMade, kReturned, kHung, kCrashed };

struct CudaFacts {  // libcuda.so.1
  LibraryFacts library;
  std::optional<int> driver_version;  // 13000: the newest CUDA that the driver knows
  CallState init_call = CallState::kNotMade;
  int init_status = 0;     // of cuInit
  std::string init_error;  // its name, such as CUDA_ERROR_NO_DEVICE
  std::optional<int> device_count;
  std::vector<GpuFacts> devices;  // in CUDA's order; name, uuid, capability and memory only
};

struct NvmlFacts {
  LibraryFacts library;
  CallState init_call = CallState::kNotMade;
  bool hung = false;    // at init or at a later call
  int init_status = 0;  // of nvmlInit
  std::string init_error;
  std::string driver;  // "580.65.06"
};

struct SmiFacts {  // nvidia-smi, run only where NVML gave nothing
  std::string path;
  bool ran = false, hung = false;
  int status = 0;
  std::string error;  // its words when it failed
};

struct PciGpu {
  std::string address;  // "0000:01:00.0"
  std::string driver;   // bound kernel driver: nvidia, nouveau, vfio-pci; or empty
  bool answers = true;  // false: its registers read as ones, it fell off the bus
};

struct Xid {  // the driver's report of a fault of a GPU, in the kernel's log
  std::string address;
  int number = 0;
};

struct HostFacts {
  std::string system;     // ID of /etc/os-release: ubuntu, debian, fedora
  std::string container;  // docker, podman, kubernetes, … or empty
  bool wsl = false;
  std::string module;  // version of the loaded kernel module, or empty
  bool module_open = false;
  std::vector<PciGpu> pci_gpus;
  std::vector<Xid> xids;
  std::vector<DeviceNode> nodes;  // nvidiactl, nvidia-uvm, nvidia0 …; dxg on WSL
};

struct GpuProbe {
  std::optional<std::string> cuda_visible_devices, nvidia_visible_devices;
  HostFacts host;
  CudaFacts cuda;
  NvmlFacts nvml;
  SmiFacts smi;
  std::vector<GpuFacts> gpus;  // all of the machine, in the driver's order

  std::string driver_version() const;  // "580.65.06" from whichever source, or empty
};

// Takes some 0.1 to 2 s with a GPU, milliseconds without, at most about cuda_seconds.
GpuProbe probe_gpus(const ProbePaths& paths = {});

}  // namespace mica::gpu
