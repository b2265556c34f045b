// Programs and functions in a process of their own, with a time limit: what they ask may hang.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

struct ProcessResult {
  bool started = false;    // false: no such program, or no process could be made
  bool timed_out = false;  // ended at its limit
  int status = -1;         // exit status; 128 + the signal that ended it
  std::string output;      // at most kMaxOutput bytes
  bool ok() const { return started && !timed_out && status == 0; }
};

// A running child. Several may run at once; finish() collects each. Destruction ends it.
class ChildProcess {
 public:
  static constexpr size_t kMaxOutput = size_t{1} << 20;
  using Clock = std::chrono::steady_clock;

  // argv[0] is a path. Standard output and error are the output, standard input is empty, messages
  // are in English (LC_ALL=C).
  static ChildProcess program(const std::vector<std::string>& argv, double seconds);
  // Runs `work` in a copy of this process; what it passes to `emit` is the output, also when it
  // then hangs or crashes. Its standard streams are closed.
  using Emit = std::function<void(std::string_view)>;
  static ChildProcess function(const std::function<void(const Emit&)>& work, double seconds);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  // Waits until the end or the limit, counted from the start; then the child and what it started
  // are killed. A child that the kernel does not let go is left behind.
  ProcessResult finish();

 private:
  ChildProcess(pid_t pid, int fd, double seconds);
  void kill_and_reap(ProcessResult& result);
  bool reap(ProcessResult& result, Clock::time_point until);

  pid_t pid_ = -1;  // -1: none
  int fd_ = -1;     // reads the output
  Clock::time_point deadline_;
};

// The first executable file `name` in `folders`, which are separated by ':' as in PATH; or empty.
std::filesystem::path find_program(const std::string& name, std::string_view folders);

}  // namespace mica
