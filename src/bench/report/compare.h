// Two runs beside each other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/results/run_record.h"
#include "bench/statistics/metric.h"

namespace mica {

enum class Verdict {
  kUnclear,  // the difference may be chance, or nothing says how likely it is
  kBetter,   // B is, significantly
  kWorse,
  kDiffers,  // significantly, and neither way is better
};
const char* name(Verdict verdict);  // "unclear", "better", "worse", "differs"

struct ComparedMetric {
  std::string name, title, unit;
  Better better = Better::kNeither;
  double a = 0, b = 0;  // medians of requests, or rates of runs
  std::optional<Interval> a_interval, b_interval;
  double change = 0;  // b / a - 1; 0 where a is
  std::optional<Interval> change_interval;
  std::optional<double> p;  // of a permutation test; both needed for a verdict
  Verdict verdict = Verdict::kUnclear;
};

struct Comparison {
  std::string a, b;                         // names of the runs, for people
  std::vector<std::string> not_comparable;  // reasons; empty: the figures may be compared
  std::vector<std::string> differences;     // worth knowing
  std::vector<ComparedMetric> metrics;
};

// Significant: the 95 % interval of the ratio excludes 1 and p < 0.05. Each metric for itself.
Comparison compare_runs(const RunRecord& a, const RunRecord& b);

// "3%", "3 %" or "0.03"; throws Error(kUsage).
double parse_share(std::string_view text);
// Metrics of B that are significantly worse by more than `share`, and an error rate that rose by
// more than one percent of the requests.
std::vector<ComparedMetric> regressions(const Comparison& comparison, double share);

enum class CompareFormat { kTable, kMarkdown, kJson };
std::string to_text(const Comparison& comparison, CompareFormat format);

// Why two runs can't be compared (`reasons`), and what else differs.
void find_differences(const RunRecord& a, const RunRecord& b, std::vector<std::string>& reasons,
                      std::vector<std::string>& differences);

// "vllm 0.11.0, closed:8, 20260131T120000.123Z-1a2b3c4d"
std::string title_of(const RunRecord& run);

}  // namespace mica
