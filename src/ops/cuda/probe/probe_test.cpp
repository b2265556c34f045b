// What is read from files, from the libraries and from nvidia-smi.
#include "ops/cuda/probe/probe.h"

#include <gtest/gtest.h>

#include "ops/cuda/probe/build.h"
#include "ops/cuda/probe/staged_machine.h"

namespace mica::gpu {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Probe, EmptyMachine) {
  const StagedMachine machine;
  const GpuProbe probe = machine.probe();
  EXPECT_TRUE(probe.gpus.empty());
  EXPECT_TRUE(probe.host.pci_gpus.empty());
  EXPECT_EQ(probe.host.system, "ubuntu");
  EXPECT_EQ(probe.host.container, "");
  EXPECT_EQ(probe.host.module, "");
  EXPECT_FALSE(probe.host.wsl);
  EXPECT_FALSE(probe.cuda.library.found);
  EXPECT_NE(probe.cuda.library.error.find("missing.so"), std::string::npos);
  EXPECT_EQ(probe.cuda.init_call, CallState::kNotMade);
  EXPECT_FALSE(probe.cuda_visible_devices);
  EXPECT_EQ(probe.driver_version(), "");
}

TEST(Probe, FilesOfADriver) {
  StagedMachine machine;
  machine.gpu_and_module("570.86.10");
  machine.pci_gpu("0000:02:00.0", "nouveau");
  machine.pci_gpu("0000:03:00.0", "", "\xff\xff\xff\xff");
  machine.file("sys/bus/pci/devices/0000:04:00.0/vendor", "0x8086\n");
  machine.file("dev/nvidia12");
  machine.file("dev/nvidia-modeset");
  machine.file("dev/kmsg",
               "6,1,2,-;NVRM: Xid (PCI:0000:03:00): 79, pid=1, GPU has fallen off the bus.\n"
               "6,1,2,-;NVRM: Xid (PCI:0000:01:00): 31, pid=2\nNVRM: Xid (PCI:");
  machine.variables = {{"CUDA_VISIBLE_DEVICES", ""}, {"NVIDIA_VISIBLE_DEVICES", "void"}};
  const GpuProbe probe = machine.probe();
  const HostFacts& host = probe.host;
  EXPECT_EQ(host.module, "570.86.10");
  EXPECT_TRUE(host.module_open);
  EXPECT_EQ(probe.driver_version(), "570.86.10");
  ASSERT_EQ(host.pci_gpus.size(), 3u);
  EXPECT_EQ(host.pci_gpus[0].driver, "nvidia");
  EXPECT_EQ(host.pci_gpus[1].driver, "nouveau");
  EXPECT_TRUE(host.pci_gpus[1].answers);
  EXPECT_EQ(host.pci_gpus[2].address, "0000:03:00.0");
  EXPECT_FALSE(host.pci_gpus[2].answers);
  ASSERT_EQ(host.xids.size(), 2u);
  EXPECT_EQ(host.xids[0].address, "0000:03:00");
  EXPECT_EQ(host.xids[0].number, 79);
  ASSERT_EQ(host.nodes.size(), 4u);
  EXPECT_EQ(host.nodes[0].path, "/dev/nvidiactl");
  EXPECT_EQ(host.nodes[0].mode, 0666u);
  EXPECT_EQ(host.nodes[0].error, 0);
  EXPECT_EQ(host.nodes[3].path, "/dev/nvidia12");
  EXPECT_EQ(probe.cuda_visible_devices, "");
  EXPECT_EQ(probe.nvidia_visible_devices, "void");
}

TEST(Probe, ProprietaryModuleText) {
  const StagedMachine machine;
  machine.file("proc/driver/nvidia/version",
               "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30\n");
  const GpuProbe probe = machine.probe();
  EXPECT_EQ(probe.host.module, "550.54.14");
  EXPECT_FALSE(probe.host.module_open);
}

