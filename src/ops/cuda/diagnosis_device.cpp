#include <algorithm>

#include "ops/cuda/diagnosis_checks.h"

namespace mica::gpu {
namespace {

using Code = FindingCode;

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string label(const GpuFacts& gpu) {
  return fmt::format("GPU {}{}", gpu.index, gpu.name.empty() ? "" : " (" + gpu.name + ")");
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// Does an entry of CUDA_VISIBLE_DEVICES name a GPU or an instance that is there? Indices count from
// 0; a name may be shortened as long as it starts like a UUID.
bool names_device(const GpuProbe& probe, const std::string& entry) {
  if (entry.empty()) return false;
  if (entry.find_first_not_of("0123456789") == std::string::npos)
    return entry.size() <= 4 && std::stoul(entry) < probe.gpus.size();
  for (const GpuFacts& gpu : probe.gpus) {
    if (gpu.uuid.rfind(entry, 0) == 0) return true;
    for (const std::string& instance : gpu.mig_uuids)
      if (instance.rfind(entry, 0) == 0) return true;
  }
  return false;
}

std::optional<Finding> not_built_for(const Case& c) {
  const GpuFacts* gpu = asked_gpu(c);
  const bool told = c.status == kCudaNoKernelImage;
  const bool known = gpu && gpu->capability && !c.build.architectures.empty();
  if (!told && (!known || runs_on(c.build, static_cast<int>(*gpu->capability))))
    return std::nullopt;
  const std::string names = joined(c.build.architectures, " ");
  if (!known)
    return Finding{Code::kNotBuiltFor, "this build has no code for the GPU; it is for: " + names,
                   "Build Mica for it", "cmake --preset release -DMICA_CUDA_ARCHITECTURES=all"};
  const auto capability = static_cast<int>(*gpu->capability);
  return Finding{
      Code::kNotBuiltFor,
      fmt::format("{} has compute capability {}, for which this build has no code (it has {})",
                  label(*gpu), capability_text(capability), names),
      "Build Mica for it",
      fmt::format("cmake --preset release -DMICA_CUDA_ARCHITECTURES={}{}-real", capability,
                  capability >= 90 ? "a" : "")};
}

// A name of MIG's that is wrong, or no name that could be right.
std::optional<Finding> mig(const Case& c) {
  std::vector<std::string> instances, without;
  for (const GpuFacts& gpu : c.probe.gpus) {
    instances.insert(instances.end(), gpu.mig_uuids.begin(), gpu.mig_uuids.end());
    if (gpu.mig == "Enabled" && gpu.mig_uuids.empty()) without.push_back(label(gpu));
  }
  if (c.status == 0) return std::nullopt;
  const std::string visible = c.probe.cuda_visible_devices.value_or("");
  const std::string first = visible.substr(0, visible.find(','));
  if (first.rfind("MIG-", 0) == 0 && !c.probe.gpus.empty() && !names_device(c.probe, first)) {
    return Finding{
        Code::kMigWithoutInstance,
        fmt::format("CUDA_VISIBLE_DEVICES names the MIG instance {}, which is not there; there {}",
                    first, instances.empty() ? "are none" : "is " + joined(instances, ", ")),
        instances.empty() ? "Make an instance, or take the variable away"
                          : "Name one that is there",
        instances.empty() ? "sudo nvidia-smi mig -lgip"
                          : "export CUDA_VISIBLE_DEVICES=" + instances[0]};
  }
  if (without.empty() || without.size() < c.probe.gpus.size()) return std::nullopt;
  return Finding{Code::kMigWithoutInstance,
                 fmt::format("MIG is on for {}, but no instance was made", joined(without, ", ")),
                 "Make one (-lgip lists the profiles), or switch MIG off",
                 "sudo nvidia-smi -mig 0"};
}

std::optional<Finding> hidden(const Case& c) {
  const auto& variable = c.probe.cuda_visible_devices;
  if (!variable || c.status == 0 || visible_count(c.probe) > 0) return std::nullopt;
  if (c.probe.gpus.empty() && c.status != kCudaNoDevice) return std::nullopt;
  const std::string there = c.probe.gpus.empty()
                                ? std::string()
                                : fmt::format("; the machine has {} GPU{}", c.probe.gpus.size(),
                                              c.probe.gpus.size() == 1 ? "" : "s, from 0");
  return Finding{
      Code::kHidden,
      variable->empty()
          ? "CUDA_VISIBLE_DEVICES is set and empty, which hides every GPU" + there
          : fmt::format("CUDA_VISIBLE_DEVICES is '{}', which names no GPU{}", *variable, there),
      "Unset it, or name a GPU", "unset CUDA_VISIBLE_DEVICES"};
}

std::optional<Finding> fabric(const Case& c) {
  if (c.status != kCudaSystemNotReady) return std::nullopt;
  return Finding{Code::kFabricNotReady,
                 "the NVSwitch fabric between the GPUs is not ready: nvidia-fabricmanager does not "
                 "run, or is of another version than the driver",
                 fmt::format("Start it, in the driver's version {}", c.probe.driver_version()),
                 "sudo systemctl start nvidia-fabricmanager"};
}

std::optional<Finding> ecc(const Case& c) {
  const GpuFacts* gpu = asked_gpu(c);
  if (c.status != kCudaEccUncorrectable) return std::nullopt;
  std::string reason = "the GPU's memory had an error that ECC could not correct";
  if (gpu && gpu->ecc_errors) reason += fmt::format(" ({} since the start)", *gpu->ecc_errors);
  for (const Xid& xid : c.probe.host.xids)
    if (xid.number == 48 || xid.number == 63 || xid.number == 64 || xid.number == 94 ||
        xid.number == 95)
      reason += fmt::format("; the kernel logged Xid {} for {}", xid.number, xid.address);
  return Finding{Code::kEccError, reason,
                 "Reset the GPU when nothing runs on it; replace it if this comes back",
                 fmt::format("sudo nvidia-smi --gpu-reset -i {}", gpu ? gpu->index : 0)};
}

std::string holders(const GpuFacts& gpu) {
  std::vector<std::string> words;
  for (const GpuProcess& process : gpu.processes) {
    std::string word =
        fmt::format("{} (pid {})", process.name.empty() ? "a process" : process.name, process.pid);
    if (process.memory) word += fmt::format(" {:.1f} GiB", *process.memory / 1024.0);
    words.push_back(std::move(word));
  }
  return words.empty() ? "no process that can be seen from here" : joined(words, ", ");
}

std::optional<Finding> busy(const Case& c) {
  if (c.status != kCudaDeviceUnavailable) return std::nullopt;
  const GpuFacts* gpu = asked_gpu(c);
  if (!gpu)
    return Finding{Code::kBusy, "the GPU is busy or closed to programs", "See who uses it",
                   "nvidia-smi"};
  if (gpu->compute_mode == "Default" || gpu->compute_mode.empty())
    return Finding{Code::kBusy, label(*gpu) + " is not available; it is used by " + holders(*gpu),
                   "End that program, or take another GPU", "nvidia-smi"};
  return Finding{Code::kBusy,
                 fmt::format("{} is in compute mode {}; it is used by {}", label(*gpu),
                             gpu->compute_mode, holders(*gpu)),
                 "End that program, or let several use the GPU",
                 fmt::format("sudo nvidia-smi -i {} -c DEFAULT", gpu->index)};
}

std::optional<Finding> memory_full(const Case& c) {
  if (c.status != kCudaOutOfMemory) return std::nullopt;
  std::string reason = "no memory is left on the GPU";
  const GpuFacts* gpu = asked_gpu(c);
  if (gpu && gpu->memory_total && gpu->memory_used)
    reason = fmt::format("{} has {:.1f} of {:.1f} GiB free; held by {}", label(*gpu),
                         (*gpu->memory_total - *gpu->memory_used) / 1024.0,
                         *gpu->memory_total / 1024.0, holders(*gpu));
  return Finding{Code::kMemoryFull, reason,
                 "End what holds it, take another GPU, or a smaller model or context",
                 "nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv"};
}

std::optional<Finding> too_few(const Case& c) {
  const int count = c.probe.cuda.device_count.value_or(visible_count(c.probe));
  if (count == 0 ? c.status != kCudaInvalidDevice : c.index < count) return std::nullopt;
  std::string reason = fmt::format("'{}' was asked for, there {} {} GPU{}", c.ask.device,
                                   count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
  if (c.probe.cuda_visible_devices)
    reason += fmt::format(" (CUDA_VISIBLE_DEVICES is '{}')", *c.probe.cuda_visible_devices);
  if (count == 0)
    return Finding{Code::kTooFewDevices, reason, "Use the CPU", "mica … --device cpu"};
  return Finding{Code::kTooFewDevices, reason, "Take another; counting starts at 0",
                 fmt::format("mica … --device cuda:{}", count - 1)};
}

}  // namespace

std::optional<Finding> check_age(const Case& c) {
  const int oldest = oldest_capability(c.build);
  const GpuFacts* gpu = asked_gpu(c);
  if (oldest == 0 || !gpu || !gpu->capability || *gpu->capability >= oldest) return std::nullopt;
  const auto capability = static_cast<int>(*gpu->capability);
  const bool other_build = capability >= kOldestGpu;
  return Finding{
      Code::kGpuTooOld,
      fmt::format("{} has compute capability {}, this build is for {} and newer", label(*gpu),
                  capability_text(capability), capability_text(oldest)),
      other_build ? "Build Mica for it" : "Mica's kernels need 8.0 (Ampere) or newer; use the CPU",
      other_build
          ? fmt::format("cmake --preset release -DMICA_CUDA_ARCHITECTURES={}-real", capability)
          : "mica … --device cpu"};
}

int visible_count(const GpuProbe& probe) {
  if (!probe.cuda_visible_devices) return static_cast<int>(probe.gpus.size());
  // CUDA takes the entries up to the first that names nothing.
  int count = 0;
  for (const std::string& entry : split(*probe.cuda_visible_devices)) {
    if (!names_device(probe, entry)) break;
    ++count;
  }
  return count;
}

const GpuFacts* asked_gpu(const Case& c) {
  const auto index = static_cast<size_t>(c.index);
  const std::vector<GpuFacts>& all = c.probe.gpus;
  if (index < c.probe.cuda.devices.size()) {
    const GpuFacts& device = c.probe.cuda.devices[index];
    // NVML writes the domain with eight digits, CUDA with four: 00000000:01:00.0.
    for (const GpuFacts& gpu : all)
      if (!device.bus.empty() && gpu.bus.ends_with(device.bus)) return &gpu;
    return &device;
  }
  // CUDA may count GPUs in another order than the driver unless all are of one kind.
  const bool alike = std::all_of(all.begin(), all.end(),
                                 [&](const GpuFacts& gpu) { return gpu.name == all[0].name; });
  return alike && index < all.size() && !c.probe.cuda_visible_devices ? &all[index] : nullptr;
}

std::optional<Finding> check_device(const Case& c) {
  for (Check check : {fabric, ecc, busy, memory_full, mig, hidden, too_few, not_built_for})
    if (auto finding = check(c)) return finding;
  return std::nullopt;
}

}  // namespace mica::gpu
