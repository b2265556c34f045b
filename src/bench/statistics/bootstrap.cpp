#include "bench/statistics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/mix.h"

namespace mica {
namespace {

// Whole numbers below a limit. Those of <random> differ between standard libraries.
class Draw {
 public:
  explicit Draw(uint64_t seed) : seed_(seed) {}
  size_t below(size_t limit) {
    const auto word = static_cast<unsigned __int128>(random_word(seed_, index_++));
    return static_cast<size_t>((word * limit) >> 64);
  }

 private:
  uint64_t seed_, index_ = 0;
};

int resamples_for(size_t values, const BootstrapOptions& options) {
  constexpr size_t kMaxDraws = size_t{1} << 22;
  const auto affordable = static_cast<int>(std::max<size_t>(kMaxDraws / values, 200));
  return std::min(options.resamples, affordable);
}

void resample(std::span<const double> values, Draw& draw, std::vector<double>& out) {
  out.resize(values.size());
  for (double& value : out) value = values[draw.below(values.size())];
}

Interval middle_of(std::vector<double>& estimates, double confidence) {
  std::sort(estimates.begin(), estimates.end());
  const double outside = 50 * (1 - confidence);
  return {percentile(estimates, outside), percentile(estimates, 100 - outside)};
}

// Places in the order of size; equal values share the mean of theirs.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  return ranks;
}

}  // namespace

double mean_statistic(std::span<double> values) {
  return mean_of(values);
}

double median_statistic(std::span<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

std::vector<Interval> bootstrap(std::span<const double> values,
                                std::span<const Statistic> statistics,
                                const BootstrapOptions& options) {
  MICA_CHECK(!values.empty());
  Draw draw(options.seed);
  std::vector<double> sample;
  std::vector<std::vector<double>> estimates(statistics.size());
  for (int i = resamples_for(values.size(), options); i > 0; --i) {
    resample(values, draw, sample);
    for (size_t k = 0; k < statistics.size(); ++k) estimates[k].push_back(statistics[k](sample));
  }
  std::vector<Interval> intervals;
  for (std::vector<double>& of_one : estimates)
    intervals.push_back(middle_of(of_one, options.confidence));
  return intervals;
}

Interval bootstrap(std::span<const double> values, Statistic statistic,
                   const BootstrapOptions& options) {
  return bootstrap(values, std::span(&statistic, 1), options)[0];
}

Interval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  return bootstrap(values, mean_statistic, options);
}

Interval bootstrap_median(std::span<const double> values, const BootstrapOptions& options) {
  return bootstrap(values, median_statistic, options);
}

Interval bootstrap_ratio(std::span<const double> a, std::span<const double> b, Statistic statistic,
                         const BootstrapOptions& options) {
  MICA_CHECK(!a.empty() && !b.empty());
  Draw draw(options.seed);
  std::vector<double> sample, ratios;
  for (int i = resamples_for(a.size() + b.size(), options); i > 0; --i) {
    resample(a, draw, sample);
    const double below = statistic(sample);
    resample(b, draw, sample);
    const double above = statistic(sample);
    if (below != 0) ratios.push_back(above / below);
  }
  if (ratios.empty()) return {0, std::numeric_limits<double>::infinity()};
  return middle_of(ratios, options.confidence);
}

double permutation_p(std::span<const double> a, std::span<const double> b, Statistic statistic,
                     const BootstrapOptions& options) {
  MICA_CHECK(!a.empty() && !b.empty());
  std::vector<double> all(a.begin(), a.end()), work;
  all.insert(all.end(), b.begin(), b.end());
  const auto distance = [&] {
    work = all;
    const std::span<double> both = work;
    return std::abs(statistic(both.subspan(a.size())) - statistic(both.first(a.size())));
  };
  // Equal sums in another order differ in their last bits.
  const double seen = distance() * (1 - 1e-12);
  Draw draw(options.seed);
  int as_far = 0;
  const int rounds = resamples_for(all.size(), options);
  for (int i = 0; i < rounds; ++i) {
    for (size_t k = 0; k < a.size(); ++k) std::swap(all[k], all[k + draw.below(all.size() - k)]);
    as_far += distance() >= seen;
  }
  return (as_far + 1.0) / (rounds + 1.0);
}

double rank_p(std::span<const double> a, std::span<const double> b,
              const BootstrapOptions& options) {
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  const std::vector<double> ranks = ranks_of(all);
  const std::span<const double> both = ranks;
  return permutation_p(both.first(a.size()), both.subspan(a.size()), mean_statistic, options);
}

}  // namespace mica
