#include "cli/launch_console.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "base/log.h"

namespace mica {

Interrupts::Interrupts() {
  sigemptyset(&set_);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  thread_ = std::jthread([this](std::stop_token ending) { watch(ending); });
}

void Interrupts::watch(std::stop_token ending) {
  constexpr timespec kSlice{0, 100'000'000};
  while (!ending.stop_requested()) {
    const int signal = sigtimedwait(&set_, nullptr, &kSlice);
    if (signal <= 0) continue;
    // What is left is ended by the next start.
    if (!source_.request_stop()) std::_Exit(128 + signal);
  }
}

namespace {

PortAnswer ask_port(const PortHolder& holder) {
  std::fprintf(stderr, "The port is held by %s.\n", holder.text.c_str());
  std::fputs(holder.by_mica ? "[s]top it, [r]etry once you have freed it, or [g]ive up? "
                            : "[r]etry once you have freed it, or [g]ive up? ",
             stderr);
  std::string line;
  if (!std::getline(std::cin, line) || line.empty()) return PortAnswer::kGiveUp;
  if (line[0] == 's' && holder.by_mica) return PortAnswer::kStop;
  return line[0] == 'r' ? PortAnswer::kRetry : PortAnswer::kGiveUp;
}

}  // namespace

LaunchOptions console_launch_options(const std::string& label, bool show_log,
                                     std::stop_token interrupt) {
  LaunchOptions options;
  options.interrupt = std::move(interrupt);
  options.progress = [label, show_log](const LaunchProgress& progress) {
    if (progress.kind != LaunchProgress::Kind::kLog)
      log_info("[{}] {}", label, progress.text);
    else if (show_log)
      std::fprintf(stderr, "[%s] %s\n", label.c_str(), progress.text.c_str());
  };
  if (::isatty(STDIN_FILENO) && ::isatty(STDERR_FILENO)) options.ask_port = ask_port;
  return options;
}

std::string describe(const RunningEngine& engine) {
  std::string text = fmt::format("ready after {:.1f} s:", engine.ready_seconds());
  for (const PhaseTime& phase : engine.phases())
    text += fmt::format(" {} {:.1f} s", name(phase.phase), phase.seconds);
  if (!engine.version().empty()) text += "\nversion " + engine.version();
  if (engine.image()) text += "\nimage " + engine.image()->pinned();
  if (!engine.log().empty()) text += "\nlog " + engine.log().string();
  return text;
}

}  // namespace mica
