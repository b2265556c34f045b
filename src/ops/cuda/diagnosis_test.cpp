// Each way in which a GPU is not usable, staged as files, libraries and programs where that is
// possible, else as facts.
#include "ops/cuda/diagnosis.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "ops/cuda/diagnosis_checks.h"
#include "ops/cuda/probe/staged_machine.h"

namespace mica::gpu {
namespace {

using Code = FindingCode;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Diagnosis : public testing::Test {
 protected:
  // The finding, after checks that go for all: it is whole, and its error says all of it.
  Finding finding(const Ask& ask = {}) const { return finding_of(machine.probe(), ask); }
  Finding finding_of(const GpuProbe& probe, const Ask& ask = {}) const {
    const Finding found = diagnose(probe, build, ask);
    if (found.code == Code::kUsable) return found;
    EXPECT_FALSE(found.reason.empty());
    EXPECT_FALSE(found.remedy.empty());
    const Error error = unusable_error(found, ask);
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    EXPECT_EQ(exit_status(error.kind()), 3);
    for (const std::string& part : {ask.device, found.reason, found.remedy, found.command})
      EXPECT_TRUE(contains(error.what(), part)) << error.what();
    EXPECT_TRUE(contains(error.what(), "--device cpu")) << error.what();
    return found;
  }
  void expect(Code code, const std::string& in_reason, const std::string& in_remedy,
              const Finding& found) const {
    EXPECT_STREQ(name(found.code), name(code)) << found.reason;
    EXPECT_TRUE(contains(found.reason, in_reason)) << found.reason;
    EXPECT_TRUE(contains(found.remedy + " " + found.command, in_remedy))
        << found.remedy << " " << found.command;
  }
  // A machine on which all is well.
  void sound() {
    machine.gpu_and_module();
    machine.libraries();
  }

  StagedMachine machine;
  GpuBuild build = parse_build("13.0", "80-real 90a-real 120a-real");
};

TEST_F(Diagnosis, SoundMachine) {
  sound();
  EXPECT_EQ(finding().code, Code::kUsable);
  EXPECT_EQ(finding({"cuda:0", 0, ""}).code, Code::kUsable);
}

TEST_F(Diagnosis, NoGpuAtAll) {
  expect(Code::kNoGpu, "no NVIDIA GPU and no NVIDIA driver", "--device cpu", finding());
  machine.file(".dockerenv");
  expect(Code::kNoGpu, "docker container", "--gpus all", finding());
}

TEST_F(Diagnosis, LibraryWithoutAGpu) {
  machine.paths.cuda_library = "";
  fake_driver().init_status = 100;
  expect(Code::kNoGpu, "library is there", "--device cpu", finding({"cuda", 100, "no device"}));
}

TEST_F(Diagnosis, NoDriver) {
  machine.pci_gpu("0000:01:00.0", "");
  expect(Code::kNoDriver, "0000:01:00.0", "ubuntu-drivers install", finding({"cuda", 35, "old"}));
  machine.file("etc/os-release", "ID=debian\n");
  expect(Code::kNoDriver, "its driver is not", "apt install nvidia-driver", finding());
}

TEST_F(Diagnosis, OtherDriver) {
  machine.pci_gpu("0000:01:00.0", "nouveau");
  expect(Code::kOtherDriver, "nouveau", "NVIDIA's driver", finding());
}

TEST_F(Diagnosis, GivenToVirtualMachines) {
  machine.pci_gpu("0000:01:00.0", "vfio-pci");
  expect(Code::kOtherDriver, "vfio-pci", "give it back", finding());
}

TEST_F(Diagnosis, ModuleNotLoaded) {
  machine.pci_gpu("0000:01:00.0", "");
  machine.libraries();
  fake_driver().init_status = 100;
  fake_driver().nvml_status = 9;
  expect(Code::kNoDriver, "not loaded", "modprobe nvidia", finding());
}

TEST_F(Diagnosis, ContainerWithoutTheRuntime) {
  machine.gpu_and_module();
  machine.file(".dockerenv");
  expect(Code::kNoLibrary, "580.65.06", "--gpus all", finding({"cuda", 35, "insufficient driver"}));
  EXPECT_TRUE(contains(finding().remedy, "nvidia-container-toolkit"));
  machine.variables["NVIDIA_VISIBLE_DEVICES"] = "void";
  expect(Code::kNoLibrary, "not in this container", "'void'", finding());
}

TEST_F(Diagnosis, ContainerThatMayNotCompute) {
  machine.gpu_and_module();
  machine.file(".dockerenv");
  machine.paths.nvml_library = "";
  expect(Code::kNoLibrary, "NVML is", "NVIDIA_DRIVER_CAPABILITIES=compute", finding());
}

TEST_F(Diagnosis, LibraryPackageMissing) {
  machine.gpu_and_module("580.65.06");
  expect(Code::kNoLibrary, "missing", "libnvidia-compute-580", finding());
}

TEST_F(Diagnosis, LibraryWhereTheLoaderDoesNotLook) {
  machine.gpu_and_module();
  machine.paths.cuda_library = "libcuda-of-no-loader.so.1";
  machine.file("usr/local/nvidia/lib64/libcuda-of-no-loader.so.1");
  expect(Code::kLibraryNotInPath, "/usr/local/nvidia/lib64",
         "export LD_LIBRARY_PATH=/usr/local/nvidia/lib64", finding());
}

TEST_F(Diagnosis, StubLibrary) {
  sound();
  expect(Code::kStubLibrary, "linking", "stubs", finding({"cuda", 34, "stub library"}));
}

TEST_F(Diagnosis, Wsl) {
  machine.file("proc/version", "Linux version 5.15.90.1-microsoft-standard-WSL2\n");
  expect(Code::kNodesMissing, "/dev/dxg", "wsl --update", finding());
  machine.file("dev/dxg");
  expect(Code::kNoLibrary, "libcuda.so.1", "none inside WSL", finding());
  machine.libraries();
  EXPECT_EQ(finding().code, Code::kUsable);
}

TEST_F(Diagnosis, DriverTooOld) {
  sound();
  fake_driver().cuda_version = 12020;
  fake_driver().version = "535.183.01";
  for (const Ask& ask : {Ask{"cuda", 35, "insufficient driver"}, Ask{}}) {
    const Finding found = finding(ask);
    expect(Code::kDriverTooOld, "driver 535.183.01 of CUDA 12.2", "newer driver", found);
    EXPECT_TRUE(contains(found.reason, "NVIDIA driver 580")) << found.reason;
  }
  build = parse_build("12.9", "90a-real");
  EXPECT_EQ(finding().code, Code::kUsable) << "minor versions of one major go together";
  build = GpuBuild();
  fake_driver().cuda_version = 11040;
  EXPECT_EQ(finding().code, Code::kUsable) << "a build without CUDA needs none";
}

TEST_F(Diagnosis, ForwardCompatibilityLibrary) {
  sound();
  expect(Code::kCompatNotSupported, "forward-compatibility", "compat",
         finding({"cuda", 804, "compat not supported"}));
}

TEST_F(Diagnosis, VisibleDevicesEmpty) {
  sound();
  fake_driver().init_status = 100;
  machine.variables["CUDA_VISIBLE_DEVICES"] = "";
  expect(Code::kHidden, "set and empty", "unset CUDA_VISIBLE_DEVICES", finding());
}

TEST_F(Diagnosis, VisibleDevicesNameNone) {
  sound();
  fake_driver().init_status = 100;
  for (const char* value : {"-1", "1", "7,0", "GPU-other", "none", "99999999999999999999"}) {
    machine.variables["CUDA_VISIBLE_DEVICES"] = value;
    expect(Code::kHidden, std::string("'") + value + "'", "unset", finding());
  }
}

TEST_F(Diagnosis, VisibleDevicesAreCountedUpToTheFirstThatIsNone) {
  sound();
  FakeGpu second;
  second.uuid = "GPU-77aa";
  fake_driver().gpus.push_back(second);
  GpuProbe probe = machine.probe();
  const std::pair<const char*, int> cases[] = {{"0", 1},     {"1,0", 2},      {"0,-1,1", 1},
                                               {"0,5,1", 1}, {"GPU-77,0", 2}, {",0", 0}};
  for (const auto& [value, count] : cases) {
    probe.cuda_visible_devices = value;
    EXPECT_EQ(visible_count(probe), count) << value;
  }
}

TEST_F(Diagnosis, NoPermission) {
  sound();
  machine.nodes(0660);
  fake_driver().init_status = 100;
  // As root all may be opened: look as nobody.
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::setegid(65534), 0);
    ASSERT_EQ(::seteuid(65534), 0);
  } else {
    machine.nodes(0);
  }
  GpuProbe probe = machine.probe();
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
    ASSERT_EQ(::setegid(0), 0);
  }
  for (const DeviceNode& node : probe.host.nodes) EXPECT_EQ(node.error, EACCES) << node.path;
  expect(Code::kNoPermission, "/dev/nvidiactl", root ? "NVreg_DeviceFileMode" : "",
         finding_of(probe));
  for (DeviceNode& node : probe.host.nodes) {
    node.mode = 0660;
    node.group = "video";
  }
  expect(Code::kNoPermission, "video 0660", "usermod -aG video", finding_of(probe));
}

