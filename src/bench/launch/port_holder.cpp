#include "bench/launch/port_holder.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "bench/launch/ownership.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

// As a server would: SO_REUSEADDR passes over connections that wait for their end.
bool can_bind(const std::string& host, uint16_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return true;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const bool bound = ::bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, 1) == 0;
  ::close(fd);
  return bound;
}

// Inodes of the sockets that listen on the port, of /proc/net/tcp and tcp6:
//   sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode …
std::set<std::string> listening_sockets(uint16_t port) {
  constexpr const char* kListening = "0A";
  std::array<char, 8> wanted{};
  std::snprintf(wanted.data(), wanted.size(), ":%04X", port);
  std::set<std::string> inodes;
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream table(file);
    for (std::string line; std::getline(table, line);) {
      std::istringstream words(line);
      std::string slot, local, remote, state, queues, timer, retries, user, timeout, inode;
      words >> slot >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >>
          inode;
      if (state == kListening && local.ends_with(wanted.data())) inodes.insert(inode);
    }
  }
  return inodes;
}

bool has_socket(pid_t pid, const std::set<std::string>& inodes) {
  std::error_code failed, ignored;  // the process may die meanwhile
  for (fs::directory_iterator it(fmt::format("/proc/{}/fd", pid), failed), end;
       !failed && it != end; it.increment(failed)) {
    const std::string target = fs::read_symlink(it->path(), ignored).string();
    if (target.starts_with("socket:[") && inodes.contains(target.substr(8, target.size() - 9)))
      return true;
  }
  return false;
}

ProcessId process_with(const std::set<std::string>& inodes) {
  if (inodes.empty()) return {};
  for (const ProcessFacts& process : all_processes())
    if (has_socket(process.id.pid, inodes)) return process.id;
  return {};
}

std::optional<ContainerFacts> container_with(const Docker& docker, uint16_t port) {
  try {
    const auto containers = docker.publishing(port);
    if (!containers.empty()) return containers.front();
  } catch (const Error&) {
    // No daemon: no container of it holds the port.
  }
  return std::nullopt;
}

}  // namespace

std::optional<PortHolder> port_holder(const std::string& host, uint16_t port,
                                      const Docker* docker) {
  if (can_bind(host, port)) return std::nullopt;
  PortHolder holder;
  if (docker) holder.container = container_with(*docker, port);
  if (holder.container) {
    holder.by_mica = !holder.container->run.empty();
    holder.text =
        fmt::format("container '{}' (image {})", holder.container->name, holder.container->image);
    return holder;
  }
  holder.process = process_with(listening_sockets(port));
  if (holder.process.pid == 0) {
    holder.text = "a process that this user can't see";
    return holder;
  }
  const std::string words = command_line(holder.process.pid);
  constexpr size_t kShown = 120;
  holder.by_mica = !variable_of(holder.process.pid, "MICA_LAUNCH").empty();
  holder.text = fmt::format("process {} ({}{})", holder.process.pid, words.substr(0, kShown),
                            words.size() > kShown ? " …" : "");
  return holder;
}

std::string how_to_free(const PortHolder& holder) {
  if (holder.container) return "docker stop " + holder.container->name;
  if (holder.process.pid > 0) return fmt::format("kill {}", holder.process.pid);
  return "";
}

uint16_t free_port_near(const std::string& host, uint16_t port) {
  constexpr int kTries = 100;
  for (int next = port + 1; next < port + kTries && next < 65536; ++next)
    if (can_bind(host, static_cast<uint16_t>(next))) return static_cast<uint16_t>(next);
  return 0;
}

}  // namespace mica
