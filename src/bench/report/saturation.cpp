#include "bench/report/saturation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bench/load/arrivals.h"

namespace mica {
namespace {

constexpr size_t kLeastPoints = 3;

std::string subject_of(const RunRecord& run) {
  std::string text = run.backend();
  if (!run.provenance.engine.version.empty()) text += " " + run.provenance.engine.version;
  text += ", " + run.provenance.model.id;
  if (!run.plan.profile.empty()) text += " " + run.plan.profile;
  return text + ", " + run.workload.name;
}

struct Point {
  double sum = 0;  // of throughput
  int runs = 0;
  bool limited = false, met = true;
  double mean() const { return sum / runs; }
};

using Points = std::map<int, Point>;  // by concurrency

void add(Points& points, const RunRecord& run) {
  const auto throughput = run.summary.rate("output_throughput");
  if (run.invalid() || run.state != RunState::kFinished || !throughput) return;
  if (!run.workload.arrivals.starts_with("closed:")) return;
  Point& point = points[parse_arrivals(run.workload.arrivals).concurrency];
  point.sum += *throughput;
  ++point.runs;
  if (const auto& goodput = run.summary.goodput) {
    point.limited = true;
    point.met &= goodput->met;
  }
}

Saturation of(const std::string& subject, const Points& points) {
  Saturation out;
  out.subject = subject;
  out.least = points.begin()->first;
  out.most = points.rbegin()->first;
  bool holds = true;  // up to here
  for (const auto& [concurrency, point] : points) {
    if (point.mean() > out.throughput) {
      out.throughput = point.mean();
      out.best = concurrency;
    }
    if (!point.limited) continue;
    holds &= point.met;
    out.within = holds ? concurrency : out.within.value_or(0);
  }
  return out;
}

}  // namespace

std::string Saturation::text() const {
  std::string out = fmt::format("{}: the most with {} in flight of {} to {}, {:.1f} tok/s", subject,
                                best, least, most, throughput);
  if (best == most) out += "; more may bring more";
  if (within && *within > 0) out += fmt::format("; the limits hold up to {}", *within);
  if (within && *within == 0) out += "; the limits do not hold";
  return out;
}

std::vector<Saturation> saturations(const std::vector<RunRecord>& runs) {
  std::vector<std::string> order;
  std::map<std::string, Points> all;
  for (const RunRecord& run : runs) {
    const std::string subject = subject_of(run);
    if (!all.contains(subject)) order.push_back(subject);
    add(all[subject], run);
  }
  std::vector<Saturation> out;
  for (const std::string& subject : order)
    if (all[subject].size() >= kLeastPoints) out.push_back(of(subject, all[subject]));
  return out;
}

}  // namespace mica
