#include <algorithm>
#include <cerrno>

#include "ops/cuda/diagnosis_checks.h"

namespace mica::gpu {
namespace {

using Code = FindingCode;

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

const char* container_command(const HostFacts& host) {
  if (host.container == "podman") return "podman run --device nvidia.com/gpu=all …";
  return host.container == "kubernetes" ? "" : "docker run --gpus all …";
}

std::string container_remedy(const GpuProbe& probe) {
  std::string text;
  if (probe.host.container == "kubernetes")
    text = "Give the pod a GPU (resources: limits: nvidia.com/gpu: 1)";
  else
    text = "Start the container with its GPUs";
  text += "; the host needs the package nvidia-container-toolkit";
  const auto& visible = probe.nvidia_visible_devices;
  if (visible && (visible->empty() || *visible == "void" || *visible == "none"))
    text += fmt::format("; NVIDIA_VISIBLE_DEVICES is '{}' and keeps them out", *visible);
  return text;
}

const DeviceNode* find_node(const HostFacts& host, const std::string& path) {
  for (const DeviceNode& node : host.nodes)
    if (node.path == path) return &node;
  return nullptr;
}

bool any_node(const HostFacts& host) {
  return std::any_of(host.nodes.begin(), host.nodes.end(),
                     [](const DeviceNode& node) { return node.exists; });
}

std::optional<Finding> off_bus(const Case& c) {
  for (const PciGpu& gpu : c.probe.host.pci_gpus)
    if (!gpu.answers)
      return Finding{
          Code::kFellOffBus,
          fmt::format("the GPU at {} does not answer on the PCIe bus any more", gpu.address),
          "Switch the machine off and on; if it comes back, check the GPU's power cables, "
          "cooling and riser",
          "sudo dmesg | grep -i xid"};
  std::string lost = c.probe.smi.error;
  for (const GpuFacts& gpu : c.probe.gpus)
    if (!gpu.failure.empty()) lost = fmt::format("GPU {}: {}", gpu.index, gpu.failure);
  if (!contains(lost, "lost") && !contains(lost, "fallen off")) return std::nullopt;
  std::string reason = "the driver has lost a GPU (" + lost + ")";
  for (const Xid& xid : c.probe.host.xids)
    if (xid.number == 79) reason += fmt::format("; the kernel logged Xid 79 for {}", xid.address);
  return Finding{Code::kFellOffBus, reason,
                 "Restart the machine; if it comes back, check the GPU's power, cooling and slot",
                 "sudo reboot"};
}

std::optional<Finding> no_gpu(const Case& c) {
  const HostFacts& host = c.probe.host;
  if (host.wsl || !host.pci_gpus.empty() || !host.module.empty() || any_node(host) ||
      !c.probe.gpus.empty())
    return std::nullopt;
  Finding finding{Code::kNoGpu,
                  c.probe.cuda.library.found
                      ? "the driver's library is there, but this machine shows no NVIDIA GPU"
                      : "this machine shows no NVIDIA GPU and no NVIDIA driver",
                  "Use the CPU, or a machine that has one", "mica … --device cpu"};
  if (!host.container.empty()) {
    finding.reason =
        fmt::format("this {} container shows no NVIDIA GPU (has its host one?)", host.container);
    finding.remedy = container_remedy(c.probe);
    finding.command = container_command(host);
  }
  return finding;
}

std::optional<Finding> wsl(const Case& c) {
  const HostFacts& host = c.probe.host;
  if (!host.wsl || c.probe.cuda.library.found) return std::nullopt;
  const DeviceNode* node = find_node(host, "/dev/dxg");
  const bool gpu = node && node->exists;
  if (!c.probe.cuda.library.elsewhere.empty()) return std::nullopt;  // not_in_path() says it
  return Finding{
      gpu ? Code::kNoLibrary : Code::kNodesMissing,
      gpu ? "WSL shows a GPU (/dev/dxg), but not the driver's libcuda.so.1"
          : "WSL shows no GPU: /dev/dxg is missing (WSL 1, or an old WSL 2)",
      "Install NVIDIA's driver for Windows (none inside WSL), then update WSL in Windows",
      "wsl --update"};
}

std::optional<Finding> no_module(const Case& c) {
  const HostFacts& host = c.probe.host;
  if (host.wsl || !host.module.empty() || !c.probe.gpus.empty()) return std::nullopt;
  for (const PciGpu& gpu : host.pci_gpus) {
    if (gpu.driver == "nouveau" || gpu.driver == "nova_core")
      return Finding{Code::kOtherDriver,
                     fmt::format("the GPU at {} is run by the kernel's driver {}, not by NVIDIA's",
                                 gpu.address, gpu.driver),
                     "Install NVIDIA's driver, which replaces it, and restart the machine",
                     install_driver_command(host)};
    if (gpu.driver.rfind("vfio", 0) == 0)
      return Finding{Code::kOtherDriver,
                     fmt::format("the GPU at {} is set aside for virtual machines ({})",
                                 gpu.address, gpu.driver),
                     "Run Mica in the machine that has it, or give it back to the NVIDIA driver",
                     ""};
  }
  if (!host.container.empty())
    return Finding{Code::kNoDriver, "the host of this container has no NVIDIA driver loaded",
                   "Install NVIDIA's driver on the host", ""};
  if (c.probe.cuda.library.found)
    return Finding{Code::kNoDriver,
                   "the driver's library is there, its kernel module is not loaded",
                   "Load it; if that fails, the module was not built for this kernel (install the "
                   "kernel's headers and the driver again) or Secure Boot refused it",
                   "sudo modprobe nvidia"};
  return Finding{
      Code::kNoDriver,
      host.pci_gpus.empty()
          ? std::string("no NVIDIA driver is loaded")
          : fmt::format("an NVIDIA GPU is there ({}), its driver is not", host.pci_gpus[0].address),
      "Install NVIDIA's driver and restart the machine", install_driver_command(host)};
}

std::optional<Finding> no_library(const Case& c) {
  const HostFacts& host = c.probe.host;
  const LibraryFacts& library = c.probe.cuda.library;
  if (library.found) return std::nullopt;
  if (!library.elsewhere.empty())
    return Finding{
        Code::kLibraryNotInPath,
        fmt::format("libcuda.so.1 lies at {}, where the loader does not look", library.elsewhere),
        "Name its folder to the loader",
        fmt::format("export LD_LIBRARY_PATH={}",
                    std::filesystem::path(library.elsewhere).parent_path().string())};
  const std::string reason =
      fmt::format("the kernel module of NVIDIA driver {} is loaded, its library libcuda.so.1 is {}",
                  host.module, host.container.empty() ? "missing" : "not in this container");
  if (!host.container.empty() && c.probe.nvml.library.found)
    return Finding{
        Code::kNoLibrary, reason + ", NVML is",
        "Let the container compute: the variable NVIDIA_DRIVER_CAPABILITIES must name it",
        "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility …"};
  if (!host.container.empty())
    return Finding{Code::kNoLibrary, reason, container_remedy(c.probe), container_command(host)};
  const std::string branch = host.module.substr(0, host.module.find('.'));
  std::string command;
  if (host.system == "ubuntu") command = "sudo apt install libnvidia-compute-" + branch;
  if (host.system == "debian") command = "sudo apt install libcuda1";
  return Finding{Code::kNoLibrary, reason,
                 "Install the driver's library of the same version " + host.module, command};
}

std::optional<Finding> stub(const Case& c) {
  const std::string& path = c.probe.cuda.library.path;
  if (c.status != kCudaStubLibrary && !contains(path, "/stubs/")) return std::nullopt;
  return Finding{Code::kStubLibrary,
                 fmt::format("the loader took {}, which is only for linking, as libcuda.so.1",
                             path.empty() ? "the CUDA toolkit's stub" : path),
                 "Take the toolkit's folder 'stubs' out of LD_LIBRARY_PATH",
                 "unset LD_LIBRARY_PATH"};
}

std::optional<Finding> no_answer(const Case& c) {
  const bool crashed = c.probe.cuda.init_call == CallState::kCrashed;
  const bool cuda_hung = c.probe.cuda.init_call == CallState::kHung;
  if (crashed)
    return Finding{Code::kDriverCrashes, "cuInit of the driver's library crashed",
                   "Install the driver again, library and kernel module of one version",
                   install_driver_command(c.probe.host)};
  if (!cuda_hung && !c.probe.nvml.hung && !c.probe.smi.hung) return std::nullopt;
  const char* what = cuda_hung ? "cuInit" : c.probe.nvml.hung ? "NVML" : "nvidia-smi";
  return Finding{Code::kDriverHangs,
                 fmt::format("the driver does not answer: {} hung and was ended", what),
                 "See what the kernel logged about it, then restart the machine",
                 "sudo dmesg | grep -iE 'nvrm|xid'"};
}

std::optional<Finding> mismatch(const Case& c) {
  const bool told = c.status == kCudaDriverMismatch ||
                    c.probe.nvml.init_status == kNvmlDriverMismatch ||
                    contains(c.probe.smi.error, "version mismatch");
  if (!told) return std::nullopt;
  std::string found;
  const std::string& path = c.probe.cuda.library.path;
  const size_t version = path.rfind(".so.");
  if (version != std::string::npos && path.find('.', version + 4) != std::string::npos)
    found = fmt::format(" (module {}, library {})", c.probe.host.module, path.substr(version + 4));
  const bool container = !c.probe.host.container.empty();
  return Finding{Code::kVersionMismatch,
                 "the driver's library and the loaded kernel module are of different versions" +
                     found + ", as after an update",
                 container ? "Start the container anew; if that does not help, restart the host"
                           : "Restart the machine, so that the new module is loaded",
                 container ? "" : "sudo reboot"};
}

std::optional<Finding> nodes_missing(const Case& c) {
  const HostFacts& host = c.probe.host;
  if (host.wsl) return std::nullopt;
  std::string missing;
  bool gpu_node = false;
  for (const DeviceNode& node : host.nodes) {
    if (!node.exists) missing += (missing.empty() ? "" : ", ") + node.path;
    gpu_node |= node.exists && node.path.find_last_of("0123456789") == node.path.size() - 1;
  }
  if (!gpu_node) missing += (missing.empty() ? "" : ", ") + std::string("/dev/nvidia0");
  if (missing.empty()) return std::nullopt;
  if (!host.container.empty())
    return Finding{Code::kNodesMissing, "this container lacks the device nodes " + missing,
                   container_remedy(c.probe), container_command(host)};
  return Finding{Code::kNodesMissing, "the device nodes are missing: " + missing,
                 "Have the driver make them (root, once after each start)",
                 "sudo nvidia-modprobe -c 0 -u"};
}

std::optional<Finding> no_permission(const Case& c) {
  const HostFacts& host = c.probe.host;
  std::string denied, group;
  bool policy = false, join = true;
  for (const DeviceNode& node : host.nodes) {
    if (!node.exists || (node.error != EACCES && node.error != EPERM)) continue;
    policy |= node.error == EPERM;
    join &= (node.mode & 0060) == 0060 && node.group != "root";
    group = node.group;
    denied += fmt::format("{}{} ({}:{} {:04o})", denied.empty() ? "" : ", ", node.path, node.owner,
                          node.group, node.mode);
  }
  if (denied.empty()) return std::nullopt;
  if (policy)
    return Finding{Code::kDeniedByContainer,
                   "the device policy of this container or service forbids " + denied,
                   host.container.empty()
                       ? "Allow it there (systemd: DeviceAllow=)"
                       : "Start the container anew with its GPUs; a reload of systemd on the host "
                         "takes them away from running containers",
                   host.container.empty() ? "" : container_command(host)};
  const std::string reason = "this user may not read and write " + denied;
  if (join)
    return Finding{Code::kNoPermission, reason,
                   fmt::format("Join the group {}, then log in again", group),
                   fmt::format("sudo usermod -aG {} $USER", group)};
  return Finding{Code::kNoPermission, reason,
                 "Let the driver make them for all users and restart the machine",
                 "echo 'options nvidia NVreg_DeviceFileMode=0666' | sudo tee "
                 "/etc/modprobe.d/nvidia-nodes.conf"};
}

std::optional<Finding> driver_too_old(const Case& c) {
  if (!c.build.cuda) return std::nullopt;
  const auto& version = c.probe.cuda.driver_version;
  const bool older = version && *version / 1000 < c.build.runtime / 1000;
  if (!older && c.status != kCudaInsufficientDriver && c.status != kCudaUnsupportedPtx)
    return std::nullopt;
  const std::string driver = c.probe.driver_version();
  std::string found = driver.empty() ? "an older one" : "driver " + driver;
  if (version) found += fmt::format(" of CUDA {}", version_text(*version));
  return Finding{
      Code::kDriverTooOld,
      fmt::format("expected {} or newer for the CUDA {} runtime of this build, found {}",
                  needed_driver(c.build.runtime), version_text(c.build.runtime), found),
      c.probe.host.container.empty()
          ? "Install a newer driver and restart the machine; or build Mica with an older "
            "CUDA toolkit (12.8)"
          : "Install a newer driver on the container's host",
      c.probe.host.container.empty() ? install_driver_command(c.probe.host) : ""};
}

std::optional<Finding> compat(const Case& c) {
  if (c.status != kCudaCompatNotSupported) return std::nullopt;
  return Finding{Code::kCompatNotSupported,
                 fmt::format("the forward-compatibility library {} does not go with this GPU and "
                             "driver {}",
                             c.probe.cuda.library.path, c.probe.driver_version()),
                 "Take its folder 'compat' out of LD_LIBRARY_PATH and of /etc/ld.so.conf.d; if the "
                 "driver is too old then, install a newer one",
                 "unset LD_LIBRARY_PATH"};
}

}  // namespace

std::string needed_driver(int runtime) {
  // CUDA Compatibility, table 1: the first driver branch of a major version runs all its minors.
  switch (runtime / 1000) {
    case 11: return "NVIDIA driver 450";
    case 12: return "NVIDIA driver 525";
    case 13: return "NVIDIA driver 580";
    default: return fmt::format("an NVIDIA driver of CUDA {}", runtime / 1000);
  }
}

std::string install_driver_command(const HostFacts& host) {
  if (host.system == "ubuntu") return "sudo ubuntu-drivers install";
  if (host.system == "debian") return "sudo apt install nvidia-driver";
  if (host.system == "fedora" || host.system == "rhel" || host.system == "rocky" ||
      host.system == "almalinux")
    return "sudo dnf install cuda-drivers";
  if (host.system == "arch") return "sudo pacman -S nvidia-open";
  return "";
}

std::optional<Finding> check_driver(const Case& c) {
  // With these the driver answered: what keeps other programs from it is not the cause.
  constexpr int kAnswered[] = {0,
                               kCudaOutOfMemory,
                               kCudaDeviceUnavailable,
                               kCudaInvalidDevice,
                               kCudaNoKernelImage,
                               kCudaEccUncorrectable,
                               kCudaSystemNotReady};
  if (std::find(std::begin(kAnswered), std::end(kAnswered), c.status) != std::end(kAnswered))
    return driver_too_old(c);
  for (Check check : {off_bus, no_gpu, wsl, no_module, no_library, stub, no_answer, mismatch,
                      nodes_missing, no_permission, driver_too_old, compat})
    if (auto finding = check(c)) return finding;
  return std::nullopt;
}

}  // namespace mica::gpu