TEST_F(Diagnosis, DeniedByTheContainersPolicy) {
  sound();
  machine.file(".dockerenv");
  fake_driver().init_status = 100;
  GpuProbe probe = machine.probe();
  probe.host.nodes[0].error = EPERM;
  expect(Code::kDeniedByContainer, "/dev/nvidiactl", "container anew", finding_of(probe));
}

TEST_F(Diagnosis, NodesMissing) {
  sound();
  fake_driver().init_status = 999;
  std::filesystem::remove(machine.root() / "dev/nvidia-uvm");
  const Finding uvm = finding({"cuda", 999, "unknown error"});
  expect(Code::kNodesMissing, "/dev/nvidia-uvm", "nvidia-modprobe", uvm);
  EXPECT_FALSE(contains(uvm.reason, "nvidiactl"));
  std::filesystem::remove(machine.root() / "dev/nvidia0");
  expect(Code::kNodesMissing, "/dev/nvidia0", "nvidia-modprobe", finding());
  machine.file("run/.containerenv");
  expect(Code::kNodesMissing, "container lacks", "nvidia.com/gpu=all", finding());
}

TEST_F(Diagnosis, GpuTooOld) {
  sound();
  fake_driver().gpus[0].name = "Tesla V100";
  fake_driver().gpus[0].major = 7;
  fake_driver().cuda_version = 12020;  // both: a newer driver would not help
  expect(Code::kGpuTooOld, "Tesla V100", "--device cpu", finding({"cuda", 35, "old driver"}));
  build = parse_build("13.0", "90a-real");
  fake_driver().gpus[0].major = 8;
  fake_driver().gpus[0].minor = 6;
  expect(Code::kGpuTooOld, "8.6", "MICA_CUDA_ARCHITECTURES=86-real", finding());
}

