#include "bench/run/matrix.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "bench/run/first_token.h"
#include "bench/run/point_key.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWorthwhile = 1.05;   // of throughput, to go on with a sweep
constexpr double kSamePrompt = 0.005;  // of its tokens
constexpr int kInterruptedStatus = 130;

std::string label_of(const MatrixBackend& backend) {
  return backend.label.empty() ? backend.plan.backend : backend.label;
}

// What the matrix goes by, of one run.
struct Step {
  std::string id;
  double throughput = 0;                // tokens/s
  bool met = true;                      // its limits
  std::optional<double> prompt_tokens;  // median
};

Step step_of(const RunRecord& run) {
  const Distribution* prompt = run.summary.figure("prompt_tokens");
  return {run.id, run.summary.rate("output_throughput").value_or(0),
          !run.summary.goodput || run.summary.goodput->met,
          prompt ? std::optional(prompt->median) : std::nullopt};
}

// What was measured already, oldest first, by point_key().
using Measured = std::map<std::string, std::vector<Step>>;

Measured measured_already(ResultStore& store, const std::string& group) {
  Measured out;
  for (const RunEntry& entry : store.list({.group = group})) {
    if (entry.state != name(RunState::kFinished)) continue;
    const RunRecord run = store.load(entry.id);
    if (!run.point.empty()) out[run.point].push_back(step_of(run));
  }
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
    compare_prompts();
    return std::move(report_);
  }

 private:
  bool interrupted() const { return options_.launch.interrupt.stop_requested(); }

  // The same texts must be as many tokens to each engine, or their templates differ. Models of
  // different tokenizers are not compared: `counted_` is by model and point.
  void compare_prompts() {
    for (const auto& [work, counts] : counted_) {
      const auto [least, most] = std::minmax_element(
          counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
      if (most->second - least->second <= std::max(1.0, kSamePrompt * most->second)) continue;
      report_.remarks.push_back(fmt::format(
          "{}: {} counts {:.0f} prompt tokens, {} {:.0f} of the same texts: another chat template, "
          "or a beginning-of-sequence token more",
          work.second, most->first, most->second, least->first, least->second));
    }
  }

  bool failed(const MatrixBackend& backend) const {
    return std::any_of(report_.problems.begin(), report_.problems.end(),
                       [&](const auto& problem) { return problem.backend == label_of(backend); });
  }

  bool out_of_time() const {
    return options_.minutes > 0 &&
           std::chrono::duration<double>(Clock::now() - began_).count() > 60 * options_.minutes;
  }

  void say(MatrixProgress::Kind kind, const MatrixBackend& backend, const std::string& text) {
    if (sink_) sink_({.kind = kind, .backend = label_of(backend), .text = text});
  }

  // One backend in one round. It starts with the first point that was not measured before, and
  // ends with this.
  struct Visit {
    const MatrixBackend& backend;
    std::optional<RunningEngine> engine;
    std::vector<Mark> marks;
    std::map<std::string, Step> done;  // by point_key()
    bool over = false;                 // the backend is of no more use
  };

  void visit(const MatrixBackend& backend) {
    Visit visit{.backend = backend};
    try {
      for (size_t i = 0; i < points_.size() && !visit.over; ++i)
        if (!do_point(visit, points_[i]) && !visit.over) ++report_.left;
      if (options_.sweep && !visit.over) sweep(visit);
      if (visit.engine) visit.engine->stop();
    } catch (const LaunchError& error) {
      if (!interrupted()) keep_failed(backend, error.failure());
      problem(backend, error.what(), exit_status(error.kind()));
    } catch (const Error& error) {
      problem(backend, error.what(), exit_status(error.kind()));
    }
  }

  // A start that failed is a result as well: how far it came, in what time, and why it ended.
  void keep_failed(const MatrixBackend& backend, const LaunchFailure& failure) {
    RunRecord run;
    run.group = options_.group;
    run.state = RunState::kFailed;
    run.error = describe(failure);
    run.started = utc_now();
    run.plan = record_of(backend.plan, backend.plan.command(/*masked=*/true));
    run.provenance = options_.provenance;
    run.provenance.model = backend.model;
    run.workload.name = "start";
    for (const PhaseTime& phase : failure.phases)
      run.phases.push_back({name(phase.phase), phase.seconds,
                            phase.phase == failure.phase ? name(failure.problem) : ""});
    try {
      report_.runs.push_back(store_.add(std::move(run)));
    } catch (const Error& error) {
      log_warning("{}", error.what());
    }
  }

  // Measures it, unless this call or an earlier one of the group has. Nothing when the visit or
  // the time is over.
  std::optional<Step> do_point(Visit& visit, const BenchPoint& point) {
    const MatrixBackend& backend = visit.backend;
    const std::string key = point_key(backend.plan, backend.model, point);
    if (const auto done = visit.done.find(key); done != visit.done.end()) return done->second;
    if (std::vector<Step>& there = measured_[key]; !there.empty()) {
      const Step step = there.front();
      there.erase(there.begin());
      report_.runs.push_back(step.id);
      ++report_.reused;
      note_prompts(backend, point, step);
      return visit.done[key] = step;
    }
    visit.over = interrupted();
    if (visit.over || out_of_time()) return std::nullopt;
    if (!visit.engine) {
      visit.engine.emplace(launch(backend));
      visit.marks = check(backend, *visit.engine);
      visit.over = interrupted();
      if (visit.over) return std::nullopt;
    }
    const RunRecord run = measure_one(visit, point, key);
    const Step step = step_of(run);
    note_prompts(backend, point, step);
    visit.over = run.state != RunState::kFinished;
    return visit.done[key] = step;
  }

  void note_prompts(const MatrixBackend& backend, const BenchPoint& point, const Step& step) {
    if (step.prompt_tokens)
      counted_[{backend.asked, point.name()}][label_of(backend)] = *step.prompt_tokens;
  }

  RunningEngine launch(const MatrixBackend& backend) {
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
    return launch_engine(backend.plan, launch);
  }

  void problem(const MatrixBackend& backend, const std::string& text, int status) {
    if (interrupted()) return;
    report_.problems.push_back({label_of(backend), text, status});
    say(MatrixProgress::Kind::kProblem, backend, text);
  }

  std::vector<Mark> check(const MatrixBackend& backend, RunningEngine& engine) {
    if (!options_.check_outputs) return {};
    const auto found = outputs_.find(label_of(backend));
    if (found == outputs_.end()) {
      say(MatrixProgress::Kind::kStep, backend, "output check");
      Client client({.url = engine.url(), .api_key = backend.key});
      report_.outputs.push_back(check_outputs(client, backend.plan, options_.check_tokens));
      report_.outputs.back().backend = label_of(backend);
      outputs_[label_of(backend)] = report_.outputs.size() - 1;
      references_.try_emplace(backend.asked, report_.outputs.size() - 1);
    }
    return marks_of(report_.outputs[outputs_.at(label_of(backend))],
                    &report_.outputs[references_.at(backend.asked)]);
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
    for (const std::string& warning : engine.warnings()) {
      const bool version = warning == engine.other_version();
      out.marks.push_back({version ? Severity::kWarning : Severity::kNote,
                           version ? "other_version" : "launch", warning});
    }
    return out;
  }

  RunRecord measure_one(Visit& visit, const BenchPoint& point, const std::string& key) {
    const MatrixBackend& backend = visit.backend;
    RunningEngine& engine = *visit.engine;
    MeasureTarget target;
    target.url = engine.url();
    target.key = backend.key;
    target.plan = &backend.plan;
    target.text = backend.text;
    target.prefill = backend.prefill;
    target.failure = [&]() -> std::optional<std::string> {
      if (const auto failure = engine.failure()) return describe(*failure);
      return std::nullopt;
    };
    target.verdict = [&] {
      constexpr double kLook = 5;  // seconds before
      return describe(engine.verdict(steady_seconds() - kLook, /*generated=*/false));
    };
    target.observe = [&](RunWriter& writer, Clock::time_point epoch, double begin, double end) {
      add_gpu_report(writer, engine, backend.gpu_plan, epoch, begin, end);
    };
    MeasureOptions options = options_.measure;
    options.interrupt = options_.launch.interrupt;
    options.progress = [&](const MeasureProgress& progress) {
      if (!sink_) return;
      const bool step = progress.kind == MeasureProgress::Kind::kStep;
      sink_({.kind = step ? MatrixProgress::Kind::kStep : MatrixProgress::Kind::kRequest,
             .backend = label_of(backend),
             .text = progress.text,
             .record = progress.record,
             .done = progress.done,
             .total = progress.total});
    };
    RunRecord head = this->head(backend, engine, visit.marks);
    head.point = key;
    const RunRecord run = measure(target, point, std::move(head), store_, options);
    report_.runs.push_back(run.id);
    report_.invalid |= run.invalid();
    report_.requests_failed |= run.summary.finished < run.summary.requests;
    if (sink_)
      sink_({.kind = MatrixProgress::Kind::kRun, .backend = label_of(backend), .run = &run});
    if (run.state == RunState::kFailed) {
      const auto failure = engine.failure();
      problem(backend, run.error, exit_status(failure ? failure->kind : ErrorKind::kBackend));
    }
    return run;
  }

  void sweep(Visit& visit) {
    std::vector<std::string> done;
    for (BenchPoint point : points_) {
      const std::string workload = point.workload_name();
      if (point.items || std::find(done.begin(), done.end(), workload) != done.end()) continue;
      done.push_back(workload);
      point.requests = 0;
      MatrixSweep found{.backend = label_of(visit.backend), .workload = workload};
      for (int32_t c = 1; c <= options_.most_concurrency; c *= 2) {
        point.arrivals = {.concurrency = c, .seed = point.arrivals.seed};
        const auto step = do_point(visit, point);
        if (!step || visit.over || step->throughput <= 0) return;
        found.last = c;
        const double before = found.throughput;
        if (step->met && step->throughput > before) {
          found.throughput = step->throughput;
          found.concurrency = c;
        }
        found.end = !step->met                                ? MatrixSweep::End::kLimits
                    : step->throughput < kWorthwhile * before ? MatrixSweep::End::kNoMore
                                                              : MatrixSweep::End::kMost;
        if (found.end != MatrixSweep::End::kMost) break;
      }
      report_.sweeps.push_back(found);
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
  // Median prompt tokens, by the model asked for and the point, then by backend.
  std::map<std::pair<std::string, std::string>, std::map<std::string, double>> counted_;
  std::map<std::string, size_t> outputs_, references_;  // of report_.outputs: by label; by model
};

}  // namespace

std::string describe(const MatrixSweep& sweep) {
  std::string text = fmt::format("{}, {}: ", sweep.backend, sweep.workload);
  if (sweep.concurrency == 0)
    return text + fmt::format("the limits are not met with {} in flight", sweep.last);
  text += fmt::format("most with {} in flight, {:.1f} tok/s", sweep.concurrency, sweep.throughput);
  switch (sweep.end) {
    case MatrixSweep::End::kNoMore:
      return text + fmt::format("; {} bring less than 5 % more", sweep.last);
    case MatrixSweep::End::kLimits:
      return text + fmt::format("; {} don't meet the limits", sweep.last);
    case MatrixSweep::End::kMost: return text + "; more were not tried";
  }
  MICA_CHECK(false);
}

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
