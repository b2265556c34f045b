#include "bench/metrics/cross_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

namespace mica {
namespace {

// Network and the client's own parts of a time: no disagreement below this, seconds.
constexpr double kUnseen = 0.005;

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

std::optional<double> mean_first_token(std::span<const RequestSample> records) {
  double sum = 0;
  int64_t count = 0;
  for (const RequestSample& record : records) {
    if (record.first_token == RequestSample::kNever) continue;
    sum += record.first_token - record.sent;
    ++count;
  }
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

class Check {
 public:
  Check(const EngineFigures& engine, std::span<const RequestSample> records, double tolerance)
      : engine_(engine), records_(records), tolerance_(tolerance) {}

  void requests() {
    if (!engine_.requests) return;
    const auto ok = std::count_if(records_.begin(), records_.end(),
                                  [](const RequestSample& record) { return record.ok(); });
    if (*engine_.requests > static_cast<double>(records_.size()))
      say("the engine ended {:g} requests, {} were sent: somebody else uses it", *engine_.requests,
          records_.size());
    if (*engine_.requests < static_cast<double>(ok))
      say("the engine counts {:g} requests, {} were answered", *engine_.requests, ok);
  }

  // Failed requests have tokens that only the engine knows.
  void tokens() {
    for (const RequestSample& record : records_)
      if (!record.ok()) return;
    const auto prompt = sum_of(records_, [](const auto& r) { return r.prompt_tokens; });
    const auto cached = sum_of(records_, [](const auto& r) { return r.cached_tokens; });
    compare("prompt tokens", engine_.prompt_tokens, prompt);
    compare("generated tokens", engine_.generated_tokens,
            sum_of(records_, [](const auto& r) { return r.completion_tokens; }));
    compare("cached tokens", engine_.cache_hits, cached);
    if (prompt && cached)
      compare("computed prompt tokens", engine_.computed_tokens, *prompt - *cached);
  }

  void first_token() {
    const auto client = mean_first_token(records_);
    const auto engine = engine_.first_token ? engine_.first_token->mean() : std::nullopt;
    if (!client || !engine) return;
    if (std::fabs(*client - *engine) <= kUnseen || !differ(*client, *engine, tolerance_)) return;
    say("the mean time to the first token is {:.1f} ms to the client and {:.1f} ms to the engine{}",
        *client * 1e3, *engine * 1e3,
        *client > *engine ? ": the rest passed before it counts, or on the way" : "");
  }

  std::vector<std::string> take() { return std::move(found_); }
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    found_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  void compare(const char* what, std::optional<double> engine, std::optional<double> client) {
    if (engine && client && differ(*engine, *client, tolerance_))
      say("{}: the engine counts {:g}, its answers {:g}", what, *engine, *client);
  }

  const EngineFigures& engine_;
  const std::span<const RequestSample> records_;
  const double tolerance_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> cross_check(const FigureDifference& engine,
                                     std::span<const RequestSample> records, double tolerance) {
  Check check(engine.figures, records, tolerance);
  if (!engine.went_back.empty())
    check.say("the engine was started anew in between: {} went back",
              fmt::join(engine.went_back, ", "));
  check.requests();
  check.tokens();
  check.first_token();
  return check.take();
}

}  // namespace mica
