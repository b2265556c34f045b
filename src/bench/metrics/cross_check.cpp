#include "bench/metrics/cross_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

namespace mica {
namespace {

// Network and the client's own parts of a time: no disagreement below these, seconds.
constexpr double kFirstUnseen = 0.005, kLaterUnseen = 0.0005;

bool differ(double a, double b, double tolerance) {
  return std::fabs(a - b) > tolerance * std::max(std::fabs(a), std::fabs(b));
}

// nullopt where one of the requests does not say.
std::optional<double> sum_of(std::span<const RequestSample> records,
                             const std::function<int64_t(const RequestSample&)>& count) {
  double sum = 0;
  for (const RequestSample& record : records) {
    if (count(record) == RequestSample::kUnknown) return std::nullopt;
    sum += static_cast<double>(count(record));
  }
  return records.empty() ? std::nullopt : std::optional(sum);
}

TimeTotal first_tokens(std::span<const RequestSample> records) {
  TimeTotal total;
  for (const RequestSample& record : records) {
    if (record.first_token == RequestSample::kNever) continue;
    total.sum += record.first_token - record.sent;
    ++total.count;
  }
  return total;
}

// Of the tokens behind the first ones.
TimeTotal later_tokens(std::span<const RequestSample> records) {
  TimeTotal total;
  for (const RequestSample& record : records) {
    if (!record.ok() || record.first_token == RequestSample::kNever || record.output_tokens() < 2)
      continue;
    total.sum += record.ended - record.first_token;
    total.count += static_cast<double>(record.output_tokens() - 1);
  }
  return total;
}

class Check {
 public:
  Check(const EngineFigures& engine, std::span<const RequestSample> records,
        const CrossTolerance& tolerance)
      : engine_(engine), records_(records), tolerance_(tolerance) {}

  void requests() {
    if (!engine_.requests) return;
    const auto ok = std::count_if(records_.begin(), records_.end(),
                                  [](const RequestSample& record) { return record.ok(); });
    const auto sent = static_cast<double>(records_.size());
    if (*engine_.requests > sent)
      say(gross(*engine_.requests, sent),
          "the engine ended {:g} requests, {} were sent: somebody else uses it", *engine_.requests,
          records_.size());
    if (*engine_.requests < static_cast<double>(ok))
      say(gross(*engine_.requests, static_cast<double>(ok)),
          "the engine counts {:g} requests, {} were answered", *engine_.requests, ok);
  }

  // Failed requests have tokens that only the engine knows.
  void tokens() {
    for (const RequestSample& record : records_)
      if (!record.ok()) return;
    const auto prompt = sum_of(records_, [](const auto& r) { return r.prompt_tokens; });
    const auto cached = sum_of(records_, [](const auto& r) { return r.cached_tokens; });
    const auto generated = sum_of(records_, [](const auto& r) { return r.completion_tokens; });
    compare("prompt tokens", engine_.prompt_tokens, prompt);
    compare("generated tokens", engine_.generated_tokens, generated);
    if (!prompt || !cached) return;
    compare("cached tokens", engine_.cache_hits, cached, *prompt);
    compare("computed prompt tokens", engine_.computed_tokens, *prompt - *cached, *prompt);
  }

  void times() {
    mean("time to the first token", engine_.first_token, first_tokens(records_), kFirstUnseen);
    // Those that count by step, not by token, have another mean where a step brings several.
    const TimeTotal later = later_tokens(records_);
    if (engine_.inter_token && !differ(engine_.inter_token->count, later.count, tolerance_.counts))
      mean("time of a later token", engine_.inter_token, later, kLaterUnseen);
  }

  template <typename... Args>
  void say(bool gross, fmt::format_string<Args...> format, Args&&... args) {
    found_.push_back({fmt::format(format, std::forward<Args>(args)...), gross});
  }
  std::vector<Disagreement> take() { return std::move(found_); }

 private:
  static bool gross(double a, double b) { return std::max(a, b) > 1.5 * std::min(a, b); }

  // `whole`: of what these are a part, which is counted in more than one way; 0 = of nothing.
  void compare(const char* what, std::optional<double> engine, std::optional<double> client,
               double whole = 0) {
    if (!engine || !client) return;
    const double most = std::max({*engine, *client, whole});
    if (std::fabs(*engine - *client) <= tolerance_.counts * most) return;
    say(whole <= 0 && gross(*engine, *client), "{}: the engine counts {:g}, its answers {:g}", what,
        *engine, *client);
  }

  void mean(const char* what, const std::optional<TimeTotal>& of_engine, const TimeTotal& of_client,
            double unseen) {
    const auto engine = of_engine ? of_engine->mean() : std::nullopt;
    const auto client = of_client.mean();
    if (!client || !engine) return;
    if (std::fabs(*client - *engine) <= unseen || !differ(*client, *engine, tolerance_.times))
      return;
    say(false, "the mean {} is {:.1f} ms to the client and {:.1f} ms to the engine{}", what,
        *client * 1e3, *engine * 1e3,
        *client > *engine ? ": the rest passed before it counts, or on the way" : "");
  }

  const EngineFigures& engine_;
  const std::span<const RequestSample> records_;
  const CrossTolerance tolerance_;
  std::vector<Disagreement> found_;
};

}  // namespace

std::vector<Disagreement> cross_check(const FigureDifference& engine,
                                      std::span<const RequestSample> records,
                                      const CrossTolerance& tolerance) {
  Check check(engine.figures, records, tolerance);
  if (!engine.went_back.empty())
    check.say(false, "the engine was started anew in between: {} went back",
              fmt::join(engine.went_back, ", "));
  check.requests();
  check.tokens();
  check.times();
  return check.take();
}

}  // namespace mica
