#include "bench/launch/process_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <set>

namespace mica {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(pid_t pid) {
  return fs::path("/proc") / std::to_string(pid);
}

// Numbers separated by blanks; what is none becomes 0.
std::vector<int64_t> numbers(std::string_view text) {
  std::vector<int64_t> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + end, number);
    out.push_back(number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool contains(const std::vector<ProcessId>& list, const ProcessId& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

bool is_dead(const ProcessFacts& process) {
  return process.state == 'Z' || process.state == 'X';
}

bool is_proven(const ProcessFacts& process, const LaunchedProcesses& launched) {
  return process.id == launched.leader || contains(launched.seen, process.id) ||
         (process.id.start >= launched.leader.start && !launched.mark.empty() &&
          has_variable(process.id.pid, launched.mark));
}

// Adds what descends from `found` until nothing new is found.
void add_descendants(const std::vector<ProcessFacts>& all, std::set<pid_t>& found) {
  for (bool more = true; more;) {
    more = false;
    for (const ProcessFacts& process : all)
      if (found.contains(process.parent) && found.insert(process.id.pid).second) more = true;
  }
}

}  // namespace

std::string read_proc(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  ::close(fd);
  return text;
}

std::optional<ProcessFacts> parse_process_stat(std::string_view text) {
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  ProcessFacts facts;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, facts.id.pid).ec != std::errc()) return std::nullopt;
  facts.name = text.substr(open + 1, close - open - 1);
  text.remove_prefix(std::min(close + 2, text.size()));
  // From field 3 on: state, ppid, pgrp, session, …, 14 utime, 15 stime, …, 22 starttime, 24 rss.
  const std::vector<int64_t> fields = numbers(text);
  constexpr size_t kFirst = 3, kUser = 14, kSystem = 15, kStart = 22, kResident = 24;
  if (fields.size() <= kResident - kFirst) return std::nullopt;
  facts.state = text[0];
  facts.parent = static_cast<pid_t>(fields[1]);
  facts.group = static_cast<pid_t>(fields[2]);
  facts.session = static_cast<pid_t>(fields[3]);
  facts.cpu_ticks = static_cast<uint64_t>(fields[kUser - kFirst] + fields[kSystem - kFirst]);
  facts.id.start = static_cast<uint64_t>(fields[kStart - kFirst]);
  facts.resident_bytes = static_cast<uint64_t>(fields[kResident - kFirst]) *
                         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return facts;
}

std::optional<ProcessFacts> read_process(pid_t pid) {
  return parse_process_stat(read_proc(folder_of(pid) / "stat"));
}

std::vector<ProcessFacts> all_processes() {
  std::vector<ProcessFacts> all;
  std::error_code failed;
  for (fs::directory_iterator it("/proc", failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string name = it->path().filename();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }))
      continue;
    if (auto process = read_process(std::atoi(name.c_str()))) all.push_back(std::move(*process));
  }
  return all;
}

ProcessId this_process() {
  const auto facts = read_process(::getpid());
  return facts ? facts->id : ProcessId{::getpid(), 0};
}

bool is_alive(const ProcessId& id) {
  const auto facts = id.pid > 0 ? read_process(id.pid) : std::nullopt;
  return facts && facts->id == id && !is_dead(*facts);
}

bool has_variable(pid_t pid, const std::string& text) {
  const std::string all = '\0' + read_proc(folder_of(pid) / "environ");
  return all.find('\0' + text + '\0') != std::string::npos;
}

std::string variable_of(pid_t pid, const std::string& name) {
  const std::string all = '\0' + read_proc(folder_of(pid) / "environ");
  const std::string head = '\0' + name + '=';
  const size_t found = all.find(head);
  if (found == std::string::npos) return "";
  const size_t begin = found + head.size();
  return all.substr(begin, all.find('\0', begin) - begin);
}

std::string command_line(pid_t pid) {
  std::string text = read_proc(folder_of(pid) / "cmdline");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  if (!text.empty()) return text;
  const auto facts = read_process(pid);
  return facts ? facts->name : "";
}

std::string boot_id() {
  std::string text = read_proc("/proc/sys/kernel/random/boot_id");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

uint64_t process_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

std::vector<ProcessFacts> living_group(const ProcessId& member) {
  const std::vector<ProcessFacts> all = all_processes();
  const auto one = std::find_if(all.begin(), all.end(),
                                [&](const ProcessFacts& process) { return process.id == member; });
  if (one == all.end()) return {};
  std::set<pid_t> found;
  for (const ProcessFacts& process : all)
    if (process.group == one->group && process.id.pid != ::getpid()) found.insert(process.id.pid);
  add_descendants(all, found);
  std::vector<ProcessFacts> members;
  for (const ProcessFacts& process : all)
    if (found.contains(process.id.pid) && process.id.pid != ::getpid() && !is_dead(process))
      members.push_back(process);
  return members;
}

std::vector<ProcessFacts> living(const LaunchedProcesses& launched) {
  if (launched.leader.pid <= 0) return {};
  const std::vector<ProcessFacts> all = all_processes();
  std::set<pid_t> found;
  for (const ProcessFacts& process : all)
    if (is_proven(process, launched)) found.insert(process.id.pid);
  // One proven member proves its session: the number is not given away while anybody has it.
  const auto in_session = [&](const ProcessFacts& process) {
    return process.session == launched.leader.pid;
  };
  const bool proven = std::any_of(all.begin(), all.end(), [&](const ProcessFacts& process) {
    return in_session(process) && found.contains(process.id.pid);
  });
  for (const ProcessFacts& process : all)
    if (proven && in_session(process)) found.insert(process.id.pid);
  add_descendants(all, found);
  std::vector<ProcessFacts> members;
  for (const ProcessFacts& process : all)
    if (found.contains(process.id.pid) && !is_dead(process) && process.id.pid != ::getpid())
      members.push_back(process);
  return members;
}

}  // namespace mica