TEST(Probe, Containers) {
  const auto container = [](const std::function<void(StagedMachine&)>& stage) {
    StagedMachine machine;
    stage(machine);
    return machine.probe().host.container;
  };
  EXPECT_EQ(container([](auto& m) { m.file(".dockerenv"); }), "docker");
  EXPECT_EQ(container([](auto& m) { m.file("run/.containerenv"); }), "podman");
  EXPECT_EQ(container([](auto& m) { m.variables["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"; }),
            "kubernetes");
  EXPECT_EQ(container([](auto& m) { m.file("proc/1/cgroup", "0::/kubepods/x\n"); }), "kubernetes");
  EXPECT_EQ(container([](auto& m) { m.file("proc/1/cgroup", "12:cpu:/docker/9f\n"); }), "docker");
  EXPECT_EQ(container([](auto& m) { m.variables["container"] = "lxc"; }), "lxc");
}

TEST(Probe, LibrariesTellEveryGpu) {
  StagedMachine machine;
  machine.gpu_and_module();
  machine.libraries();
  machine.file("proc/4242/comm", "python3\n");
  FakeGpu second;
  second.name = "NVIDIA RTX PRO 6000";
  second.uuid = "GPU-77";
  second.bus = "00000000:41:00.0";
  second.major = 12;
  second.mig = true;
  second.instances = {"MIG-aa", "MIG-bb"};
  second.link_width = 8;
  second.processes = {{4242, 20480}, {4343, 512}};
  fake_driver().gpus.push_back(second);
  const GpuProbe probe = machine.probe();
  EXPECT_TRUE(probe.cuda.library.found);
  EXPECT_EQ(probe.cuda.driver_version, 13000);
  EXPECT_EQ(probe.cuda.init_call, CallState::kReturned);
  EXPECT_EQ(probe.cuda.init_status, 0);
  EXPECT_EQ(probe.cuda.device_count, 2);
  ASSERT_EQ(probe.cuda.devices.size(), 2u);
  EXPECT_EQ(probe.cuda.devices[1].bus, "0000:41:00.0");
  EXPECT_EQ(probe.cuda.devices[1].capability, 120);
  EXPECT_EQ(probe.driver_version(), "580.65.06");
  ASSERT_EQ(probe.gpus.size(), 2u);
  const GpuFacts& gpu = probe.gpus[1];
  EXPECT_EQ(gpu.index, 1);
  EXPECT_EQ(gpu.name, "NVIDIA RTX PRO 6000");
  EXPECT_EQ(gpu.capability, 120);
  EXPECT_EQ(gpu.memory_total, 81559);
  EXPECT_EQ(gpu.memory_used, 1000);
  EXPECT_EQ(gpu.mig, "Enabled");
  EXPECT_EQ(gpu.mig_uuids, (std::vector<std::string>{"MIG-aa", "MIG-bb"}));
  EXPECT_EQ(gpu.link_width, 8);
  EXPECT_EQ(gpu.link_width_max, 16);
  EXPECT_FALSE(gpu.link_generation);  // the library has no such function
  EXPECT_EQ(gpu.sm_clock, 345);
  EXPECT_EQ(gpu.memory_clock, 2619);
  EXPECT_EQ(gpu.slowdown, 1);
  EXPECT_EQ(gpu.temperature, 33);
  EXPECT_EQ(gpu.power, 71.5);
  EXPECT_EQ(gpu.ecc_errors, 2);
  EXPECT_EQ(gpu.compute_mode, "Default");
  GpuFacts again;
  for (const auto& [name, value] : told_fields(gpu)) EXPECT_TRUE(set_gpu_field(again, name, value));
  EXPECT_EQ(told_fields(again), told_fields(gpu));
  EXPECT_EQ(again.capability, 120);
  EXPECT_EQ(again.power, 71.5);
  ASSERT_EQ(gpu.processes.size(), 2u);
  EXPECT_EQ(gpu.processes[0].name, "python3");
  EXPECT_EQ(gpu.processes[0].memory, 20480);
  EXPECT_EQ(gpu.processes[1].name, "");
  EXPECT_FALSE(probe.smi.ran);
}

TEST(Probe, CudaAloneNamesGpus) {
  StagedMachine machine;
  machine.gpu_and_module();
  machine.paths.cuda_library = "";
  const GpuProbe probe = machine.probe();
  ASSERT_EQ(probe.gpus.size(), 1u);
  EXPECT_EQ(probe.gpus[0].memory_total, 81559);
}

TEST(Probe, HangsAndCrashesAreSeenInTime) {
  StagedMachine machine;
  machine.gpu_and_module();
  machine.libraries();
  machine.paths.cuda_seconds = machine.paths.nvml_seconds = 0.3;
  fake_driver().init_hangs = fake_driver().nvml_hangs = true;
  GpuProbe probe;
  EXPECT_LT(seconds_of([&] { probe = machine.probe(); }), 2);
  EXPECT_EQ(probe.cuda.init_call, CallState::kHung);
  EXPECT_EQ(probe.cuda.driver_version, 13000);
  EXPECT_TRUE(probe.nvml.hung);
  fake_driver() = FakeDriver();
  fake_driver().init_crashes = true;
  EXPECT_EQ(machine.probe().cuda.init_call, CallState::kCrashed);
}

TEST(Probe, SmiIsReadWithoutTheFieldsItDoesNotKnow) {
  StagedMachine machine;
  machine.gpu_and_module();
  // The real program refuses one field at a time. Two GPUs, the second with gaps.
  machine.smi(R"(case "$1" in
  *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;;
  *ecc.errors*) echo 'Field "ecc.errors.uncorrected.volatile.total" is not a valid field to query.'
    exit 2;;
  --query-gpu=*)
    # index,name,uuid,bus, driver,total,used,mig, gen,max,width,max, sm,max,mem,max, why,temp,
    # power,limit,default, ecc,mode,persistence
    echo '0, NVIDIA A100-SXM4-40GB, GPU-a, 00000000:07:00.0, 535.183.01, 40960, 1234, Enabled, 1, 4, 16, 16, 210, 1410, 1215, 1215, 0x0000000000000001, 31, 52.10, 400.00, 400.00, Enabled, Default, Disabled'
    echo '1, Tesla T4, GPU-b, 00000000:08:00.0, 535.183.01, 15360, 2, [N/A], 3, 3, 8, 16, 585, 1590, 5001, 5001, 0x0000000000000004, [N/A], [Not Supported], 70.00, 70.00, [N/A], Prohibited, Enabled';;
  --query-compute-apps=*)
    echo 'GPU-b, 77, 512, /usr/bin/python3, -m x'
    echo 'GPU-a, 78, [N/A], [Not Found]';;
  -L) printf 'GPU 0: NVIDIA A100 (UUID: GPU-a)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\n'
    printf 'GPU 1: Tesla T4 (UUID: GPU-b)\n';;
