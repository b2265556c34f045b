// How a launch speaks with the user at a terminal, and how the user ends it.
#pragma once

#include <csignal>
#include <stop_token>
#include <string>
#include <thread>

#include "bench/launch/launcher.h"

namespace mica {

// Ctrl-C and SIGTERM become a request to stop. They are blocked for all threads that follow: make
// one before any other thread. A second signal ends the program at once.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool requested() const { return source_.stop_requested(); }

 private:
  void watch(std::stop_token ending);
  sigset_t set_{};
  std::stop_source source_;
  std::jthread thread_;
};

// Steps and heartbeats on standard error, the engine's lines as "[label] …" where `show_log`; a
// taken port is asked about where standard input is a terminal.
LaunchOptions console_launch_options(const std::string& label, bool show_log,
                                     std::stop_token interrupt);

// Phases with their times, version, image: some lines.
std::string describe(const RunningEngine& engine);

}  // namespace mica
