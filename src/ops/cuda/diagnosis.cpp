#include "ops/cuda/diagnosis.h"

#include <cstdlib>

#include "ops/cuda/diagnosis_checks.h"

namespace mica::gpu {
namespace {

// N of "cuda:N".
int device_index(const std::string& device) {
  const size_t colon = device.find(':');
  return colon == std::string::npos ? 0 : std::max(0, std::atoi(device.c_str() + colon + 1));
}

}  // namespace

const char* name(FindingCode code) {
  switch (code) {
    case FindingCode::kUsable: return "usable";
    case FindingCode::kNoCudaBuild: return "no_cuda_build";
    case FindingCode::kNoGpu: return "no_gpu";
    case FindingCode::kFellOffBus: return "fell_off_bus";
    case FindingCode::kOtherDriver: return "other_driver";
    case FindingCode::kNoDriver: return "no_driver";
    case FindingCode::kNoLibrary: return "no_library";
    case FindingCode::kLibraryNotInPath: return "library_not_in_path";
    case FindingCode::kStubLibrary: return "stub_library";
    case FindingCode::kDriverCrashes: return "driver_crashes";
    case FindingCode::kDriverHangs: return "driver_hangs";
    case FindingCode::kVersionMismatch: return "version_mismatch";
    case FindingCode::kNodesMissing: return "nodes_missing";
    case FindingCode::kNoPermission: return "no_permission";
    case FindingCode::kDeniedByContainer: return "denied_by_container";
    case FindingCode::kGpuTooOld: return "gpu_too_old";
    case FindingCode::kDriverTooOld: return "driver_too_old";
    case FindingCode::kCompatNotSupported: return "compat_not_supported";
    case FindingCode::kHidden: return "hidden";
    case FindingCode::kMigWithoutInstance: return "mig_without_instance";
    case FindingCode::kFabricNotReady: return "fabric_not_ready";
    case FindingCode::kEccError: return "ecc_error";
    case FindingCode::kBusy: return "busy";
    case FindingCode::kMemoryFull: return "memory_full";
    case FindingCode::kTooFewDevices: return "too_few_devices";
    case FindingCode::kNotBuiltFor: return "not_built_for";
    case FindingCode::kUnknown: return "unknown";
  }
  return "unknown";
}

Finding diagnose(const GpuProbe& probe, const GpuBuild& build, const Ask& ask) {
  const CudaFacts& cuda = probe.cuda;
  const int init = cuda.init_call == CallState::kReturned ? cuda.init_status : -1;
  const Case c{probe, build, ask, ask.status >= 0 ? ask.status : init, device_index(ask.device)};
  for (Check check : {check_age, check_driver, check_device})
    if (auto finding = check(c)) return *finding;
  if (c.status == 0)
    return {FindingCode::kUsable,
            fmt::format("CUDA works, {} device{}", cuda.device_count.value_or(1),
                        cuda.device_count.value_or(1) == 1 ? "" : "s"),
            "", ""};
  std::string said = ask.status_text.empty() ? cuda.init_error : ask.status_text;
  if (said.empty()) said = "nothing";
  return {FindingCode::kUnknown, "no cause was found for what CUDA said: " + said,
          "Look at what the kernel and the driver say", "nvidia-smi; sudo dmesg | tail"};
}

Error unusable_error(const Finding& finding, const Ask& ask) {
  std::string text = fmt::format("[device] '{}' can't be used: {}", ask.device, finding.reason);
  if (ask.status > 0) text += fmt::format(" (CUDA error {}: {})", ask.status, ask.status_text);
  text += fmt::format(".\n{}", finding.remedy);
  if (!finding.command.empty()) text += ": " + finding.command;
  if (finding.command.find("--device cpu") == std::string::npos) text += ". Or use --device cpu";
  return Error(ErrorKind::kDevice, text + ". 'mica doctor' shows more.");
}

void throw_unusable(const std::string& asked, int cuda_status, const std::string& status_text) {
  const Ask ask{asked, cuda_status, status_text};
  Finding finding = diagnose(probe_gpus(), gpu_build(), ask);
  if (finding.code == FindingCode::kUsable)  // it failed a moment ago, or in this process only
    finding = {FindingCode::kUnknown, "CUDA refused it, but works in a process of its own",
               "Try again", ""};
  throw unusable_error(finding, ask);
}

Finding no_cuda_build(const GpuProbe& probe) {
  Finding finding{FindingCode::kNoCudaBuild, "this program was built without CUDA",
                  "For a GPU, build it where CUDA 12.8 or newer is",
                  "cmake --preset release -DMICA_CUDA=ON && ninja -C build"};
  if (!probe.gpus.empty())
    finding.reason += fmt::format(", and this machine has a GPU ({})", probe.gpus[0].name);
  else if (!probe.host.pci_gpus.empty())
    finding.reason +=
        fmt::format(", and this machine has a GPU (at {})", probe.host.pci_gpus[0].address);
  else
    finding.reason += ", and no GPU was found either";
  return finding;
}

void throw_no_cuda_build(const std::string& asked) {
  throw unusable_error(no_cuda_build(probe_gpus()), {asked, -1, ""});
}

}  // namespace mica::gpu
