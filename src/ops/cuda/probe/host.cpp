#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "ops/cuda/probe/parts.h"

namespace mica::gpu {
namespace {

namespace fs = std::filesystem;

// Names of the entries of a folder, sorted; none when it can't be read.
std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

std::string read_system(const fs::path& root) {
  const std::string text = read_start(root / "etc/os-release");
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (!line.starts_with("ID=")) continue;
    std::string id(line.substr(3));
    std::erase(id, '"');
    return id;
  }
  return "";
}

std::string read_container(const ProbePaths& paths) {
  const auto variable = [&](const char* name) { return paths.variable(name).value_or(""); };
  std::error_code ignored;
  if (!variable("KUBERNETES_SERVICE_HOST").empty()) return "kubernetes";
  if (fs::exists(paths.root / ".dockerenv", ignored)) return "docker";
  if (fs::exists(paths.root / "run/.containerenv", ignored)) return "podman";
  const std::string cgroup = read_start(paths.root / "proc/1/cgroup");
  for (const char* name : {"kubepods", "docker", "podman", "lxc", "containerd"})
    if (contains(cgroup, name)) return name == std::string("kubepods") ? "kubernetes" : name;
  return variable("container");
}

// The version in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb …".
void read_module(const fs::path& root, HostFacts& host) {
  const std::string text = read_start(root / "proc/driver/nvidia/version");
  host.module_open = contains(text, "Open Kernel Module");
  const size_t name = text.find("Kernel Module");
  if (name == std::string::npos) return;
  std::string_view rest = std::string_view(text).substr(name);
  rest = rest.substr(0, rest.find('\n'));
  while (!rest.empty()) {
    const std::string word = next_part(rest, ' ');
    const bool version = !word.empty() && std::isdigit(static_cast<unsigned char>(word[0])) &&
                         contains(word, ".") &&
                         word.find_first_not_of("0123456789.") == std::string::npos;
    if (!version) continue;
    host.module = word;
    return;
  }
}

// Display controllers (class 03) and the NVIDIA driver's other accelerators (class 12) of vendor
// 10de.
void read_pci(const fs::path& root, HostFacts& host) {
  const fs::path devices = root / "sys/bus/pci/devices";
  for (const std::string& address : entries(devices)) {
    const fs::path device = devices / address;
    if (trim(read_start(device / "vendor", 64)) != "0x10de") continue;
    const std::string kind = trim(read_start(device / "class", 64));
    if (kind.rfind("0x03", 0) != 0 && kind.rfind("0x12", 0) != 0) continue;
    PciGpu gpu;
    gpu.address = address;
    std::error_code failed;
    const fs::path driver = fs::read_symlink(device / "driver", failed);
    if (!failed) gpu.driver = driver.filename().string();
    // A device that is gone answers every read with ones (PCI Express, completion timeout).
    const std::string registers = read_start(device / "config", 4);
    gpu.answers = registers.size() < 4 || registers != "\xff\xff\xff\xff";
    host.pci_gpus.push_back(std::move(gpu));
  }
}

// "NVRM: Xid (PCI:0000:01:00): 79, pid=…" in the kernel's log, where this user may read it.
void read_xids(const fs::path& root, HostFacts& host) {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  constexpr int kMaxRecords = 50000;
  const int fd = ::open((root / "dev/kmsg").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  std::string log;
  char record[8192];  // of the kernel: one read gives one record
  for (int i = 0; i < kMaxRecords && log.size() < kMaxBytes; ++i) {
    const ssize_t got = ::read(fd, record, sizeof record);
    if (got < 0 && (errno == EPIPE || errno == EINTR)) continue;  // EPIPE: overwritten meanwhile
    if (got <= 0) break;
    log.append(record, static_cast<size_t>(got));
  }
  ::close(fd);
  const std::string marker = "NVRM: Xid (PCI:";
  for (size_t at = log.find(marker); at != std::string::npos; at = log.find(marker, at + 1)) {
    const size_t begin = at + marker.size(), close = log.find("): ", begin);
    if (close == std::string::npos || close - begin > 16) continue;
    host.xids.push_back({log.substr(begin, close - begin), std::atoi(log.c_str() + close + 3)});
  }
}

std::string user_name(uid_t id) {
  const passwd* user = ::getpwuid(id);
  return user ? user->pw_name : fmt::format("{}", id);
}

std::string group_name(gid_t id) {
  const group* group = ::getgrgid(id);
  return group ? group->gr_name : fmt::format("{}", id);
}

DeviceNode read_node(const fs::path& root, const std::string& name) {
  DeviceNode node;
  node.path = "/dev/" + name;
  struct stat status {};
  node.exists = ::stat((root / "dev" / name).c_str(), &status) == 0;
  if (!node.exists) return node;
  node.mode = status.st_mode & 07777;
  node.owner = user_name(status.st_uid);
  node.group = group_name(status.st_gid);
  return node;
}

// The nodes that every program needs, there or not, and those of the GPUs that are there.
void read_nodes(const fs::path& root, HostFacts& host) {
  if (host.wsl) {
    host.nodes.push_back(read_node(root, "dxg"));
    return;
  }
  for (const char* name : {"nvidiactl", "nvidia-uvm"}) host.nodes.push_back(read_node(root, name));
  for (const std::string& name : entries(root / "dev")) {
    const std::string prefix = "nvidia";
    if (name.rfind(prefix, 0) != 0 || name.size() == prefix.size()) continue;
    if (name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      host.nodes.push_back(read_node(root, name));
  }
}

}  // namespace

HostFacts read_host(const ProbePaths& paths) {
  HostFacts host;
  host.system = read_system(paths.root);
  host.container = read_container(paths);
  std::string kernel = read_start(paths.root / "proc/version");
  std::transform(kernel.begin(), kernel.end(), kernel.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  host.wsl = contains(kernel, "microsoft");
  read_module(paths.root, host);
  read_pci(paths.root, host);
  read_xids(paths.root, host);
  read_nodes(paths.root, host);
  return host;
}

}  // namespace mica::gpu
