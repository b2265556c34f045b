#include "bench/run/matrix.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "bench/run/first_token.h"
#include "bench/run/gpu_report.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWorthwhile = 1.05;  // of throughput, to go on with a sweep
constexpr int kInterruptedStatus = 130;

// How often a point was measured already, by backend and point.
using Measured = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

Measured measured_already(ResultStore& store, const std::string& group) {
  Measured out;
  for (const RunEntry& run : store.list({.group = group}))
    if (run.state == name(RunState::kFinished))
      out[{run.backend, run.workload + ", " + run.arrivals}].push_back(run.id);
  return out;
}

class Matrix {
 public:
  Matrix(const std::vector<MatrixBackend>& backends, const std::vector<BenchPoint>& points,
         ResultStore& store, const MatrixOptions& options, const MatrixSink& sink)
      : backends_(backends), points_(points), store_(store), options_(options), sink_(sink) {}

  MatrixReport run() {
    measured_ = measured_already(store_, options_.group);
    for (int32_t round = 0; round < options_.rounds; ++round)
      for (size_t i = 0; i < backends_.size(); ++i) {
        const size_t at = round % 2 == 0 ? i : backends_.size() - 1 - i;
        if (!interrupted() && !failed(backends_[at])) visit(backends_[at]);
      }
    report_.interrupted = interrupted();
    return std::move(report_);
  }

 private:
  bool interrupted() const { return options_.launch.interrupt.stop_requested(); }

  bool failed(const MatrixBackend& backend) const {
    return std::any_of(report_.problems.begin(), report_.problems.end(), [&](const auto& problem) {
      return problem.backend == backend.plan.backend;
    });
  }

  bool out_of_time() const {
    return options_.minutes > 0 &&
           std::chrono::duration<double>(Clock::now() - began_).count() > 60 * options_.minutes;
  }

  void say(MatrixProgress::Kind kind, const MatrixBackend& backend, const std::string& text) {
    if (sink_) sink_({.kind = kind, .backend = backend.plan.backend, .text = text});
  }

  // What is left of this round: those that an earlier call of the same group has not measured.
  std::vector<const BenchPoint*> wanted(const MatrixBackend& backend) {
    std::vector<const BenchPoint*> out;
    for (const BenchPoint& point : points_) {
      std::vector<std::string>& there = measured_[{backend.plan.backend, point.name()}];
      if (there.empty()) {
        out.push_back(&point);
        continue;
      }
      report_.runs.push_back(there.back());
      there.pop_back();
      ++report_.reused;
    }
    return out;
  }

  // Starts the backend, measures, ends it.
  void visit(const MatrixBackend& backend) {
    const std::vector<const BenchPoint*> points = wanted(backend);
    if (points.empty()) return;
    if (out_of_time()) {
      report_.left += static_cast<int64_t>(points.size());
      return;
    }
    try {
      LaunchOptions launch = options_.launch;
      launch.gpu = backend.gpu;
      launch.key = backend.key;
      launch.first_token = [&](const LaunchPlan& plan, std::chrono::seconds deadline,
                               const std::stop_token& stop) {
        return ask_first_token(plan, backend.key, deadline, stop);
      };
      launch.progress = [&](const LaunchProgress& progress) {
        say(progress.kind == LaunchProgress::Kind::kLog ? MatrixProgress::Kind::kLog
                                                        : MatrixProgress::Kind::kStep,
            backend, progress.text);
      };
      RunningEngine engine = launch_engine(backend.plan, launch);
      measure_all(backend, engine, points);
      engine.stop();
    } catch (const Error& error) {
      problem(backend, error.what(), exit_status(error.kind()));
    }
  }

  void problem(const MatrixBackend& backend, const std::string& text, int status) {
    if (interrupted()) return;
    report_.problems.push_back({backend.plan.backend, text, status});
    say(MatrixProgress::Kind::kProblem, backend, text);
  }

  void measure_all(const MatrixBackend& backend, RunningEngine& engine,
                   const std::vector<const BenchPoint*>& points) {
    const std::vector<Mark> marks = check(backend, engine);
    for (size_t i = 0; i < points.size() && !interrupted(); ++i) {
      if (out_of_time()) {
        report_.left += static_cast<int64_t>(points.size() - i);
        return;
      }
      if (!measure_one(backend, engine, *points[i], marks)) return;
    }
    if (options_.sweep && !interrupted()) sweep(backend, engine, marks);
  }

  std::vector<Mark> check(const MatrixBackend& backend, RunningEngine& engine) {
    if (!options_.check_outputs) return {};
    size_t at = 0;
    while (at < report_.outputs.size() && report_.outputs[at].backend != backend.plan.backend) ++at;
    if (at == report_.outputs.size()) {
      say(MatrixProgress::Kind::kStep, backend, "output check");
      Client client({.url = engine.url(), .api_key = backend.key});
      report_.outputs.push_back(check_outputs(client, backend.plan));
    }
    return marks_of(report_.outputs[at], &report_.outputs.front());
  }

