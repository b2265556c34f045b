#include "bench/load/arrivals.h"

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/mix.h"

namespace mica {
namespace {

// Numbers of our own: those of <random> differ between standard libraries.
class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}
  double uniform() {  // in (0, 1)
    return (static_cast<double>(random_word(seed_, index_++) >> 11) + 0.5) * 0x1p-53;
  }
  double exponential() { return -std::log(uniform()); }
  double normal() {
    return std::sqrt(2 * exponential()) * std::cos(2 * 3.14159265358979323846 * uniform());
  }
  // Mean `shape`. Marsaglia, Tsang: A simple method for generating gamma variables, 2000.
  double gamma(double shape) {
    if (shape < 1) return gamma(shape + 1) * std::pow(uniform(), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal(), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  uint64_t seed_, index_ = 0;
};

[[noreturn]] void wrong(std::string_view text) {
  throw Error(ErrorKind::kUsage,
              "arrivals: expected closed:CONCURRENCY, constant:RATE, poisson:RATE or "
              "gamma:RATE:BURSTINESS with positive numbers (RATE may be a ramp: 1-10), found '{}'",
              text);
}

// Takes a positive number from the front of `rest`.
double take_number(std::string_view& rest, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{} || !(value > 0) || value > 1e6) wrong(text);
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  return value;
}

double mean_one_gap(const ArrivalOptions& options, Random& random) {
  switch (options.kind) {
    case ArrivalOptions::Kind::kPoisson: return random.exponential();
    case ArrivalOptions::Kind::kGamma: return random.gamma(options.burstiness) / options.burstiness;
    case ArrivalOptions::Kind::kConstant:
    case ArrivalOptions::Kind::kClosed: break;
  }
  return 1;
}

// The rate grows by a constant each second, from `first` to `last` at the time when the area
// below it, the number of requests, is `total`. The time at which the area is `done`.
double ramp_time(double first, double last, double total, double done) {
  const double length = 2 * total / (first + last), slope = (last - first) / length;
  if (std::abs(slope) < 1e-12) return done / first;
  return (std::sqrt(std::max(0.0, first * first + 2 * slope * done)) - first) / slope;
}

}  // namespace

ArrivalOptions parse_arrivals(std::string_view text) {
  using Kind = ArrivalOptions::Kind;
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) wrong(text);
  const std::string_view kind = text.substr(0, colon);
  std::string_view rest = text.substr(colon + 1);
  ArrivalOptions options;
  if (kind == "closed") {
    const double value = take_number(rest, text);
    if (value != std::floor(value) || !rest.empty()) wrong(text);
    options.concurrency = static_cast<int32_t>(value);
    return options;
  }
  if (kind == "constant")
    options.kind = Kind::kConstant;
  else if (kind == "poisson")
    options.kind = Kind::kPoisson;
  else if (kind == "gamma")
    options.kind = Kind::kGamma;
  else
    wrong(text);
  options.concurrency = 0;
  options.rate = take_number(rest, text);
  if (rest.starts_with('-')) {
    rest.remove_prefix(1);
    options.final_rate = take_number(rest, text);
  }
  if (options.kind == Kind::kGamma) {
    if (!rest.starts_with(':')) wrong(text);
    rest.remove_prefix(1);
    options.burstiness = take_number(rest, text);
  }
  if (!rest.empty()) wrong(text);
  return options;
}

std::string to_string(const ArrivalOptions& options) {
  using Kind = ArrivalOptions::Kind;
  std::string rate = fmt::format("{}", options.rate);
  if (options.final_rate > 0) rate += fmt::format("-{}", options.final_rate);
  switch (options.kind) {
    case Kind::kClosed: return fmt::format("closed:{}", options.concurrency);
    case Kind::kConstant: return "constant:" + rate;
    case Kind::kPoisson: return "poisson:" + rate;
    case Kind::kGamma: return fmt::format("gamma:{}:{}", rate, options.burstiness);
  }
  MICA_CHECK(false);
}

std::vector<double> arrival_times(const ArrivalOptions& options, int64_t count) {
  MICA_CHECK(options.kind != ArrivalOptions::Kind::kClosed && options.rate > 0);
  Random random(options.seed);
  std::vector<double> times;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    times.push_back(sum);
    sum += mean_one_gap(options, random);
  }
  if (count < 2) return times;
  const double gaps = static_cast<double>(count - 1), scale = gaps / times.back();
  for (double& time : times) {
    const double done = time * scale;
    time = options.final_rate > 0 ? ramp_time(options.rate, options.final_rate, gaps, done)
                                  : done / options.rate;
  }
  return times;
}

}  // namespace mica