esac)");
  const GpuProbe probe = machine.probe();
  EXPECT_TRUE(probe.smi.ran);
  EXPECT_EQ(probe.smi.error, "");
  ASSERT_EQ(probe.gpus.size(), 2u);
  const GpuFacts& a = probe.gpus[0];
  const GpuFacts& b = probe.gpus[1];
  EXPECT_EQ(a.driver, "535.183.01");
  EXPECT_FALSE(a.capability);
  EXPECT_EQ(a.memory_used, 1234);
  EXPECT_EQ(a.mig_uuids, std::vector<std::string>{"MIG-1"});
  EXPECT_EQ(a.slowdown, 1);
  EXPECT_EQ(a.power, 52.1);
  EXPECT_EQ(a.persistence, "Disabled");
  ASSERT_EQ(a.processes.size(), 1u);
  EXPECT_EQ(a.processes[0].name, "");
  EXPECT_FALSE(a.processes[0].memory);
  EXPECT_EQ(b.mig, "");
  EXPECT_TRUE(b.mig_uuids.empty());
  EXPECT_FALSE(b.temperature);
  EXPECT_FALSE(b.power);
  EXPECT_EQ(b.compute_mode, "Prohibited");
  ASSERT_EQ(b.processes.size(), 1u);
  EXPECT_EQ(b.processes[0].pid, 77);
  EXPECT_EQ(b.processes[0].name, "/usr/bin/python3, -m x");
}

TEST(Probe, SmiThatHangsIsEnded) {
  StagedMachine machine;
  machine.gpu_and_module();
  machine.smi("sleep 60");
  machine.paths.smi_seconds = 0.3;
  GpuProbe probe;
  EXPECT_LT(seconds_of([&] { probe = machine.probe(); }), 2);
  EXPECT_TRUE(probe.smi.hung);
}

TEST(Probe, ThisMachine) {
  EXPECT_LT(seconds_of([] { probe_gpus(); }), 10);
}

TEST(GpuBuild, CodeForAGpu) {
  const GpuBuild build = parse_build("13.2", "80-real 90a-real 120a-real");
  EXPECT_TRUE(build.cuda);
  EXPECT_EQ(build.runtime, 13020);
  EXPECT_EQ(version_text(build.runtime), "13.2");
  EXPECT_EQ(oldest_capability(build), 80);
  for (int capability : {80, 86, 89, 90, 120})
    EXPECT_TRUE(runs_on(build, capability)) << capability;
  for (int capability : {75, 100, 103, 121}) EXPECT_FALSE(runs_on(build, capability)) << capability;
  const GpuBuild ptx = parse_build("12.8", "90-virtual");
  EXPECT_TRUE(runs_on(ptx, 121));
  EXPECT_FALSE(runs_on(ptx, 89));
  const GpuBuild family = parse_build("13.0", "120f");
  EXPECT_TRUE(runs_on(family, 121));
  EXPECT_FALSE(runs_on(family, 130));
  EXPECT_TRUE(runs_on(parse_build("13.0", "80"), 100));
  EXPECT_FALSE(parse_build("", "").cuda);
}

}  // namespace
}  // namespace mica::gpu
