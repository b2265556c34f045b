// Intervals and tests by resampling. The same numbers for the same seed on every machine.
// B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993 (percentile intervals).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bench/statistics/distribution.h"

namespace mica {

struct BootstrapOptions {
  int resamples = 2000;  // fewer for many values: at most 2^22 draws, at least 200 resamples
  double confidence = 0.95;
  uint64_t seed = 0;
};

using Statistic = double (*)(std::span<double> values);  // may reorder them

// Of a statistic of at least one value.
Interval bootstrap(std::span<const double> values, Statistic statistic,
                   const BootstrapOptions& options = {});
// Of several, from the same resamples.
std::vector<Interval> bootstrap(std::span<const double> values,
                                std::span<const Statistic> statistics,
                                const BootstrapOptions& options = {});
Interval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options = {});
Interval bootstrap_median(std::span<const double> values, const BootstrapOptions& options = {});

// Of statistic(b) / statistic(a) of two independent samples.
Interval bootstrap_ratio(std::span<const double> a, std::span<const double> b, Statistic statistic,
                         const BootstrapOptions& options = {});

// Two-sided p of |statistic(b) - statistic(a)| when the labels mean nothing; at least
// 1 / (resamples + 1). R. Fisher's test by random relabelling.
double permutation_p(std::span<const double> a, std::span<const double> b, Statistic statistic,
                     const BootstrapOptions& options = {});

// The same of ranks (Mann and Whitney's test): whether values of one sample tend to be larger,
// whatever their distribution. Medians would not do: those of two relabelled groups jump between
// two separate heaps of values.
double rank_p(std::span<const double> a, std::span<const double> b,
              const BootstrapOptions& options = {});

double mean_statistic(std::span<double> values);
double median_statistic(std::span<double> values);

}  // namespace mica
