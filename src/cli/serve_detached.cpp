#include "cli/serve_detached.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "bench/launch/log_pump.h"
#include "bench/launch/ownership.h"
#include "bench/launch/process_table.h"
#include "cli/commands.h"
#include "cli/launch_console.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr auto kLook = std::chrono::milliseconds(100);
constexpr auto kEndPatience = std::chrono::seconds(60);  // an engine has some 30 to end
constexpr std::string_view kReady = "ready: ";           // as serve_backend.cpp prints them
constexpr std::string_view kKey = "key (shown only here): ";

// This process's command without --detach.
std::vector<std::string> own_command() {
  std::vector<std::string> words;
  std::istringstream text(read_proc("/proc/self/cmdline"));
  for (std::string word; std::getline(text, word, '\0');)
    if (word != "--detach") words.push_back(word);
  return words;
}

pid_t start(const std::vector<std::string>& words, const fs::path& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (out < 0 || nothing < 0)
    throw Error(ErrorKind::kUsage, "[serve] {}: the log can't be written", log.string());
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setsid();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  ::close(out);
  ::close(nothing);
  if (pid < 0) throw Error(ErrorKind::kInternal, "[serve] no process can be started");
  return pid;
}

// The lines of a log that grows; each byte is read once.
class LogLines {
 public:
  explicit LogLines(const fs::path& log) : file_(log, std::ios::binary) {}

  // Those that came since the last call; `ended`: also one without its end.
  std::vector<std::string> next(bool ended = false) {
    std::vector<std::string> lines;
    const auto take = [&](std::string_view line) { lines.emplace_back(line); };
    for (std::array<char, 4096> buffer;
         file_.read(buffer.data(), buffer.size()), file_.gcount() > 0;)
      cutter_.feed({buffer.data(), static_cast<size_t>(file_.gcount())}, take);
    file_.clear();  // its end is not for ever
    if (ended) cutter_.finish(take);
    for (const std::string& line : lines) {
      last_.push_back(line);
      if (last_.size() > kTail) last_.pop_front();
    }
    return lines;
  }
  const std::deque<std::string>& last() const { return last_; }

 private:
  static constexpr size_t kTail = 20, kLineBytes = 65536;
  std::ifstream file_;
  LineCutter cutter_{kLineBytes};
  std::deque<std::string> last_;
};

[[noreturn]] void tell_end(LogLines& log, int status) {
  log.next(/*ended=*/true);
  for (const std::string& line : log.last()) std::fprintf(stderr, "%s\n", line.c_str());
  throw Ending{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
}

std::vector<OwnershipRecord> living_records() {
  std::vector<OwnershipRecord> records = Ownership(default_state_folder()).all();
  const Owner self = this_owner();
  std::erase_if(records, [&](const OwnershipRecord& record) {
    return record.owner.host != self.host || record.owner.process_space != self.process_space ||
           !is_alive(record.owner.process);
  });
  return records;
}

bool is_called(const OwnershipRecord& record, const std::string& which) {
  return which == "all" || which == record.run || which == record.backend ||
         which == std::to_string(record.owner.process.pid);
}

}  // namespace

void serve_detached() {
  const fs::path folder = default_state_folder() / "serve";
  fs::create_directories(folder);
  const fs::path log = folder / (new_run_id() + ".log");
  const Interrupts interrupts;
  const pid_t pid = start(own_command(), log);
  LogLines lines(log);
  for (;; std::this_thread::sleep_for(kLook)) {
    int status = 0;
    if (interrupts.requested()) {
      ::kill(pid, SIGINT);
      ::waitpid(pid, &status, 0);
      tell_end(lines, status);
    }
    const bool ended = ::waitpid(pid, &status, WNOHANG) == pid;
    if (ended) tell_end(lines, status);
    std::string key;
    for (const std::string& line : lines.next()) {
      if (line.starts_with(kKey)) key = line + "\n";
      if (!line.starts_with(kReady)) continue;
      std::printf(
          "%s%s\nprocess %d watches over it, its log is %s\nto end it: mica serve --stop %d\n",
          key.c_str(), line.c_str(), pid, log.c_str(), pid);
      return;
    }
  }
}

void list_served() {
  for (const OwnershipRecord& record : living_records())
    std::printf("%s  %s  since %s  process %d  %s\n", record.run.c_str(), record.backend.c_str(),
                record.created.c_str(), record.owner.process.pid, record.log.c_str());
}

void stop_served(const std::string& which) {
  std::vector<OwnershipRecord> records = living_records();
  std::erase_if(records, [&](const OwnershipRecord& record) { return !is_called(record, which); });
  if (records.empty())
    throw Error(ErrorKind::kUsage,
                "[serve] --stop {}: nothing that Mica started is called so; `mica serve --list` "
                "shows what runs",
                which);
  for (const OwnershipRecord& record : records) ::kill(record.owner.process.pid, SIGINT);
  const auto until = std::chrono::steady_clock::now() + kEndPatience;
  for (const OwnershipRecord& record : records) {
    while (is_alive(record.owner.process) && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(kLook);
    if (is_alive(record.owner.process))
      throw Error(ErrorKind::kBackend, "[serve] process {} has not ended in {} seconds",
                  record.owner.process.pid, kEndPatience.count());
    std::printf("%s of %s ended\n", record.backend.c_str(), record.created.c_str());
  }
}

}  // namespace mica
