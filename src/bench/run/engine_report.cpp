#include "bench/run/engine_report.h"

#include <chrono>
#include <thread>

#include "base/error.h"
#include "bench/client/fetch.h"
#include "bench/metrics/cross_check.h"

namespace mica {
namespace {

constexpr double kPageSeconds = 5;
// Engines count an answer up to a moment after its last byte: two readings must be alike.
constexpr std::chrono::milliseconds kBetween{100};
constexpr int kReadings = 20;

bool counts_stand(const EngineFigures& before, const EngineFigures& after) {
  const FigureDifference between = difference(before, after);
  const EngineFigures& f = between.figures;
  for (const auto& count : {f.requests, f.prompt_tokens, f.computed_tokens, f.generated_tokens})
    if (count.value_or(0) > 0) return false;
  return between.went_back.empty() && f.running.value_or(0) <= 0;
}

void add_answers_times(RunWriter& writer, std::span<const RequestSample> records) {
  const auto add = [&](const char* name, double RequestSample::*time) {
    double sum = 0;
    int64_t count = 0;
    for (const RequestSample& record : records) {
      if (!record.ok() || record.*time == RequestSample::kNever) continue;
      sum += record.*time;
      ++count;
    }
    if (count > 0)
      writer.add_server({.name = name,
                         .unit = "s",
                         .source = "its answers",
                         .times = {},
                         .values = {sum / static_cast<double>(count)}});
  };
  add("prefill_mean", &RequestSample::server_prefill);
  add("decode_mean", &RequestSample::server_decode);
}

}  // namespace

EngineFigures EngineReport::read() const {
  const RequestSample page =
      fetch({.url = url_, .api_key = key_}, "GET", dialect_.metrics, "", kPageSeconds);
  if (!page.ok()) throw Error(ErrorKind::kMeasurement, "GET {}: {}", dialect_.metrics, page.error);
  return read_figures(dialect_.metrics_dialect, page.body);
}

EngineFigures EngineReport::settled() const {
  EngineFigures last = read();
  for (int i = 1; i < kReadings && !last.drained; ++i) {
    std::this_thread::sleep_for(kBetween);
    EngineFigures next = read();
    const bool stand = counts_stand(last, next);
    last = std::move(next);
    if (stand) break;
  }
  return last;
}

std::optional<EngineFigures> EngineReport::try_settled(RunWriter& writer) const {
  try {
    return settled();
  } catch (const Error& error) {
    writer.add(Mark{Severity::kNote, "no_engine_figures",
                    fmt::format("the engine's own figures can't be read: {}", error.what())});
    return std::nullopt;
  }
}

void EngineReport::begin(RunWriter& writer) {
  if (!dialect_.metrics.empty() && !dialect_.metrics_dialect.empty()) before_ = try_settled(writer);
}

void EngineReport::end(RunWriter& writer, std::span<const RequestSample> records) {
  add_answers_times(writer, records);
  if (!before_) return;
  const std::optional<EngineFigures> after = try_settled(writer);
  if (!after) return;
  const FigureDifference engine = difference(*before_, *after);
  for (const NamedFigure& figure : told_figures(engine.figures))
    writer.add_server({.name = figure.name,
                       .unit = figure.unit,
                       .source = dialect_.metrics,
                       .times = {},
                       .values = {figure.value}});
  for (const Disagreement& one : cross_check(engine, records))
    writer.add(
        Mark{one.gross ? Severity::kInvalid : Severity::kWarning, "engine_disagrees", one.text});
}

}  // namespace mica
