#include "bench/launch/engine_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/process.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLookInterval = std::chrono::milliseconds(20);

// Two ends, closed at destruction unless taken.
struct Pipe {
  std::array<int, 2> ends = {-1, -1};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(ErrorKind::kInternal, "[launch] no pipe: {}", std::strerror(errno));
  }
  ~Pipe() {
    for (const int fd : ends)
      if (fd >= 0) ::close(fd);
  }
  void close(int end) { ::close(std::exchange(ends[static_cast<size_t>(end)], -1)); }
  int take(int end) { return std::exchange(ends[static_cast<size_t>(end)], -1); }
};

// Words as execve takes them.
std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_of(const ProcessSpec& spec) {
  std::vector<std::string> own;
  for (const auto& [name, value] : spec.environment) own.push_back(name + "=" + value);
  if (!spec.mark.empty()) own.push_back(spec.mark);
  std::set<std::string> names;
  for (const std::string& variable : own) names.insert(variable.substr(0, variable.find('=')));
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    if (!names.contains(text.substr(0, text.find('=')))) own.push_back(text);
  }
  return own;
}

std::string variable(const std::vector<std::string>& environment, const std::string& name) {
  for (const std::string& text : environment)
    if (text.starts_with(name + "=")) return text.substr(name.size() + 1);
  return "";
}

// The program's file. Throws when there is none.
std::string program_path(const std::string& name, const std::vector<std::string>& environment) {
  const bool is_path = name.find('/') != std::string::npos;
  const std::string path =
      is_path ? name : find_program(name, variable(environment, "PATH")).string();
  if (path.empty())
    throw Error(ErrorKind::kBackend,
                "[launch] program '{}': not found in PATH; is it installed, is its virtual "
                "environment active?",
                name);
  if (::access(path.c_str(), X_OK) != 0)
    throw Error(ErrorKind::kBackend, "[launch] program '{}': {}", path, std::strerror(errno));
  return path;
}

// What the child needs between fork and exec, where nothing may be allocated.
struct ChildPlan {
  const char* path;
  char* const* argv;
  char* const* environment;
  const char* directory;  // null: this one
  const char* input;
  int out, go, failed;  // output; the owner's word; where errno of a failed exec is told
  pid_t owner;
  bool dies_with_thread;
};

// Until the owner has written down who the child is. False when the owner is gone.
bool wait_for_word(const ChildPlan& plan) {
  for (;;) {
    pollfd file{plan.go, POLLIN, 0};
    const int ready = ::poll(&file, 1, 100);
    char word = 0;
    if (ready > 0) return ::read(plan.go, &word, 1) == 1;
    // Another child may hold the pipe's other end: its closing alone is no proof.
    if (::getppid() != plan.owner) return false;
  }
}

[[noreturn]] void fail_child(const ChildPlan& plan) {
  const int error = errno;
  (void)!::write(plan.failed, &error, sizeof error);
  ::_exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
  ::setsid();
  if (plan.dies_with_thread) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGCHLD})
    ::signal(signal, SIG_DFL);
  const int input = ::open(plan.input, O_RDONLY);
  if (input < 0) fail_child(plan);
  ::dup2(input, STDIN_FILENO);
  ::dup2(plan.out, STDOUT_FILENO);
  ::dup2(plan.out, STDERR_FILENO);
  // Whatever this process has open is no business of the program's.
  constexpr unsigned kFirst = 3, kCloseAtExec = 4;  // CLOSE_RANGE_CLOEXEC
  ::syscall(SYS_close_range, kFirst, ~0U, kCloseAtExec);
  if (plan.directory && ::chdir(plan.directory) != 0) fail_child(plan);
  if (!wait_for_word(plan)) ::_exit(125);
  ::execve(plan.path, plan.argv, plan.environment);
  fail_child(plan);
}

void add_seen(LaunchedProcesses& launched, const std::vector<ProcessFacts>& members) {
  std::vector<ProcessId>& seen = launched.seen;
  for (const ProcessFacts& member : members)
    if (std::find(seen.begin(), seen.end(), member.id) == seen.end()) seen.push_back(member.id);
}

// Of the child's execve; 0 when the program began.
int exec_error(int fd) {
  int error = 0;
  ssize_t got = 0;
  do got = ::read(fd, &error, sizeof error);
  while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

}  // namespace

std::string describe(const ProcessEnd& end) {
  if (end.signal != 0)
    return fmt::format("killed by signal {} ({})", end.signal, signal_name(end.signal));
  return fmt::format("exit status {}", end.status);
}

void add(StopReport& all, const StopReport& more) {
  all.stopped += more.stopped;
  all.signal = std::max(all.signal, more.signal);
  all.left.insert(all.left.end(), more.left.begin(), more.left.end());
}

