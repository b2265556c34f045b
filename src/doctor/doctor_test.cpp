#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/process.h"
#include "doctor/report.h"
#include "doctor/storage.h"
#include "temp_folder.h"

namespace mica::doctor {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kGiB = uint64_t{1} << 30;

gpu::GpuFacts staged_gpu(int index) {
  gpu::GpuFacts gpu;
  gpu.index = index;
  gpu.name = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition";
  gpu.uuid = "GPU-" + std::to_string(index);
  gpu.bus = fmt::format("00000000:{:02}:00.0", index + 1);
  gpu.capability = 120;
  gpu.memory_total = 97887;
  gpu.memory_used = 2;
  gpu.mig = gpu.ecc = "Disabled";
  gpu.link_generation = 1;
  gpu.link_generation_max = 5;
  gpu.link_width = gpu.link_width_max = 16;
  gpu.sm_clock = 180;
  gpu.sm_clock_max = 3090;
  gpu.memory_clock = 405;
  gpu.memory_clock_max = 14001;
  gpu.slowdown = 1;
  gpu.temperature = 31;
  gpu.power = 13.6;
  gpu.power_limit = gpu.power_limit_default = 600;
  gpu.compute_mode = "Default";
  gpu.persistence = "Enabled";
  return gpu;
}

// A sound machine with `gpus` GPUs and a build for them.
MachineFacts staged(int gpus) {
  MachineFacts facts;
  facts.version = "1.2.3";
  facts.kernel = "6.8.0-45-generic";
  facts.cpu = {"AMD EPYC 9354 32-Core Processor", "avx512", 32, 64};
  facts.memory = {256 * kGiB, 200 * kGiB, 0, 0};
  facts.limits = {65536, 65536, 128 * kGiB, 128 * kGiB, "madvise"};
  facts.disk = {"/data/hub", "ext4", 2'000'000'000'000, 900'000'000'000, 3.1e9, false};
  facts.cache = {"/data/hub", true, true, {{"org/a", 5'000'000'000, 0, 0, "", 0}}};
  facts.gpu.host.system = "ubuntu";
  if (gpus == 0) return facts;
  facts.build = gpu::parse_build("13.0", "90a-real 120a-real");
  facts.gpu.host.module = "580.65.06";
  facts.gpu.host.pci_gpus = {{"0000:01:00.0", "nvidia", true}};
  for (const char* path : {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"})
    facts.gpu.host.nodes.push_back({path, true, 0, 0666, "root", "root"});
  facts.gpu.cuda.library.found = true;
  facts.gpu.cuda.driver_version = 13000;
  facts.gpu.cuda.init_call = gpu::CallState::kReturned;
  facts.gpu.cuda.device_count = gpus;
  for (int i = 0; i < gpus; ++i) facts.gpu.gpus.push_back(staged_gpu(i));
  return facts;
}

const Line& line_of(const Report& report, const std::string& id) {
  static const Line none{"none", Level::kOk, "no such line", "", ""};
  for (const Line& line : report.lines)
    if (line.id == id) return line;
  ADD_FAILURE() << "no line " << id;
  return none;
}

void expect_line(const MachineFacts& facts, const std::string& id, Level level,
                 const std::string& found, const std::string& command = "") {
  const Report report = examine(facts);
  const Line& line = line_of(report, id);
  EXPECT_STREQ(name(line.level), name(level)) << line.found;
  EXPECT_NE(line.found.find(found), std::string::npos) << line.found;
  EXPECT_NE(line.command.find(command), std::string::npos) << line.command;
}

bool has_line(const Report& report, const std::string& id) {
  return std::any_of(report.lines.begin(), report.lines.end(),
                     [&](const Line& line) { return line.id == id; });
}

TEST(Doctor, SoundMachinesHaveOnlyGoodLines) {
  for (int gpus : {0, 1, 2}) {
    MachineFacts facts = staged(gpus);
    const Report report = examine(facts);
    for (const Line& line : report.lines) {
      const bool no_gpu = gpus == 0 && line.id == "device";
      EXPECT_EQ(line.level, no_gpu ? Level::kNote : Level::kOk) << line.id << ": " << line.found;
      EXPECT_FALSE(line.found.empty()) << line.id;
    }
    EXPECT_EQ(exit_status(report), 0);
    EXPECT_EQ(has_line(report, "gpu1.link"), gpus == 2);
  }
}

TEST(Doctor, IdsAreUnique) {
  std::vector<std::string> ids;
  for (const Line& line : examine(staged(2)).lines) ids.push_back(line.id);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
}

TEST(Doctor, FaultOnlyWhereTheBuildIsForGpus) {
  MachineFacts facts = staged(1);
  facts.gpu.cuda.init_status = 100;
  facts.gpu.cuda_visible_devices = "";
  EXPECT_EQ(exit_status(examine(facts)), 3);
  expect_line(facts, "device", Level::kFault, "CUDA_VISIBLE_DEVICES", "unset");
  facts.build = {};
  EXPECT_EQ(exit_status(examine(facts)), 0);
  expect_line(facts, "device", Level::kWarning, "CUDA_VISIBLE_DEVICES", "unset");
  expect_line(facts, "build", Level::kWarning, "CPU only", "-DMICA_CUDA=ON");
  facts = staged(0);
  facts.build = gpu::parse_build("13.0", "90a-real");
  expect_line(facts, "device", Level::kFault, "no NVIDIA GPU", "--device cpu");
  EXPECT_EQ(exit_status(examine(facts)), 3);
}

TEST(Doctor, GpuThatFailedIsAFault) {
  MachineFacts facts = staged(2);
  facts.gpu.gpus[1].failure = "GPU is lost";
  expect_line(facts, "device", Level::kOk, "2 devices");
  expect_line(facts, "gpu1", Level::kFault, "GPU is lost", "xid");
  EXPECT_EQ(exit_status(examine(facts)), 3);
}

TEST(Doctor, GpuWithoutCode) {
  MachineFacts facts = staged(2);
  facts.gpu.gpus[1].capability = 100;
  expect_line(facts, "gpu1", Level::kWarning, "no code", "=100a-real");
}

TEST(Doctor, MemoryOfAGpu) {
  MachineFacts facts = staged(1);
  gpu::GpuFacts& gpu = facts.gpu.gpus[0];
  gpu.memory_used = 60000;
  gpu.processes = {{4242, "python3", 59000}, {77, "", std::nullopt}};
  expect_line(facts, "gpu0.memory", Level::kWarning,
              "used by python3 (pid 4242) 57.6 GiB, a process (pid 77)", "nvidia-smi");
}

TEST(Doctor, LinkWidthWarnsAndGenerationDoesNot) {
  MachineFacts facts = staged(1);
  expect_line(facts, "gpu0.link", Level::kOk, "PCIe 1 x16, at most 5 x16 (an idle GPU lowers");
  facts.gpu.gpus[0].link_width = 8;
  expect_line(facts, "gpu0.link", Level::kWarning, "x8, at most 5 x16", "lspci");
}

TEST(Doctor, ClocksPowerAndPersistence) {
  MachineFacts facts = staged(1);
  gpu::GpuFacts& gpu = facts.gpu.gpus[0];
  expect_line(facts, "gpu0.clocks", Level::kOk, "SM 180 of 3090 MHz");
  gpu.slowdown = 0x4;
  expect_line(facts, "gpu0.clocks", Level::kOk, "held back by: power limit");
  gpu.slowdown = 0x48;
  expect_line(facts, "gpu0.clocks", Level::kWarning, "thermal slowdown (hardware)", "PERFORMANCE");
  gpu.power_limit = 450;
  expect_line(facts, "gpu0.power", Level::kNote, "14 W, limit 450 W, by default 600 W", "-pl 600");
  gpu.persistence = "Disabled";
  expect_line(facts, "gpu0.persistence", Level::kNote, "off", "-pm 1");
}

TEST(Doctor, ErrorsOfTheHardwareButNotOfPrograms) {
  MachineFacts facts = staged(2);
  facts.gpu.host.xids = {{"0000:02:00", 31}, {"0000:02:00", 79}, {"0000:02:00", 79}};
  facts.gpu.gpus[1].ecc_errors = 3;
  EXPECT_FALSE(has_line(examine(facts), "gpu0.errors"));
  expect_line(facts, "gpu1.errors", Level::kWarning,
              "3 memory errors beyond ECC since the start, Xid 79", "--gpu-reset -i 1");
  EXPECT_EQ(line_of(examine(facts), "gpu1.errors").found.find("31"), std::string::npos);
}

TEST(Doctor, DriverThatHangs) {
  MachineFacts facts = staged(1);
  facts.gpu.nvml.hung = true;
  expect_line(facts, "driver", Level::kWarning, "NVML did not answer", "-pm 1");
  expect_line(facts, "device", Level::kOk, "CUDA works");
}

TEST(Doctor, Topology) {
  MachineFacts facts = staged(2);
  facts.topology.names = {"GPU0", "GPU1"};
  facts.topology.links = {{"X", "PHB"}, {"PHB", "X"}};
  expect_line(facts, "topology", Level::kOk, "0-1 PHB; peer access not known");
  facts.topology.peers = {{"X", "OK"}, {"OK", "X"}};
  expect_line(facts, "topology", Level::kOk, "0-1 PHB; peer access between all");
  facts.topology.peers = {{"X", "CNS"}, {"CNS", "X"}};
  expect_line(facts, "topology", Level::kNote, "no peer access: 0-1 CNS", "p2p");
}

TEST(Doctor, MatrixOfNvidiaSmi) {
  std::vector<std::string> names;
  const auto matrix = parse_matrix(
      "\t\x1b[4mGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
      "GPU0\t X \tNV12\tSYS\t0-31\t0\t\tN/A\n"
      "GPU1\tNV12\t X \tSYS\t32-63\t1\t\tN/A\n"
      "NIC0\tSYS\tSYS\t X \n\nLegend:\n\n  X    = Self\n  NIC0: mlx5_0\n",
      names);
  EXPECT_EQ(names, (std::vector<std::string>{"GPU0", "GPU1"}));
  ASSERT_EQ(matrix.size(), 2u);
  EXPECT_EQ(matrix[0], (std::vector<std::string>{"X", "NV12"}));
  EXPECT_EQ(matrix[1], (std::vector<std::string>{"NV12", "X"}));
  EXPECT_EQ(
      parse_matrix(" \tGPU0\tGPU1\t\n GPU0\tX\tGNS\t\n GPU1\tGNS\tX\t\n\nLegend:\n", names)[1][0],
      "GNS");
  EXPECT_TRUE(parse_matrix("", names).empty());
  EXPECT_TRUE(parse_matrix("\tGPU0\tGPU1\nGPU0\tX\tSYS\n", names).empty()) << "a row is missing";
  EXPECT_TRUE(parse_matrix("Failed to initialize NVML\n\x1b[", names).empty());
}

TEST(Doctor, DiskAndCache) {
  MachineFacts facts = staged(0);
  expect_line(facts, "disk", Level::kOk, "900.0 GB free of 2.0 TB (ext4) at /data/hub; reads 3.1");
  facts.disk.bytes_per_second = 120e6;
  expect_line(facts, "disk", Level::kWarning, "0.12 GB/s (slow disk)", "HF_HOME");
  facts.disk.bytes_per_second = 0;
  expect_line(facts, "disk", Level::kOk, "not measured");
  facts.disk.type = "nfs4";
  expect_line(facts, "disk", Level::kWarning, "over the network", "HF_HOME");
  facts.disk.free = 4'000'000'000;
  expect_line(facts, "disk", Level::kWarning, "4.0 GB free", "larger");
  facts.disk.hung = true;
  expect_line(facts, "disk", Level::kWarning, "does not answer", "HF_HOME");
  expect_line(facts, "cache", Level::kOk, "1 model, 5.0 GB");
  facts.cache.models.push_back({"org/b", 7'000'000'000, 2, 6'000'000'000, "", 0});
  expect_line(facts, "cache", Level::kNote, "2 unfinished downloads of 6.0 GB", "mica pull org/b");
  facts.cache.writable = false;
  expect_line(facts, "cache", Level::kWarning, "may not write", "HF_HOME");
}

TEST(Doctor, LimitsAndTools) {
  MachineFacts facts = staged(2);
  facts.memory = {256 * kGiB, 200 * kGiB, 4 * kGiB, 3 * kGiB};
  expect_line(facts, "memory", Level::kWarning, "1.0 GiB free of 4.0 GiB (limit", "ps");
  facts.limits.huge_pages = "never";
  expect_line(facts, "huge_pages", Level::kWarning, "never", "madvise");
  facts.limits.open_files = 1024;
  expect_line(facts, "open_files", Level::kNote, "1024", "ulimit -n 65536");
  facts.limits.shared_memory_free = 64 << 20;
  expect_line(facts, "shared_memory", Level::kWarning, "0.1 GiB free", "remount");
  facts.gpu.host.container = "docker";
  expect_line(facts, "shared_memory", Level::kWarning, "0.1 GiB free", "--shm-size");
  EXPECT_FALSE(has_line(examine(facts), "docker"));
  facts.tools.docker = "/usr/bin/docker";
  facts.tools.docker_version = "27.3.1";
  expect_line(facts, "docker", Level::kWarning, "not have GPUs", "nvidia-ctk");
  facts.tools.nvidia_runtime = true;
  expect_line(facts, "docker", Level::kOk, "27.3.1, containers can have GPUs");
  facts.tools.docker_error = "permission denied";
  expect_line(facts, "docker", Level::kNote, "permission denied");
}

TEST(Doctor, Ports) {
  MachineFacts facts = staged(0);
  EXPECT_FALSE(has_line(examine(facts), "ports"));  // nobody looked
  facts.ports = {{8080, "", "", ""}, {8000, "", "process 412 (python3 -m x)", "kill 412"}};
  expect_line(facts, "ports", Level::kNote, "8080: free; 8000: held by process 412 (python3 -m x)",
              "kill 412");
  facts.ports[0].holder = "a process that this user can't see";
  expect_line(facts, "ports", Level::kNote, "8080: held by a process that",
              "sudo ss -ltnp 'sport = :8080'; kill 412");
  const json object = json::parse(to_json(facts, examine(facts)));
  EXPECT_EQ(object["ports"][1]["port"], 8000);
  EXPECT_EQ(object["ports"][1]["holder"], "process 412 (python3 -m x)");
  EXPECT_TRUE(object["ports"][1]["container"].is_null());
}

TEST(Doctor, EveryLineThatIsNotOkSaysWhatToDo) {
  MachineFacts facts = staged(1);
  facts.gpu.gpus[0].link_width = 4;
  facts.gpu.gpus[0].slowdown = 0x40;
  facts.limits = {1024, 4096, 64 << 20, 64 << 20, "never"};
  facts.ports = {{8080, "", "a process that this user can't see", ""}};
  facts.disk.free = 0;
  facts.memory.available = 0;
  for (const Line& line : examine(facts).lines) {
    if (line.level == Level::kOk) continue;
    EXPECT_FALSE(line.remedy.empty()) << line.id;
    EXPECT_FALSE(line.command.empty()) << line.id;
  }
}

TEST(Doctor, TextFitsATerminal) {
  MachineFacts facts = staged(2);
  facts.gpu.gpus[0].link_width = 4;
  facts.cache.folder = "/a/folder/with/a/long/name/and/more/of/it/and/still/more/of/it/hub";
  const std::string text = to_text(examine(facts), false);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool whole = line.find("$ ") != std::string::npos || line.find("/hub") != line.npos;
    EXPECT_LE(line.size(), whole ? 100u : 80u) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
  EXPECT_EQ(text.rfind("ok       mica", 0), 0u) << text;
  EXPECT_NE(text.find("\nwarning  gpu0.link"), std::string::npos) << text;
  EXPECT_NE(text.find("0 faults, 1 warning.\n"), std::string::npos) << text;
  EXPECT_NE(to_text(examine(facts), true).find("\x1b["), std::string::npos);
}

TEST(Doctor, JsonHasTheDocumentedKeys) {
  MachineFacts facts = staged(2);
  facts.gpu.gpus[0].processes = {{1, "bad \xff name", 5}};
  const json object = json::parse(to_json(facts, examine(facts)));
  for (const char* key : {"version", "status", "exit_status", "build", "host", "device", "driver",
                          "gpus", "topology", "tools", "disk", "cache", "lines"})
    EXPECT_TRUE(object.contains(key)) << key;
  // docs/doctor.md names every key.
  std::ifstream file(std::string(MICA_SOURCE_DIR) + "/docs/doctor.md");
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  const size_t section = page.find("## JSON");
  if (section != std::string::npos) {  // a package has no documents
    for (const auto& [key, value] : object.items()) {
      EXPECT_NE(page.find("| `" + key + "` |", section), std::string::npos) << key;
      const json& inner = value.is_array() && !value.empty() ? value[0] : value;
      if (!inner.is_object()) continue;
      for (const auto& [name, ignored] : inner.items())
        EXPECT_NE(page.find("`" + name + "`", section), std::string::npos) << key << "." << name;
    }
  }
  EXPECT_EQ(object["version"], "1.2.3");
  EXPECT_EQ(object["status"], "ok");
  EXPECT_EQ(object["exit_status"], 0);
  EXPECT_EQ(object["build"]["architectures"][1], "120a-real");
  EXPECT_EQ(object["device"]["code"], "usable");
  EXPECT_EQ(object["driver"]["version"], "580.65.06");
  EXPECT_EQ(object["driver"]["cuda_version"], "13.0");
  ASSERT_EQ(object["gpus"].size(), 2u);
  EXPECT_EQ(object["gpus"][1]["compute_capability"], "12.0");
  EXPECT_EQ(object["gpus"][1]["held_back_by"], "idle");
  EXPECT_TRUE(object["gpus"][1]["ecc_errors"].is_null());
  EXPECT_EQ(object["cache"]["models"][0]["repo"], "org/a");
  EXPECT_EQ(object["lines"][0]["id"], "mica");
  EXPECT_TRUE(object["lines"][0]["remedy"].is_null());
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST(Doctor, MemoryAndLimitsFromFiles) {
  const TempFolder folder;
  const fs::path& root = folder.path();
  write(root / "proc/meminfo", "MemTotal:  16000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB\n");
  write(root / "sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(read_memory(root).total, 16000u << 10);
  EXPECT_EQ(read_memory(root).available, 8000u << 10);
  EXPECT_EQ(read_memory(root).limit, 0u);
  write(root / "sys/fs/cgroup/memory.max", "1048576\n");
  write(root / "sys/fs/cgroup/memory.current", "4096\n");
  EXPECT_EQ(read_memory(root).limit, 1048576u);
  EXPECT_EQ(read_memory(root).used_of_limit, 4096u);
  fs::remove(root / "sys/fs/cgroup/memory.max");
  write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(read_memory(root).limit, 0u);
  write(root / "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  fs::create_directories(root / "dev/shm");
  EXPECT_EQ(read_limits(root).huge_pages, "madvise");
  EXPECT_GT(read_limits(root).shared_memory, 0u);
  EXPECT_GT(read_limits(root).open_files, 0u);
}

TEST(Doctor, StorageOfACache) {
  const TempFolder folder;
  const fs::path cache = folder.path() / "hub";
  MachineFacts facts;
  read_storage(start_storage(cache / "deep").finish(), cache / "deep", facts);
  EXPECT_FALSE(facts.cache.exists);
  EXPECT_TRUE(facts.cache.writable);
  EXPECT_EQ(facts.disk.folder, folder.path());
  EXPECT_GT(facts.disk.total, 0u);
  EXPECT_FALSE(facts.disk.type.empty());
  EXPECT_EQ(facts.disk.bytes_per_second, 0);
  write(cache / "models--org--a/blobs/x", std::string(20 << 20, 'x'));
  write(cache / "models--org--a/blobs/y.incomplete", "12345");
  facts = {};
  read_storage(start_storage(cache).finish(), cache, facts);
  EXPECT_TRUE(facts.cache.exists);
  ASSERT_EQ(facts.cache.models.size(), 1u);
  EXPECT_EQ(facts.cache.models[0].repo, "org/a");
  EXPECT_EQ(facts.cache.models[0].bytes, (20u << 20) + 5);
  EXPECT_EQ(facts.cache.models[0].unfinished, 1);
  EXPECT_FALSE(facts.disk.hung);
}

void write_program(const fs::path& path, const std::string& script) {
  write(path, "#!/bin/sh\n" + script + "\n");
  fs::permissions(path, fs::perms(0755));
}

TEST(Doctor, GathersFromStagedPrograms) {
  const TempFolder folder;
  GatherPaths paths;
  paths.gpu.root = folder.path();
  paths.gpu.cuda_library = paths.gpu.nvml_library = "/nonexistent/library.so";
  paths.gpu.programs = paths.programs = (folder.path() / "bin").string();
  paths.cache = folder.path() / "hub";
  write_program(folder.path() / "bin/nvcc",
                "echo 'Cuda compilation tools, release 13.0, V13.0.48'");
  write_program(folder.path() / "bin/docker",
                "case \"$*\" in\n"
                "  info*) echo '27.3.1 io.containerd.runc.v2 nvidia runc ' ;;\n"
                "  'ps --filter publish=8000 '*) echo webui ;;\n"
                "esac");
  write_program(folder.path() / "bin/nvidia-smi", "sleep 60");
  const auto start = std::chrono::steady_clock::now();
  MachineFacts facts = gather("1.2.3", paths);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10);
  EXPECT_EQ(facts.tools.nvcc_version, "13.0");
  EXPECT_EQ(facts.tools.docker_version, "27.3.1");
  EXPECT_TRUE(facts.tools.nvidia_runtime);
  EXPECT_TRUE(facts.gpu.smi.hung);
  expect_line(facts, "ports", Level::kNote, "8080: free; 8000: held by container 'webui'",
              "docker stop webui");
  expect_line(facts, "driver", Level::kOk, "no NVIDIA driver");
  write_program(folder.path() / "bin/docker", "echo ' '; echo 'Cannot connect' >&2; exit 1");
  write_program(folder.path() / "bin/nvidia-smi", "exit 9");
  facts = gather("1.2.3", paths);
  EXPECT_EQ(facts.tools.docker_error, "Cannot connect");
  EXPECT_FALSE(facts.tools.nvidia_runtime);
  expect_line(facts, "ports", Level::kOk, "8080: free; 8000: free");
}

// The program beside this test, where it was built.
TEST(Doctor, SmokeRunOfTheCommand) {
  const fs::path mica = fs::read_symlink("/proc/self/exe").parent_path() / "mica";
  if (!fs::exists(mica)) GTEST_SKIP() << "no " << mica;
  // Held by this process, unless another has it.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8000);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool held =
      ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, 1) == 0;
  const ProcessResult text = ChildProcess::program({mica.string(), "doctor"}, 10).finish();
  ::close(listener);
  ASSERT_TRUE(text.started && !text.timed_out);
  EXPECT_NE(text.output.find("ports"), std::string::npos) << text.output;
  if (held) {
    EXPECT_NE(text.output.find(fmt::format("kill {}", ::getpid())), std::string::npos)
        << text.output;
  }
  EXPECT_NE(text.output.find("device"), std::string::npos) << text.output;
  EXPECT_EQ(text.output.find('\x1b'), std::string::npos) << text.output;
  const ProcessResult result =
      ChildProcess::program({"/bin/sh", "-c", mica.string() + " doctor --json 2>/dev/null"}, 10)
          .finish();
  const json object = json::parse(result.output);
  EXPECT_EQ(object["exit_status"], result.status);
  EXPECT_EQ(text.status, result.status);
  EXPECT_TRUE(result.status == 0 || result.status == 3) << result.status;
}

}  // namespace
}  // namespace mica::doctor
