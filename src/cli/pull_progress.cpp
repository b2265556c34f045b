#include "cli/pull_progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

std::string format_seconds(double seconds) {
  const auto s = static_cast<long>(std::clamp(seconds, 0.0, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit) value /= 1000;
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 100 ? 0 : 1, units[unit]);
}

ProgressBar::ProgressBar() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressBar::operator()(const PullProgress& p) {
  using Event = PullProgress::Event;
  switch (p.event) {
    case Event::kPlanned:
      lasting_line(fmt::format("{} files, {}, {} of it already here", p.files_total,
                               format_bytes(p.total_bytes), format_bytes(p.done_bytes)));
      break;
    case Event::kDone:
    case Event::kCached:
      lasting_line(fmt::format("[{}/{}] {}  {}{}", p.files_done, p.files_total, p.file,
                               format_bytes(p.file_bytes),
                               p.event == Event::kCached ? "  already here" : ""));
      break;
    case Event::kNote: lasting_line(p.file.empty() ? p.note : p.file + ": " + p.note); break;
    case Event::kBytes: break;
  }
  if (terminal_ && p.files_total > 0 && p.event != Event::kNote) draw(p);
}

void ProgressBar::erase() {
  if (std::exchange(drawn_, false)) std::fputs("\r\033[K", stderr);
}

void ProgressBar::lasting_line(const std::string& text) {
  erase();
  std::fprintf(stderr, "%s\n", text.c_str());
}

// Bytes a second over the last five seconds; 0 until there is something to divide.
double ProgressBar::speed(const PullProgress& p) {
  const auto now = Clock::now();
  if (!samples_.empty() && p.done_bytes < samples_.back().second) samples_.clear();  // a restart
  samples_.emplace_back(now, p.done_bytes);
  while (now - samples_.front().first > std::chrono::seconds(5)) samples_.pop_front();
  const double seconds = std::chrono::duration<double>(now - samples_.front().first).count();
  return seconds < 0.2 ? 0 : static_cast<double>(p.done_bytes - samples_.front().second) / seconds;
}

void ProgressBar::draw(const PullProgress& p) {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  const size_t columns = known ? size.ws_col : 80;
  const double rate = speed(p);
  const uint64_t left = p.total_bytes - std::min(p.done_bytes, p.total_bytes);
  const double share =
      p.total_bytes == 0 ? 1 : 1 - static_cast<double>(left) / static_cast<double>(p.total_bytes);
  std::string text = fmt::format(" {:3.0f}%  {} of {}", std::floor(share * 100),
                                 format_bytes(p.done_bytes), format_bytes(p.total_bytes));
  if (rate > 0)
    text += fmt::format("  {}/s  {} left", format_bytes(static_cast<uint64_t>(rate)),
                        format_seconds(static_cast<double>(left) / rate));
  const size_t width =
      std::min<size_t>(40, columns > text.size() + 4 ? columns - text.size() - 4 : 0);
  const auto full = static_cast<size_t>(share * static_cast<double>(width));
  std::string line = "[" + std::string(full, '#') + std::string(width - full, '.') + "]" + text;
  if (line.size() >= columns) line.resize(columns - 1);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace mica
