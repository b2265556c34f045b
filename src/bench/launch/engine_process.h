// A program that runs beside Mica for long: in a session of its own, its output pumped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/launch/log_pump.h"
#include "bench/launch/process_table.h"

namespace mica {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0]: a path, or a name that is looked for in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // beside this process's own
  std::string mark;                                              // "NAME=value", likewise
  std::string directory;                                         // to start in; empty: here
  std::string input;  // file that it reads as standard input; empty: nothing
  // True: killed when the thread that started it ends, however it does. For helpers that must not
  // outlive Mica (docker pull), where that thread waits for them.
  bool dies_with_thread = false;
};

struct ProcessEnd {
  int status = 0;  // exit status, or 128 + the signal
  int signal = 0;  // 0: it left by itself
};
std::string describe(const ProcessEnd& end);  // "exit status 1", "killed by signal 9 (SIGKILL)"

// How long each request to end is waited for before the next, stronger one.
struct StopPatience {
  std::chrono::milliseconds interrupt{10000};  // SIGINT
  std::chrono::milliseconds terminate{5000};   // SIGTERM
  std::chrono::milliseconds kill{5000};        // SIGKILL
};

struct StopReport {
  int stopped = 0;                // processes or containers that were running
  int signal = 0;                 // the strongest that was needed; 0: none
  std::vector<std::string> left;  // what could not be ended, in words
  bool clean() const { return left.empty(); }
};

void add(StopReport& all, const StopReport& more);

// SIGINT, SIGTERM, SIGKILL to all that is left, each after the wait of the one before. `collect` is
// called between looks, to reap a child.
StopReport stop_processes(const LaunchedProcesses& launched, const StopPatience& patience,
                          const std::function<void()>& collect = {});

class EngineProcess {
 public:
  // `before_exec` runs when the process exists and before the program in it begins: should this
  // process end there, the program never starts. Throws Error (kBackend) when it can't be started,
  // and then nothing is left.
  EngineProcess(const ProcessSpec& spec, LogPump& pump,
                const std::function<void(const ProcessId&)>& before_exec = {});
  ~EngineProcess();  // stop() with short patience
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  LaunchedProcesses processes() const;
  // Looks for members anew and remembers them; those alive.
  std::vector<ProcessFacts> look();

  std::optional<ProcessEnd> ended() const;
  // Waits at most `patience`.
  std::optional<ProcessEnd> wait(std::chrono::milliseconds patience) const;
  // Also ends what the program left behind. Once; later calls do nothing.
  StopReport stop(const StopPatience& patience);

 private:
  // Shared with the watcher, which outlives this object where the kernel does not let a process go.
  struct End {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<ProcessEnd> end;
  };
  static void watch(pid_t pid, const std::shared_ptr<End>& end);

  mutable std::mutex mutex_;
  LaunchedProcesses launched_;
  bool stopped_ = false;
  std::shared_ptr<End> end_ = std::make_shared<End>();
  std::thread watcher_;  // waits for the end without reaping: the number stays taken until stop()
};

}  // namespace mica
