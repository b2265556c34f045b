// What goes on around an engine: its record, its log, its GPUs, its end.
#include "bench/launch/engine_state.h"

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/file.h"

namespace mica {
namespace {

using std::chrono::milliseconds;

constexpr auto kKeepInterval = milliseconds(1000);
constexpr double kCompileMemory = 60;  // seconds for which a line about compiling counts
constexpr double kBaselineSeconds = 5, kFreshSample = 1;
constexpr size_t kTailLines = 60;

// Processes that the kernel ended in this control group for want of memory.
int64_t oom_kills() {
  std::ifstream file("/sys/fs/cgroup/memory.events");
  std::string key;
  int64_t count = 0;
  while (file >> key >> count)
    if (key == "oom_kill") return count;
  return 0;
}

std::string gpu_memory_text(const std::optional<GpuSample>& sample) {
  std::string text;
  if (!sample) return text;
  for (const GpuReading& gpu : sample->gpus)
    if (gpu.memory_used && gpu.memory_total)
      text += fmt::format("; GPU {} {:.1f} of {:.1f} GiB", gpu.index,
                          static_cast<double>(*gpu.memory_used) / 1024,
                          static_cast<double>(*gpu.memory_total) / 1024);
  return text;
}

std::filesystem::path state_folder(const LaunchOptions& options) {
  return options.state_folder.empty() ? default_state_folder() : options.state_folder;
}

}  // namespace

EngineState::EngineState(const LaunchPlan& plan, const LaunchOptions& options)
    : plan_(plan),
      options_(options),
      record_(new_ownership(plan.backend)),
      watch_(plan.backend),
      teller_(options_.progress) {
  warnings = plan_.warnings;
  sampler_ = std::make_unique<GpuSampler>(
      [source = options_.gpu_source] { return open_gpu_source(source); }, options_.sample_interval);
}

EngineState::~EngineState() {
  stop();
}

GpuExpectation EngineState::expectation() const {
  GpuExpectation expectation = options_.gpu;
  if (expectation.gpus < 0 && sees_attached_ && !plan_.needs_gpu && !sampler_->present())
    expectation.gpus = 0;  // on this machine, which has none
  // One that needs a GPU where none was found is no run on the processor.
  if (expectation.gpus < 0 && !attached() && (plan_.gpus > 0 || !plan_.needs_gpu))
    expectation.gpus = plan_.gpus;
  return expectation;
}

void EngineState::tell(LaunchProgress::Kind kind, const std::string& text) {
  teller_.tell({kind, text, steady_seconds() - began_});
}

void EngineState::beat(const std::string& waits_for) {
  const double now = steady_seconds();
  if (now - beat_at_ < options_.heartbeat) return;
  beat_at_ = now;
  tell(LaunchProgress::Kind::kHeartbeat, fmt::format("{:.0f} s: waiting for {}{}", now - started_,
                                                     waits_for, gpu_memory_text(sampler_->last())));
}

void EngineState::check_interrupt(LaunchPhase phase) {
  if (!options_.interrupt.stop_requested()) return;
  LaunchFailure failure;
  failure.problem = LaunchProblem::kInterrupted;
  failure.phase = phase;
  failure.what = "interrupted; what was started is stopped";
  throw LaunchError(std::move(failure));
}

void EngineState::on_line(std::string_view line) {
  {
    const std::lock_guard lock(watch_mutex_);
    watch_.look(line);
    if (FailureWatch::is_compiling(line)) compile_line_ = steady_seconds();
  }
  if (!line.empty()) tell(LaunchProgress::Kind::kLog, std::string(line));
}

void EngineState::write_files() const {
  for (const PlanFile& file : plan_.files) {
    std::filesystem::create_directories(std::filesystem::path(file.path).parent_path());
    write_text_file(file.path, file.text);
  }
}

void EngineState::start() {
  baseline_ = sampler_->next(kBaselineSeconds);
  started_ = work_began_ = beat_at_ = steady_seconds();
  if (attached()) {
    look_at_attached();
    return;
  }
  if (plan_.mode == LaunchMode::kDocker) prepare_docker();
  refuse_taken_port();
  check_interrupt(LaunchPhase::kPrepare);
  ownership_.emplace(state_folder(options_));
  LogOptions log;
  log.file = options_.log.empty() ? state_folder(options_) / "logs" / (record_.run + ".log")
                                  : options_.log;
  std::filesystem::create_directories(log.file.parent_path());
  log.on_line = [this](std::string_view line) { on_line(line); };
  record_.log = log.file.string();
  pump_ = std::make_unique<LogPump>(log);
  oom_kills_ = oom_kills();
  write_files();
  phases.push_back({LaunchPhase::kPrepare, steady_seconds() - began_});
  plan_.mode == LaunchMode::kDocker ? start_container() : start_process();
  sampler_->set_members([this] { return members(); });
  keeper_ = std::jthread([this](std::stop_token stop) { keep_record(stop); });
}

void EngineState::start_process() {
  ProcessSpec spec;
  spec.argv = plan_.command(/*masked=*/false);
  spec.directory = plan_.directory;
  for (const PlanVariable& variable : plan_.environment)
    spec.environment.emplace_back(variable.name, variable.value);
  // Python would keep lines back as long as they go into a pipe.
  if (!std::getenv("PYTHONUNBUFFERED")) spec.environment.emplace_back("PYTHONUNBUFFERED", "1");
  tell(LaunchProgress::Kind::kStep, "starting " + plan_.backend);
  run_program(std::move(spec));
}

// The record is written before the program begins, with its process.
void EngineState::run_program(ProcessSpec spec) {
  spec.mark = record_.processes.mark;
  ownership_->write(record_);
  started_ = work_began_ = steady_seconds();
  try {
    process_ = std::make_unique<EngineProcess>(spec, *pump_, [this](const ProcessId& id) {
      const std::lock_guard lock(record_mutex_);
      record_.processes.leader = id;
      ownership_->write(record_);
    });
  } catch (const Error& error) {
    ownership_->remove(record_.run);
    LaunchFailure failure;
    failure.problem = LaunchProblem::kNoProgram;
    failure.what = error.what();
    throw LaunchError(std::move(failure));
  }
}

std::vector<ProcessFacts> EngineState::members() {
  std::vector<ProcessFacts> members = process_->look();
  if (docker_) {
    std::string id;
    {
      const std::lock_guard lock(record_mutex_);
      id = record_.container->id;
    }
    const auto inside = container_members_->look(id);
    members.insert(members.end(), inside.begin(), inside.end());
  }
  return members;
}

void EngineState::keep_record(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, stop, kKeepInterval, [] { return false; })) {
    if (stop.stop_requested()) return;
    process_->look();
    const LaunchedProcesses now = process_->processes();
    const std::lock_guard guard(record_mutex_);
    bool changed = now.seen != record_.processes.seen;
    record_.processes.seen = now.seen;
    if (docker_ && record_.container->id.empty()) {
      std::ifstream(container_id_file_) >> record_.container->id;
      changed |= !record_.container->id.empty();
    }
    if (changed) ownership_->write(record_);
  }
}

