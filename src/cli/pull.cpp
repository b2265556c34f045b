#include "cli/pull.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/hub/hub.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

struct PullArguments {
  std::string model, revision, cache;
  std::vector<std::string> include, exclude;
  int parallel = 4;
  bool offline = false, quiet = false;
};

std::string format_bytes(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit) value /= 1000;
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 100 ? 0 : 1, units[unit]);
}

std::string format_seconds(double seconds) {
  const auto s = static_cast<long>(std::clamp(seconds, 0.0, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

// On a terminal one line that is drawn again and again, with lasting lines above it; elsewhere only
// the lasting lines.
class ProgressBar {
 public:
  ProgressBar() : terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() { erase(); }
  void operator()(const PullProgress& p);

 private:
  void erase();
  void lasting_line(const std::string& text);
  void draw(const PullProgress& p);
  double speed(const PullProgress& p);

  const bool terminal_;
  bool drawn_ = false;
  std::deque<std::pair<Clock::time_point, uint64_t>> samples_;  // of done_bytes, 5 s back
};

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

void run_pull(const PullArguments& arguments) {
  ModelId id = parse_model_id(arguments.model);
  if (!arguments.revision.empty()) {
    if (arguments.model.find('@') != std::string::npos)
      throw Error(ErrorKind::kUsage,
                  "[pull] the revision is given twice: '{}' and --revision {}; leave one away",
                  arguments.model, arguments.revision);
    id.revision = arguments.revision;
  }
  HubOptions options = hub_options_from_environment();
  if (!arguments.cache.empty()) options.cache = arguments.cache;
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  options.parallel = arguments.parallel;
  options.offline |= arguments.offline;
  std::string snapshot;
  {
    ProgressBar bar;
    if (!arguments.quiet) options.progress = [&](const PullProgress& p) { bar(p); };
    snapshot = pull_model(id.repo, id.revision, options).string();
  }
  std::printf("%s\n", snapshot.c_str());
}

}  // namespace

void add_pull_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "pull", "Download a model from the hub into the local cache and print its directory");
  auto arguments = std::make_shared<PullArguments>();  // lives as long as the callback
  command->add_option("model", arguments->model, "Name on the hub: org/name or org/name@revision")
      ->required();
  command->add_option("--revision", arguments->revision, "Branch, tag or commit (default: main)");
  command
      ->add_option("--include", arguments->include,
                   "Only files that match this pattern, such as '*.json'; may be repeated. Without "
                   "it: configuration, tokenizer, templates and safetensors")
      ->allow_extra_args(false);
  command
      ->add_option("--exclude", arguments->exclude,
                   "No files that match this pattern; may be repeated, stronger than --include")
      ->allow_extra_args(false);
  command->add_option("--cache-dir", arguments->cache,
                      "Cache folder (default: HF_HUB_CACHE, else HF_HOME/hub, else "
                      "~/.cache/huggingface/hub)");
  command->add_option("-j,--parallel", arguments->parallel, "Files downloaded at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command->add_flag("--offline", arguments->offline,
                    "Ask no server; fail unless the cache has the model whole");
  command->add_flag("-q,--quiet", arguments->quiet, "No progress on standard error");
  command->footer(
      "An interrupted download continues where it stopped, and every file's hash is checked.\n"
      "Environment: HF_ENDPOINT (another hub), HF_TOKEN or the file HF_HOME/token (private and\n"
      "gated models), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE, https_proxy.\n"
      "Example: mica pull mlx-community/Qwen3-0.6B-4bit");
  command->callback([arguments] { run_pull(*arguments); });
}

}  // namespace mica