TEST_F(Diagnosis, NotBuiltForThisGpu) {
  sound();
  fake_driver().gpus[0].major = 10;
  expect(Code::kNotBuiltFor, "10.0", "MICA_CUDA_ARCHITECTURES=100a-real",
         finding({"cuda", 209, "no kernel image"}));
  expect(Code::kNotBuiltFor, "80-real", "100a-real", finding());
  build = parse_build("13.0", "80");
  EXPECT_EQ(finding().code, Code::kUsable) << "its PTX is compiled by the driver";
}

TEST_F(Diagnosis, MemoryFull) {
  sound();
  machine.file("proc/4242/comm", "python3\n");
  fake_driver().gpus[0].used_mib = 81000;
  fake_driver().gpus[0].processes = {{4242, 80384}};
  expect(Code::kMemoryFull, "python3 (pid 4242) 78.5 GiB", "smaller model",
         finding({"cuda", 2, "out of memory"}));
}

TEST_F(Diagnosis, MigWithoutInstance) {
  sound();
  fake_driver().init_status = 100;
  fake_driver().gpus[0].mig = true;
  expect(Code::kMigWithoutInstance, "no instance", "nvidia-smi -mig 0",
         finding({"cuda", 100, "no device"}));
}

TEST_F(Diagnosis, MigInstanceNamedWrongly) {
  sound();
  fake_driver().init_status = 100;
  fake_driver().gpus[0].mig = true;
  fake_driver().gpus[0].instances = {"MIG-aaaa"};
  machine.variables["CUDA_VISIBLE_DEVICES"] = "MIG-bbbb";
  expect(Code::kMigWithoutInstance, "MIG-bbbb", "export CUDA_VISIBLE_DEVICES=MIG-aaaa", finding());
}