void EngineState::pause(milliseconds time) const {
  if (process_)
    process_->wait(time);
  else
    std::this_thread::sleep_for(time);
}

LaunchFailure EngineState::failure(LaunchProblem problem, LaunchPhase phase, std::string what) {
  LaunchFailure failure;
  failure.problem = problem;
  failure.phase = phase;
  failure.what = std::move(what);
  if (!pump_) return failure;
  failure.tail = pump_->tail(kTailLines);
  failure.log = pump_->file().string();
  if (pump_->dropped() > 0)
    failure.notes.push_back(fmt::format("{} bytes of the log were lost", pump_->dropped()));
  const std::lock_guard lock(watch_mutex_);
  if (const auto recognised = watch_.best()) {
    failure.cause = recognised->failure->meaning;
    failure.advice = recognised->failure->advice;
    failure.evidence = recognised->line;
    failure.kind = recognised->failure->kind;
  }
  return failure;
}

std::optional<LaunchFailure> EngineState::death(LaunchPhase phase) {
  const auto end = process_ ? process_->ended() : std::nullopt;
  if (!end) return std::nullopt;
  pump_->wait_end(milliseconds(500));  // its last words
  LaunchFailure found = failure(
      LaunchProblem::kDied, phase,
      fmt::format("{} ended {:.1f} s after its start", plan_.backend, steady_seconds() - started_));
  found.ended = true;
  found.end = *end;
  if (docker_) add_container_facts(found);
  const bool killed = found.end.status == 128 + SIGKILL;
  if (killed && found.cause.empty()) {
    const bool memory = oom_kills() > oom_kills_;
    found.cause = memory ? "the kernel ended it for want of memory"
                         : "somebody ended it with SIGKILL; often that is the kernel's "
                           "out-of-memory killer";
    found.advice = "look at `dmesg`, free memory, or load a smaller model";
    if (memory) found.kind = ErrorKind::kOutOfMemory;
  }
  return found;
}

GpuVerdict EngineState::verdict(double begin, bool generated, const std::string& end) {
  EngineActivity activity;
  activity.dead = !end.empty();
  activity.end = end;
  activity.generated = generated;
  if (pump_) {
    activity.silence = pump_->silence();
    activity.last_line = pump_->last_line();
  }
  {
    const std::lock_guard lock(watch_mutex_);
    activity.compile_lines =
        compile_line_ >= begin && compile_line_ > steady_seconds() - kCompileMemory;
  }
  if (attached() && !sees_attached_)
    return {GpuVerdictKind::kCannotTell,
            "the server runs on another machine, or its processes are not to be seen",
            {}};
  // A short span may have none, or none that knows the processes.
  std::vector<GpuSample> samples = sampler_->samples_since(begin);
  if (samples.empty() || ((process_ || sees_attached_) && samples.back().host.processes == 0))
    if (auto sample = sampler_->next(kFreshSample)) samples.push_back(std::move(*sample));
  return judge_gpu_use(samples, attached() ? std::nullopt : baseline_, expectation(), activity);
}

StopReport EngineState::stop() {
  if (std::exchange(stopped_, true)) return report_;
  keeper_ = {};
  sampler_->set_members({});
  if (!process_) return report_;
  tell(LaunchProgress::Kind::kStep, "stopping " + plan_.backend);
  const bool client_lives = !process_->ended();
  if (docker_) stop_containers(report_, false);
  StopReport processes = process_->stop(options_.stop);
  if (docker_) processes.stopped = 0;  // Docker's client is none of what runs
  add(report_, processes);
  // Its client may have asked for it a moment ago.
  if (docker_) stop_containers(report_, client_lives && report_.stopped == 0);
  pump_->stop();
  // With something left, the record lets the next start try again.
  if (report_.clean()) ownership_->remove(record_.run);
  std::error_code ignored;
  if (!container_id_file_.empty()) std::filesystem::remove(container_id_file_, ignored);
  return report_;
}

}  // namespace mica
