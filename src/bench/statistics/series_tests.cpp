#include "bench/statistics/series_tests.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace mica {
namespace {

constexpr size_t kMaxPoints = 256;  // the tests look at every pair

std::vector<double> reduced(std::span<const double> values) {
  if (values.size() <= kMaxPoints) return {values.begin(), values.end()};
  std::vector<double> blocks;
  for (size_t i = 0; i < kMaxPoints; ++i) {
    const size_t begin = i * values.size() / kMaxPoints;
    const size_t end = (i + 1) * values.size() / kMaxPoints;
    const std::span<const double> block = values.subspan(begin, end - begin);
    blocks.push_back(median_of({block.begin(), block.end()}));
  }
  return blocks;
}

// Variance of the number of rising less falling pairs when order means nothing.
double variance(const std::vector<double>& values) {
  const auto term = [](double n) { return n * (n - 1) * (2 * n + 5); };
  std::map<double, int> equal;
  for (const double value : values) ++equal[value];
  double sum = term(static_cast<double>(values.size()));
  for (const auto& [value, count] : equal) sum -= term(count);
  return sum / 18;
}

}  // namespace

std::optional<Drift> find_drift(std::span<const double> values, const DriftOptions& options) {
  if (values.size() < 8) return std::nullopt;
  const std::vector<double> points = reduced(values);
  double rising = 0;
  std::vector<double> slopes;
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t k = i + 1; k < points.size(); ++k) {
      rising += (points[k] > points[i]) - (points[k] < points[i]);
      slopes.push_back((points[k] - points[i]) / static_cast<double>(k - i));
    }
  }
  Drift drift;
  const double spread = std::sqrt(variance(points));
  if (spread > 0) {
    const double z = std::max(std::abs(rising) - 1, 0.0) / spread;  // 1: of whole numbers
    drift.p = std::erfc(z / std::sqrt(2.0));
  }
  const double median = median_of(points);
  if (median != 0)
    drift.change = median_of(std::move(slopes)) * static_cast<double>(points.size() - 1) / median;
  drift.flagged = drift.p < options.max_p && std::abs(drift.change) > options.min_change;
  return drift;
}

std::vector<int64_t> find_outliers(std::span<const double> values, const OutlierOptions& options) {
  std::vector<int64_t> places;
  if (values.size() < 5) return places;
  const double median = median_of({values.begin(), values.end()});
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::abs(value - median));
  const double scale = median_of(distances) / 0.6745;
  for (size_t i = 0; i < values.size(); ++i)
    if (distances[i] > options.max_score * scale &&
        distances[i] > options.min_distance * std::abs(median))
      places.push_back(static_cast<int64_t>(i));
  return places;
}

}  // namespace mica