StopReport stop_processes(const LaunchedProcesses& launched, const StopPatience& patience,
                          const std::function<void()>& collect) {
  StopReport report;
  LaunchedProcesses known = launched;
  const auto look = [&] {
    if (collect) collect();
    std::vector<ProcessFacts> members = living(known);
    add_seen(known, members);
    return members;
  };
  std::vector<ProcessFacts> members = look();
  report.stopped = static_cast<int>(members.size());
  const std::pair<int, std::chrono::milliseconds> steps[] = {
      {SIGINT, patience.interrupt}, {SIGTERM, patience.terminate}, {SIGKILL, patience.kill}};
  for (const auto& [signal, wait] : steps) {
    if (members.empty()) break;
    report.signal = signal;
    const auto deadline = Clock::now() + wait;
    std::set<pid_t> told;
    do {
      // One by one: a group's number alone may be another's. Those that appear meanwhile as well.
      for (const ProcessFacts& member : members)
        if (told.insert(member.id.pid).second) ::kill(member.id.pid, signal);
      std::this_thread::sleep_for(kLookInterval);
      members = look();
    } while (!members.empty() && Clock::now() < deadline);
  }
  for (const ProcessFacts& member : members)
    report.left.push_back(fmt::format("process {} ({}), state {}", member.id.pid,
                                      command_line(member.id.pid), member.state));
  return report;
}

EngineProcess::EngineProcess(const ProcessSpec& spec, LogPump& pump,
                             const std::function<void(const ProcessId&)>& before_exec) {
  MICA_CHECK(!spec.argv.empty());
  const std::vector<std::string> environment = environment_of(spec);
  const std::string path = program_path(spec.argv[0], environment);
  const std::vector<char*> argv = pointers(spec.argv), variables = pointers(environment);
  Pipe output, go, failed;
  const ChildPlan plan{.path = path.c_str(),
                       .argv = argv.data(),
                       .environment = variables.data(),
                       .directory = spec.directory.empty() ? nullptr : spec.directory.c_str(),
                       .input = spec.input.empty() ? "/dev/null" : spec.input.c_str(),
                       .out = output.ends[1],
                       .go = go.ends[0],
                       .failed = failed.ends[1],
                       .owner = ::getpid(),
                       .dies_with_thread = spec.dies_with_thread};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(go.ends[1]);
    run_child(plan);
  }
  if (pid < 0) throw Error(ErrorKind::kInternal, "[launch] no process: {}", std::strerror(errno));
  output.close(1);
  go.close(0);
  failed.close(1);
  const auto facts = read_process(pid);
  launched_ = {facts ? facts->id : ProcessId{pid, 0}, spec.mark, {}};
  try {
    if (before_exec) before_exec(launched_.leader);
    const char word = 'g';
    (void)!::write(go.ends[1], &word, 1);
    if (const int error = exec_error(failed.ends[0]))
      throw Error(ErrorKind::kBackend, "[launch] program '{}' can't be started: {}", path,
                  std::strerror(error));
    pump.start(output.take(0));
  } catch (...) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw;
  }
  watcher_ = std::thread(watch, pid, end_);
}

EngineProcess::~EngineProcess() {
  using std::chrono::milliseconds;
  stop({milliseconds(2000), milliseconds(2000), milliseconds(2000)});
}

void EngineProcess::watch(pid_t pid, const std::shared_ptr<End>& end) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0)
    if (errno != EINTR) return;
  const bool killed = info.si_code != CLD_EXITED;
  const std::lock_guard lock(end->mutex);
  end->end =
      killed ? ProcessEnd{128 + info.si_status, info.si_status} : ProcessEnd{info.si_status, 0};
  end->changed.notify_all();
}

LaunchedProcesses EngineProcess::processes() const {
  const std::lock_guard lock(mutex_);
  return launched_;
}

std::vector<ProcessFacts> EngineProcess::look() {
  const std::lock_guard lock(mutex_);
  if (stopped_) return {};
  std::vector<ProcessFacts> members = living(launched_);
  add_seen(launched_, members);
  return members;
}

std::optional<ProcessEnd> EngineProcess::ended() const {
  const std::lock_guard lock(end_->mutex);
  return end_->end;
}

std::optional<ProcessEnd> EngineProcess::wait(std::chrono::milliseconds patience) const {
  std::unique_lock lock(end_->mutex);
  end_->changed.wait_for(lock, patience, [this] { return end_->end.has_value(); });
  return end_->end;
}

StopReport EngineProcess::stop(const StopPatience& patience) {
  LaunchedProcesses launched;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return {};
    launched = launched_;
  }
  const StopReport report = stop_processes(launched, patience);
  if (wait(std::chrono::milliseconds(report.clean() ? 1000 : 0))) {
    watcher_.join();
    ::waitpid(launched.leader.pid, nullptr, 0);
  } else {
    watcher_.detach();
  }
  return report;
}

}  // namespace mica
