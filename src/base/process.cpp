#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace mica {
namespace {

constexpr auto kReapTime = std::chrono::milliseconds(200);

struct Pipe {
  int ends[2] = {-1, -1};
  bool open() { return ::pipe2(ends, O_CLOEXEC) == 0; }
};

// In the child: a process group of its own, an end with the parent, `out` as given or nothing.
void detach(int out) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(out >= 0 ? out : nothing, STDOUT_FILENO);
  ::dup2(out >= 0 ? out : nothing, STDERR_FILENO);
}

// The environment with LC_ALL=C, as execve takes it.
std::vector<char*> english_environment() {
  static char english[] = "LC_ALL=C";
  std::vector<char*> variables = {english};
  for (char** variable = environ; *variable; ++variable)
    if (std::strncmp(*variable, "LC_ALL=", 7) != 0) variables.push_back(*variable);
  variables.push_back(nullptr);
  return variables;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

ChildProcess::ChildProcess(pid_t pid, int fd, double seconds)
    : pid_(pid),
      fd_(fd),
      deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(seconds))) {}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      fd_(std::exchange(other.fd_, -1)),
      deadline_(other.deadline_) {}

ChildProcess::~ChildProcess() {
  ProcessResult ignored;
  if (pid_ > 0) kill_and_reap(ignored);
  if (fd_ >= 0) ::close(fd_);
}

ChildProcess ChildProcess::program(const std::vector<std::string>& argv, double seconds) {
  Pipe pipe;
  if (argv.empty() || ::access(argv[0].c_str(), X_OK) != 0 || !pipe.open())
    return ChildProcess(-1, -1, seconds);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const std::vector<char*> variables = english_environment();
  const pid_t pid = ::fork();
  if (pid == 0) {
    detach(pipe.ends[1]);
    ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  if (pid > 0) ::setpgid(pid, pid);
  ::close(pipe.ends[1]);
  return ChildProcess(pid, pipe.ends[0], seconds);
}

ChildProcess ChildProcess::function(const std::function<void(const Emit&)>& work, double seconds) {
  Pipe pipe;
  if (!pipe.open()) return ChildProcess(-1, -1, seconds);
  const pid_t pid = ::fork();
  if (pid == 0) {
    detach(-1);
    const int out = pipe.ends[1];
    try {
      work([out](std::string_view text) { write_all(out, text); });
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);  // nothing of the parent's is flushed or destroyed twice
  }
  if (pid > 0) ::setpgid(pid, pid);
  ::close(pipe.ends[1]);
  return ChildProcess(pid, pipe.ends[0], seconds);
}

bool ChildProcess::reap(ProcessResult& result, Clock::time_point until) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == pid_ || (ended < 0 && errno != EINTR)) {
      if (ended == pid_)
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      pid_ = -1;
      return true;
    }
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void ChildProcess::kill_and_reap(ProcessResult& result) {
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // where it had no time to make its group
  reap(result, Clock::now() + kReapTime);
  pid_ = -1;
}

ProcessResult ChildProcess::finish() {
  ProcessResult result;
  if (pid_ <= 0) return result;
  result.started = true;
  char buffer[4096];
  while (result.output.size() < kMaxOutput) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd poll{fd_, POLLIN, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(std::max<long long>(0, left)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t got = ::read(fd_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    result.output.append(buffer, static_cast<size_t>(got));
  }
  const bool too_long = result.output.size() >= kMaxOutput;
  if (too_long || !reap(result, deadline_)) {
    result.timed_out = !too_long;
    kill_and_reap(result);
  }
  result.output.resize(std::min(result.output.size(), kMaxOutput));
  if (result.status == 127 && result.output.empty()) result.started = false;  // execve failed
  return result;
}

std::filesystem::path find_program(const std::string& name, std::string_view folders) {
  while (!folders.empty()) {
    const size_t colon = std::min(folders.find(':'), folders.size());
    const std::filesystem::path path = std::filesystem::path(folders.substr(0, colon)) / name;
    std::error_code ignored;
    if (colon > 0 && std::filesystem::is_regular_file(path, ignored) &&
        ::access(path.c_str(), X_OK) == 0)
      return path;
    folders.remove_prefix(std::min(colon + 1, folders.size()));
  }
  return {};
}

}  // namespace mica
