#include "bench/launch/launcher.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "bench/launch/engine_state.h"

namespace mica {

struct RunningEngine::State : EngineState {
  using EngineState::EngineState;
  std::vector<std::string> command;
};

RunningEngine::RunningEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunningEngine::RunningEngine(RunningEngine&&) noexcept = default;
RunningEngine& RunningEngine::operator=(RunningEngine&&) noexcept = default;
RunningEngine::~RunningEngine() = default;

const std::string& RunningEngine::run() const {
  return state_->run();
}
const std::string& RunningEngine::url() const {
  return state_->plan().url;
}
const std::vector<PhaseTime>& RunningEngine::phases() const {
  return state_->phases;
}
const std::vector<std::string>& RunningEngine::command() const {
  return state_->command;
}
const std::string& RunningEngine::other_version() const {
  return state_->other_version;
}
const std::string& RunningEngine::version() const {
  return state_->version;
}
const std::vector<std::string>& RunningEngine::warnings() const {
  return state_->warnings;
}
std::optional<ImageFacts> RunningEngine::image() const {
  return state_->image;
}
std::optional<RequestSample> RunningEngine::first_token() const {
  return state_->first_token;
}
GpuSampler& RunningEngine::gpu() {
  return state_->gpu();
}
StopReport RunningEngine::stop() {
  return state_->stop();
}

double RunningEngine::ready_seconds() const {
  double seconds = 0;
  for (const PhaseTime& phase : state_->phases)
    if (phase.phase != LaunchPhase::kPrepare) seconds += phase.seconds;
  return seconds;
}

std::vector<std::string> RunningEngine::log_tail(size_t lines) const {
  return state_->pump() ? state_->pump()->tail(lines) : std::vector<std::string>();
}

std::filesystem::path RunningEngine::log() const {
  return state_->pump() ? state_->pump()->file() : std::filesystem::path();
}

GpuVerdict RunningEngine::verdict(double begin, bool generated) const {
  const auto dead = failure();
  return state_->verdict(begin > 0 ? begin : state_->work_began(), generated,
                         dead ? describe(dead->end) : "");
}

std::optional<LaunchFailure> RunningEngine::failure() const {
  return state_->death(LaunchPhase::kRunning);
}

std::optional<LaunchFailure> RunningEngine::wait(std::chrono::milliseconds patience,
                                                 std::stop_token stop) const {
  constexpr auto kSlice = std::chrono::milliseconds(50);
  const auto until = std::chrono::steady_clock::now() + patience;
  do {
    if (auto found = failure()) return found;
    state_->pause(kSlice);
  } while (!stop.stop_requested() && std::chrono::steady_clock::now() < until);
  return failure();
}

RunningEngine launch_engine(const LaunchPlan& plan, const LaunchOptions& options) {
  auto state = std::make_unique<RunningEngine::State>(plan, options);
  state->command = plan.command(/*masked=*/true);
  const auto stop = [&] {
    for (const std::string& left : state->stop().left)
      log_warning("[launch] could not be stopped: {}", left);
  };
  const double began = steady_seconds();
  try {
    state->start();
    prove(*state);
  } catch (const LaunchError& error) {
    LaunchFailure failure = error.failure();
    failure.phases = state->phases;
    double done = 0;
    for (const PhaseTime& phase : failure.phases) done += phase.seconds;
    failure.phases.push_back({failure.phase, steady_seconds() - began - done});
    stop();
    throw LaunchError(std::move(failure));
  } catch (...) {
    stop();
    throw;
  }
  return RunningEngine(std::move(state));
}

std::vector<Recovery> recover_launches(const std::filesystem::path& state_folder,
                                       const StopPatience& patience) {
  const Ownership ownership(state_folder.empty() ? default_state_folder() : state_folder);
  std::vector<Recovery> recoveries = ownership.recover(patience);
  for (const Recovery& recovery : recoveries) {
    const std::string text = fmt::format("[launch] {} of an earlier run ({}): {}", recovery.backend,
                                         recovery.run, recovery.note);
    recovery.report.clean() ? log_info("{}", text) : log_warning("{}", text);
  }
  return recoveries;
}

}  // namespace mica
