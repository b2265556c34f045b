#include "bench/run/live_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace mica {
namespace {

constexpr double kFrame = 0.1;     // seconds between two drawings
constexpr double kLineEvery = 10;  // of progress, where there is no terminal
constexpr double kWindow = 10;     // seconds that the current figures look back
constexpr size_t kLogLines = 5;
constexpr int kBar = 24;

double steady_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

std::string milliseconds(double seconds) {
  const double ms = 1000 * seconds;
  return ms < 10    ? fmt::format("{:.2f} ms", ms)
         : ms < 100 ? fmt::format("{:.1f} ms", ms)
                    : fmt::format("{:.0f} ms", ms);
}

double middle(std::vector<double> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string bar(int64_t done, int64_t total) {
  const auto full = static_cast<size_t>(total > 0 ? kBar * std::min(done, total) / total : 0);
  return "[" + std::string(full, '#') + std::string(kBar - full, '.') + "]";
}

// Printable text of what an engine wrote: control characters could move the cursor.
std::string harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = utf8_sequence(text);
    const auto first = static_cast<unsigned char>(text[0]);
    const bool c1 = size == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (size == 0 || first < 0x20 || first == 0x7F || c1)
      out += first == '\t' ? ' ' : '?';
    else
      out += text.substr(0, size);
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

}  // namespace

std::string one_line(const RunRecord& run) {
  std::string out = run.backend();
  for (const std::string& part : {run.provenance.model.id, run.plan.profile})
    if (!part.empty()) out += " " + part.substr(part.rfind('/') + 1);
  if (run.workload.arrivals.empty() && run.state == RunState::kFailed)
    return out + " · " + run.workload.name + ": " + run.error.substr(0, run.error.find('\n'));
  out += fmt::format(" · {}, {}: ", run.workload.name, run.workload.arrivals);
  const RunSummary& summary = run.summary;
  if (const auto rate = summary.rate("output_throughput"))
    out += fmt::format("{:.1f} tokens/s, ", *rate);
  for (const auto& [metric, label] : {std::pair{"ttft", "TTFT"}, std::pair{"tpot", "TPOT"}})
    if (const Distribution* figure = summary.figure(metric))
      out += fmt::format("{} {}, ", label, milliseconds(figure->median));
    else if (summary.finished > 0)
      out += fmt::format("{} -, ", label);
  out += fmt::format("{} of {} requests", summary.finished, summary.requests);
  if (run.state != RunState::kFinished) out += fmt::format(" ({})", name(run.state));
  for (const Mark& mark : run.marks)
    if (mark.severity != Severity::kNote)
      out += fmt::format("\n    {}: {}: {}", name(mark.severity), mark.code, mark.text);
  return out;
}

LiveView::LiveView(LiveViewOptions options)
    : options_(std::move(options)), began_(options_.now ? options_.now() : steady_now()) {}

LiveView::~LiveView() {
  clear();
}

void LiveView::take(const MatrixProgress& progress) {
  using Kind = MatrixProgress::Kind;
  const double now = options_.now ? options_.now() : steady_now();
  if (!progress.backend.empty() && progress.backend != backend_) {
    backend_ = progress.backend;
    log_.clear();
  }
  switch (progress.kind) {
    case Kind::kStep:
      step_ = progress.text;
      step_began_ = now;
      done_ = total_ = failed_ = 0;
      recent_.clear();
      if (!options_.terminal)
        stay(fmt::format("{} {}: {}", clock_text(now - began_), backend_, step_));
      break;
    case Kind::kLog:
      if (options_.show_log) stay(fmt::format("[{}] {}", backend_, harmless(progress.text)));
      log_.push_back(harmless(progress.text));
      if (log_.size() > kLogLines) log_.pop_front();
      break;
    case Kind::kRequest:
      done_ = progress.done;
      total_ = progress.total;
      if (progress.record) add_record(*progress.record);
      break;
    case Kind::kRun:
      ++runs_;
      if (progress.run) stay(clock_text(now - began_) + " " + one_line(*progress.run));
      break;
    case Kind::kProblem:
      stay(fmt::format("{} {}: {}", clock_text(now - began_), backend_, progress.text));
      break;
  }
  draw(progress.kind != Kind::kRequest && progress.kind != Kind::kLog);
}

void LiveView::add_record(const RequestSample& record) {
  const double now = options_.now ? options_.now() : steady_now();
  if (!record.ok()) {
    ++failed_;
    return;
  }
  const int64_t tokens = record.output_tokens();
  const double after_first = record.last_token - record.first_token;
  recent_.push_back({now, record.first_token - record.sent,
                     tokens > 1 ? after_first / static_cast<double>(tokens - 1) : -1, tokens});
  while (!recent_.empty() && recent_.front().time < now - kWindow) recent_.pop_front();
}

std::string LiveView::figures() const {
  if (recent_.empty()) return failed_ ? fmt::format("failed {}", failed_) : "";
  std::vector<double> ttft, tpot;
  int64_t tokens = 0;
  for (const Recent& recent : recent_) {
    ttft.push_back(recent.ttft);
    if (recent.tpot >= 0) tpot.push_back(recent.tpot);
    tokens += recent.tokens;
  }
  const double now = options_.now ? options_.now() : steady_now();
  const double span = std::max(kFrame, std::min(kWindow, now - step_began_));
  std::string out =
      fmt::format("last {:.0f} s: {:.0f} tokens/s, TTFT {}", std::min(kWindow, now - step_began_),
                  static_cast<double>(tokens) / span, milliseconds(middle(ttft)));
  if (!tpot.empty()) out += ", TPOT " + milliseconds(middle(tpot));
  if (failed_) out += fmt::format(", {} failed", failed_);
  return out;
}

// Cut to the terminal's width: a longer line would break and the block lose its size.
std::string LiveView::fit(const std::string& line) const {
  std::string_view rest = line;
  size_t columns = 0, end = 0;
  while (end < line.size() && columns + 1 < static_cast<size_t>(options_.width)) {
    end += std::max<size_t>(utf8_sequence(rest), 1);
    rest = std::string_view(line).substr(end);
    ++columns;
  }
  return line.substr(0, end);
}

std::string LiveView::block() {
  const double now = options_.now ? options_.now() : steady_now();
  std::vector<std::string> lines;
  std::string head = fmt::format("{} {} · {}", clock_text(now - began_), backend_, step_);
  if (options_.runs > 0)
    head += fmt::format(" · run {} of {}", std::min(runs_ + 1, options_.runs), options_.runs);
  lines.push_back(head);
  if (total_ > 0) {
    lines.push_back(fmt::format("  {} {}/{}", bar(done_, total_), done_, total_));
    if (const std::string text = figures(); !text.empty()) lines.push_back("  " + text);
  }
  for (const std::string& line : log_) lines.push_back("  | " + line);
  lines_ = static_cast<int>(lines.size());
  std::string out;
  for (const std::string& line : lines) out += fit(line) + "\n";
  return out;
}

void LiveView::clear() {
  if (lines_ == 0) return;
  options_.write(fmt::format("\x1b[{}A\x1b[J", lines_));  // up, and clear to the end of the screen
  lines_ = 0;
}

void LiveView::stay(const std::string& line) {
  clear();
  options_.write(line + "\n");
}

void LiveView::draw(bool at_once) {
  const double now = options_.now ? options_.now() : steady_now();
  if (!options_.terminal) {
    if (total_ == 0 || now - std::max(drawn_, step_began_) < kLineEvery) return;
    drawn_ = now;
    stay(fmt::format("{} {}: {} of {}; {}", clock_text(now - began_), backend_, done_, total_,
                     figures()));
    return;
  }
  if (!at_once && now - drawn_ < kFrame) return;
  drawn_ = now;
  clear();
  options_.write(block());
}

}  // namespace mica