TEST_F(Diagnosis, VersionMismatch) {
  sound();
  fake_driver().init_status = 803;
  fake_driver().nvml_status = 18;
  expect(Code::kVersionMismatch, "different versions", "reboot", finding());
}

TEST_F(Diagnosis, VersionMismatchToldBySmi) {
  machine.gpu_and_module();
  machine.paths.cuda_library = "";
  fake_driver().init_status = 999;
  machine.smi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18");
  expect(Code::kVersionMismatch, "different versions", "reboot", finding());
}

TEST_F(Diagnosis, FellOffTheBus) {
  machine.pci_gpu("0000:01:00.0", "nvidia", "\xff\xff\xff\xff");
  machine.module("580.65.06");
  machine.nodes();
  machine.libraries();
  fake_driver().init_status = 999;
  expect(Code::kFellOffBus, "0000:01:00.0", "dmesg", finding());
}

TEST_F(Diagnosis, LostGpu) {
  sound();
  fake_driver().init_status = 999;
  fake_driver().gpus[0].handle_status = 15;
  machine.file("dev/kmsg", "6,1,2,-;NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n");
  expect(Code::kFellOffBus, "GPU is lost", "reboot", finding());
  EXPECT_TRUE(contains(finding().reason, "Xid 79 for 0000:01:00")) << finding().reason;
}

TEST_F(Diagnosis, EccError) {
  sound();
  machine.file("dev/kmsg", "6,1,2,-;NVRM: Xid (PCI:0000:01:00): 48, DBE\n");
  const Finding found = finding({"cuda", 214, "uncorrectable ECC error"});
  expect(Code::kEccError, "ECC", "--gpu-reset -i 0", found);
  EXPECT_TRUE(contains(found.reason, "Xid 48")) << found.reason;
}

TEST_F(Diagnosis, TooFewDevices) {
  sound();
  expect(Code::kTooFewDevices, "there is 1 GPU", "--device cuda:0", finding({"cuda:2", 101, "x"}));
  expect(Code::kTooFewDevices, "'cuda:1'", "--device cuda:0", finding({"cuda:1", 0, ""}));
}

TEST_F(Diagnosis, BusyByComputeMode) {
  sound();
  fake_driver().gpus[0].compute_mode = 3;
  fake_driver().gpus[0].processes = {{4242, 100}};
  expect(Code::kBusy, "Exclusive_Process", "-c DEFAULT", finding({"cuda", 46, "unavailable"}));
}

TEST_F(Diagnosis, FabricNotReady) {
  sound();
  expect(Code::kFabricNotReady, "nvidia-fabricmanager", "systemctl start",
         finding({"cuda", 802, "system not ready"}));
}

TEST_F(Diagnosis, SmiHangs) {
  machine.gpu_and_module();
  machine.paths.cuda_library = "";
  machine.paths.smi_seconds = 0.3;
  fake_driver().init_status = 999;
  machine.smi("sleep 60");
  expect(Code::kDriverHangs, "nvidia-smi hung", "dmesg", finding());
}

TEST_F(Diagnosis, CudaHangsOrCrashes) {
  sound();
  machine.paths.cuda_seconds = 0.3;
  fake_driver().init_hangs = true;
  expect(Code::kDriverHangs, "cuInit hung", "dmesg", finding());
  fake_driver().init_hangs = false;
  fake_driver().init_crashes = true;
  expect(Code::kDriverCrashes, "crashed", "again", finding());
}

TEST_F(Diagnosis, UnknownCauseKeepsWhatCudaSaid) {
  sound();
  expect(Code::kUnknown, "strange error", "dmesg", finding({"cuda", 719, "strange error"}));
}

TEST_F(Diagnosis, BuildWithoutCuda) {
  expect(Code::kNoCudaBuild, "no GPU was found", "-DMICA_CUDA=ON", no_cuda_build(machine.probe()));
  sound();
  expect(Code::kNoCudaBuild, "has a GPU (NVIDIA H100", "-DMICA_CUDA=ON",
         no_cuda_build(machine.probe()));
}

TEST_F(Diagnosis, ThrowsOnThisMachine) {
  try {
    throw_unusable("cuda:99", 101, "invalid device ordinal");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    EXPECT_TRUE(contains(error.what(), "cuda:99")) << error.what();
  }
  EXPECT_THROW(throw_no_cuda_build("cuda"), Error);
}

}  // namespace
}  // namespace mica::gpu
