// Why CUDA can't be used on this machine, and what to do about it.
#pragma once

#include <string>

#include "base/error.h"
#include "ops/cuda/probe/build.h"
#include "ops/cuda/probe/probe.h"

namespace mica::gpu {

enum class FindingCode {
  kUsable,
  kNoCudaBuild,         // this program was built without CUDA
  kNoGpu,               // no trace of an NVIDIA GPU
  kFellOffBus,          // the GPU no longer answers
  kOtherDriver,         // the GPU is bound to nouveau or given to a virtual machine
  kNoDriver,            // no kernel module
  kNoLibrary,           // the module is there, libcuda.so.1 is not
  kLibraryNotInPath,    // libcuda.so.1 lies where the loader does not look
  kStubLibrary,         // the toolkit's libcuda.so for linking was loaded
  kDriverCrashes,       // a call of the driver's library ended the process
  kDriverHangs,         // a call of it did not return
  kVersionMismatch,     // library and kernel module are of different versions
  kNodesMissing,        // /dev/nvidia*
  kNoPermission,        // for these
  kDeniedByContainer,   // the device policy of a cgroup
  kGpuTooOld,           // for this build
  kDriverTooOld,        // for the CUDA runtime of this build
  kCompatNotSupported,  // the forward-compatibility libcuda does not go with this GPU or module
  kHidden,              // by CUDA_VISIBLE_DEVICES
  kMigWithoutInstance,  // MIG is on and no instance was made, or a wrong one is named
  kFabricNotReady,      // NVSwitch machines: fabric manager
  kEccError,
  kBusy,  // compute mode
  kMemoryFull,
  kTooFewDevices,  // cuda:N
  kNotBuiltFor,    // no code for this GPU in this build
  kUnknown,
};
const char* name(FindingCode code);  // "driver_too_old"

// Reason: what was expected and found. Remedy: what to do, a sentence. Command: what to type for
// it, or empty.
struct Finding {
  FindingCode code = FindingCode::kUnknown;
  std::string reason, remedy, command;
};

// What was asked for and what the CUDA runtime said to it; -1 is nothing.
struct Ask {
  std::string device = "cuda";
  int status = -1;
  std::string status_text;
};

// Pure. kUsable where nothing speaks against `ask`. A build without CUDA needs no particular driver
// or GPU.
Finding diagnose(const GpuProbe& probe, const GpuBuild& build, const Ask& ask = {});

// The error for a finding, kDevice: place, reason, remedy.
Error unusable_error(const Finding& finding, const Ask& ask);

// Probes this machine and throws Error(kDevice) with reason and remedy. `asked` is the device's
// name as the user gave it; `cuda_status` and `status_text` are what the CUDA runtime said.
[[noreturn]] void throw_unusable(const std::string& asked, int cuda_status,
                                 const std::string& status_text);

// The same for a build without CUDA: says whether this machine has a GPU, and how to build for it.
[[noreturn]] void throw_no_cuda_build(const std::string& asked);
Finding no_cuda_build(const GpuProbe& probe);

}  // namespace mica::gpu
