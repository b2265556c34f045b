// For tests: a machine of files in a temporary folder, with a driver that is part of the test
// program (fake_driver.h) and scripts for nvidia-smi.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "ops/cuda/probe/fake_driver.h"
#include "ops/cuda/probe/probe.h"
#include "temp_folder.h"

namespace mica::gpu {

class StagedMachine {
 public:
  StagedMachine() {
    std::filesystem::permissions(root(), std::filesystem::perms(0755));
    fake_driver() = FakeDriver();
    paths.root = root();
    paths.cuda_library = paths.nvml_library = (root() / "missing.so").string();
    paths.programs = (root() / "bin").string();
    paths.variable = [this](const char* name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    file("etc/os-release", "NAME=\"Ubuntu\"\nID=ubuntu\nVERSION_ID=\"24.04\"\n");
    file("proc/version", "Linux version 6.8.0-45-generic (buildd@lcy02)\n");
    file("proc/1/cgroup", "0::/init.scope\n");
  }

  std::filesystem::path root() const { return folder_.path(); }
  std::filesystem::path file(const std::string& path, const std::string& text = "") const {
    const std::filesystem::path full = root() / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary) << text;
    return full;
  }
  void pci_gpu(const std::string& address, const std::string& driver,
               const std::string& registers = "\xde\x10\x04\x22") const {
    const std::string folder = "sys/bus/pci/devices/" + address;
    file(folder + "/vendor", "0x10de\n");
    file(folder + "/class", "0x030200\n");
    file(folder + "/config", registers);
    if (!driver.empty())
      std::filesystem::create_symlink("../../../bus/pci/drivers/" + driver,
                                      root() / folder / "driver");
  }
  void module(const std::string& version) const {
    file("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " +
                                           version +
                                           "  Release Build  (dvs-builder@U22)\nGCC version: 12\n");
  }
  void nodes(unsigned mode = 0666) const {
    for (const char* name : {"nvidiactl", "nvidia-uvm", "nvidia0"})
      ::chmod(file(std::string("dev/") + name).c_str(), mode);
  }
  // A GPU, its driver's module and nodes: what a sound machine has but for the libraries.
  void gpu_and_module(const std::string& version = "580.65.06") const {
    pci_gpu("0000:01:00.0", "nvidia");
    module(version);
    nodes();
  }
  // Both libraries are found: those of fake_driver().
  void libraries() { paths.cuda_library = paths.nvml_library = ""; }
  void smi(const std::string& script) const {
    ::chmod(file("bin/nvidia-smi", "#!/bin/sh\n" + script + "\n").c_str(), 0755);
  }
  GpuProbe probe() const { return probe_gpus(paths); }

  ProbePaths paths;
  std::map<std::string, std::string> variables;

 private:
  TempFolder folder_;
};

}  // namespace mica::gpu
