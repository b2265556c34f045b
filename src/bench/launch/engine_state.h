// The parts of a launch: what is running, what was found out. Inside of launcher.cpp and its files.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/launch/container_members.h"
#include "bench/launch/known_failures.h"
#include "bench/launch/launcher.h"
#include "bench/launch/log_pump.h"
#include "bench/launch/progress_teller.h"

namespace mica {

class EngineState {
 public:
  EngineState(const LaunchPlan& plan, const LaunchOptions& options);
  ~EngineState();  // stop()
  EngineState(const EngineState&) = delete;
  EngineState& operator=(const EngineState&) = delete;

  const LaunchPlan& plan() const { return plan_; }
  const LaunchOptions& options() const { return options_; }
  const std::string& run() const { return record_.run; }
  bool attached() const { return plan_.mode == LaunchMode::kAttach; }

  // Free port, image, record, process. Throws LaunchError.
  void start();
  // Why it is dead, in this phase; nothing while it lives.
  std::optional<LaunchFailure> death(LaunchPhase phase);
  // Sleeps, and wakes when it dies.
  void pause(std::chrono::milliseconds time) const;
  StopReport stop();

  // A failure of this engine: with the end of its log and what is recognised there.
  LaunchFailure failure(LaunchProblem problem, LaunchPhase phase, std::string what);
  // Throws kInterrupted when the user asked for it.
  void check_interrupt(LaunchPhase phase);
  void tell(LaunchProgress::Kind kind, const std::string& text);
  // Says now and then what is waited for.
  void beat(const std::string& waits_for);

  GpuSampler& gpu() { return *sampler_; }
  GpuExpectation expectation() const;
  GpuVerdict verdict(double begin, bool generated, const std::string& end = "");
  const LogPump* pump() const { return pump_.get(); }
  double began() const { return began_; }      // of the launch, steady_seconds()
  double started() const { return started_; }  // of the engine's process
  double work_began() const { return work_began_; }
  void begin_work() { work_began_ = steady_seconds(); }

  std::vector<PhaseTime> phases;
  std::vector<std::string> warnings;
  std::string version;
  std::string other_version;  // than wanted: a sentence, or empty
  std::optional<ImageFacts> image;
  std::optional<RequestSample> first_token;

 private:
  void refuse_taken_port();
  void look_at_attached();  // whose processes the samples count
  void stop_holder(const PortHolder& holder, const Docker* docker);
  void prepare_docker();
  void write_files() const;
  void start_process();
  void start_container();
  ProcessSpec container_spec();
  void run_program(ProcessSpec spec);
  void keep_record(std::stop_token stop);  // the keeper's thread
  std::vector<ProcessFacts> members();
  void add_container_facts(LaunchFailure& failure);
  void stop_containers(StopReport& report, bool may_come);
  void on_line(std::string_view line);

  const LaunchPlan plan_;
  const LaunchOptions options_;
  double began_ = steady_seconds(), started_ = began_, work_began_ = began_, beat_at_ = began_;

  std::optional<Ownership> ownership_;
  std::mutex record_mutex_;
  OwnershipRecord record_;
  std::filesystem::path container_id_file_;
  std::unique_ptr<ContainerMembers> container_members_;

  std::mutex watch_mutex_;
  FailureWatch watch_;
  double compile_line_ = 0;  // when the last line came that speaks of compiling
  ProgressTeller teller_;

  std::unique_ptr<LogPump> pump_;
  std::optional<Docker> docker_;
  std::unique_ptr<EngineProcess> process_;
  bool stopped_ = false;
  StopReport report_;
  int64_t oom_kills_ = 0;  // of the control group, before the start

  std::unique_ptr<GpuSampler> sampler_;
  std::optional<GpuSample> baseline_;
  bool sees_attached_ = false;  // the processes of the server that was attached to
  std::jthread keeper_;
};

// The phases from the open port to the first token. Throws LaunchError.
void prove(EngineState& engine);

}  // namespace mica