  RunRecord head(const MatrixBackend& backend, RunningEngine& engine,
                 const std::vector<Mark>& marks) {
    RunRecord out;
    out.group = options_.group;
    out.plan = record_of(backend.plan, engine.command());
    out.provenance = options_.provenance;
    out.provenance.model = backend.model;
    out.provenance.engine.version = engine.version();
    if (const auto image = engine.image()) {
      out.provenance.engine.image = backend.plan.image.value;
      out.provenance.engine.image_digest = image->digest;
    }
    for (const PhaseTime& phase : engine.phases())
      out.phases.push_back({name(phase.phase), phase.seconds, ""});
    out.marks = marks;
    for (const std::string& warning : engine.warnings())
      out.marks.push_back({Severity::kNote, "launch", warning});
    return out;
  }

  // False when the backend is of no more use.
  bool measure_one(const MatrixBackend& backend, RunningEngine& engine, const BenchPoint& point,
                   const std::vector<Mark>& marks) {
    MeasureTarget target;
    target.url = engine.url();
    target.key = backend.key;
    target.plan = &backend.plan;
    target.text = backend.text;
    target.failure = [&]() -> std::optional<std::string> {
      if (const auto failure = engine.failure()) return describe(*failure);
      return std::nullopt;
    };
    target.observe = [&](RunWriter& writer, Clock::time_point epoch, double begin, double end) {
      add_gpu_report(writer, engine, epoch, begin, end);
    };
    MeasureOptions options = options_.measure;
    options.interrupt = options_.launch.interrupt;
    options.progress = [&](const MeasureProgress& progress) {
      if (!sink_) return;
      const bool step = progress.kind == MeasureProgress::Kind::kStep;
      sink_({.kind = step ? MatrixProgress::Kind::kStep : MatrixProgress::Kind::kRequest,
             .backend = backend.plan.backend,
             .text = progress.text,
             .record = progress.record,
             .done = progress.done,
             .total = progress.total});
    };
    const RunRecord run = measure(target, point, head(backend, engine, marks), store_, options);
    report_.runs.push_back(run.id);
    report_.invalid |= run.invalid();
    report_.requests_failed |= run.summary.finished < run.summary.requests;
    throughput_ = run.summary.rate("output_throughput").value_or(0);
    met_ = !run.summary.goodput || run.summary.goodput->met;
    if (sink_)
      sink_({.kind = MatrixProgress::Kind::kRun, .backend = backend.plan.backend, .run = &run});
    if (run.state != RunState::kFailed) return true;
    const auto failure = engine.failure();
    problem(backend, run.error, exit_status(failure ? failure->kind : ErrorKind::kBackend));
    return false;
  }

  void sweep(const MatrixBackend& backend, RunningEngine& engine, const std::vector<Mark>& marks) {
    std::vector<std::string> done;
    for (BenchPoint point : points_) {
      const std::string workload = point.workload_name();
      if (point.items || std::find(done.begin(), done.end(), workload) != done.end()) continue;
      done.push_back(workload);
      point.requests = 0;
      double best = 0;
      for (int32_t c = 1; c <= options_.most_concurrency; c *= 2) {
        if (interrupted() || out_of_time()) return;
        point.arrivals = {.concurrency = c};
        if (!measure_one(backend, engine, point, marks)) return;
        if (!met_ || throughput_ < kWorthwhile * best) break;
        best = throughput_;
      }
    }
  }

  const std::vector<MatrixBackend>& backends_;
  const std::vector<BenchPoint>& points_;
  ResultStore& store_;
  const MatrixOptions& options_;
  const MatrixSink& sink_;
  const Clock::time_point began_ = Clock::now();
  Measured measured_;
  MatrixReport report_;
  double throughput_ = 0;  // of the last run
  bool met_ = true;        // its limits
};

}  // namespace

int MatrixReport::exit_status() const {
  if (interrupted) return kInterruptedStatus;
  int gravest = invalid ? mica::exit_status(ErrorKind::kMeasurement) : 0;
  for (const Problem& problem : problems)
    if (gravest == 0 || problem.exit_status < gravest) gravest = problem.exit_status;
  return gravest == 0 && requests_failed ? kRequestsFailedStatus : gravest;
}

MatrixReport run_matrix(const std::vector<MatrixBackend>& backends,
                        const std::vector<BenchPoint>& points, ResultStore& store,
                        const MatrixOptions& options, const MatrixSink& sink) {
  MICA_CHECK(!backends.empty() && !points.empty());
  return Matrix(backends, points, store, options, sink).run();
}

}  // namespace mica
