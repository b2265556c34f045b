// From a launch plan to an engine that has proved that it works, and back.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/client/record.h"
#include "bench/launch/docker.h"
#include "bench/launch/gpu_samples.h"
#include "bench/launch/gpu_verdict.h"
#include "bench/launch/launch_error.h"
#include "bench/launch/ownership.h"
#include "bench/launch/port_holder.h"
#include "bench/plan/plan.h"

namespace mica {

struct LaunchProgress {
  enum class Kind {
    kStep,       // "pulling vllm/vllm-openai:v0.11.0"
    kLog,        // a line of the engine
    kHeartbeat,  // "35 s: waiting for the port; GPU 0 12.3 of 79.6 GiB"
  };
  Kind kind = Kind::kStep;
  std::string text;
  double elapsed = 0;  // seconds since the launch began
};

// What to do about a port that is taken.
enum class PortAnswer {
  kGiveUp,
  kRetry,  // the user has freed it
  kStop,   // only where Mica started what holds it
};

// One request for one token. Ends when its deadline passes or `stop` is asked for.
using FirstToken = std::function<RequestSample(
    const LaunchPlan& plan, std::chrono::seconds deadline, std::stop_token stop)>;

struct LaunchOptions {
  std::filesystem::path state_folder;  // empty: default_state_folder()
  std::filesystem::path log;           // empty: "logs/RUN.log" in the state folder
  std::string docker = "docker";       // program
  bool rebuild = false;                // pull or build even when the image is there
  // Asked when the port is taken; empty (not interactive): an error.
  std::function<PortAnswer(const PortHolder& holder)> ask_port;
  std::function<void(const LaunchProgress&)> progress;  // from several threads, one at a time
  FirstToken first_token;                               // empty: the phase is left out
  std::string key;                                      // bearer token of the probes
  GpuSourceOptions gpu_source;
  GpuExpectation gpu;
  double sample_interval = 0.25;  // seconds
  double heartbeat = 10;          // seconds
  double probe_interval = 0.1;    // seconds between questions of readiness
  // How long a list of models may lack the wanted one while the engine says that it is healthy.
  double model_patience = 20;  // seconds
  StopPatience stop;
  std::stop_token interrupt;  // asked: everything is stopped, LaunchError with kInterrupted
};

// A running engine. Destruction stops it; one that was attached to goes on.
class RunningEngine {
 public:
  RunningEngine(RunningEngine&&) noexcept;
  RunningEngine& operator=(RunningEngine&&) noexcept;
  ~RunningEngine();

  const std::string& run() const;  // id of the launch
  const std::string& url() const;
  const std::vector<PhaseTime>& phases() const;
  double ready_seconds() const;  // from the start of the process to the first token
  const std::vector<std::string>& command() const;   // as started, secrets masked
  const std::string& version() const;                // that it reports; empty: it does not say
  const std::string& other_version() const;          // than wanted: a sentence, or empty
  const std::vector<std::string>& warnings() const;  // that one among them
  std::optional<ImageFacts> image() const;
  std::optional<RequestSample> first_token() const;

  std::vector<std::string> log_tail(size_t lines) const;
  std::filesystem::path log() const;
  GpuSampler& gpu();  // samples since before the start
  // Of the time since `begin` (steady_seconds()); 0: since the first token was asked for.
  GpuVerdict verdict(double begin = 0, bool generated = true) const;

  // Why it is no longer alive; looked at within a second. Nothing while it lives.
  std::optional<LaunchFailure> failure() const;
  // Waits until it dies, `stop` is asked for or the time passes.
  std::optional<LaunchFailure> wait(std::chrono::milliseconds patience, std::stop_token stop) const;

  StopReport stop();  // once; later calls do nothing

 private:
  friend RunningEngine launch_engine(const LaunchPlan& plan, const LaunchOptions& options);
  struct State;
  explicit RunningEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Throws LaunchError; then nothing is left running. What a dead Mica left is not looked for here:
// see Ownership::recover.
RunningEngine launch_engine(const LaunchPlan& plan, const LaunchOptions& options);

// Recovery at a program's start: ends what dead owners left and says so in the log.
std::vector<Recovery> recover_launches(const std::filesystem::path& state_folder = {},
                                       const StopPatience& patience = {});

}  // namespace mica
