// The engine thread's own state: jobs, scheduler, runner. One thread calls it, so no locks.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/job.h"
#include "engine/kv_memory.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/speculator.h"
#include "engine/step_cost.h"
#include "engine/token_masks.h"

namespace mica {

class Worker {
 public:
  Worker(Backend& backend, Model& model, const EngineOptions& options, const KvPlan& plan);

  // A step in two halves, with `flush` after each: events are held back until the counters that
  // they imply are published.
  void add(std::unique_ptr<Job> job);
  void begin_step();   // ends what was cancelled or is late; plans
  void finish_step();  // runs, samples, ends what is done
  void flush();        // hands out the events since the last call

  void end_all(FinishReason reason, const std::string& error);
  // From now on every request ends with this error.
  void break_down(const std::string& reason);

  void reset_prefix_cache() { scheduler_.reset_prefix_cache(); }

  bool idle() const { return jobs_.empty(); }
  bool has_step() const { return !step_.empty(); }
  int32_t prompt_budget() const;                       // tokens of prompts in the next step
  EngineStats stats() const;                           // without the inbox
  uint64_t left_queue() const { return left_queue_; }  // jobs that began, or ended before
  const std::string& fault() const { return fault_; }  // empty = healthy

 private:
  struct Failure {
    bool of_a_request = false;  // too large or not usable: one request's fault, not the device's
    std::string message;
  };
  void sweep();
  void start_jobs();
  void run_step();
  std::optional<Failure> run(std::span<Slice> slices);
  std::optional<Failure> guarded(const std::function<void()>& call);
  std::vector<SampleRow> sample_rows(std::span<const Slice> slices);
  int32_t taken(const Job& job, std::span<const SampleResult> results) const;
  void keep(Slice& slice, int32_t tokens);
  void apply(Job& job, std::span<SampleResult> results);
  bool usable(const SampleResult& result) const;
  bool stops(const Job& job, int32_t token) const;
  void emit(Job& job, SampleResult result);
  void say(const Job& job, Event event);
  void fail(std::span<const Slice> slices, const Failure& failure);
  void probe(const std::string& message);
  void finish(Job& job, FinishReason reason, const std::string& error = "");
  void drop_finished();
  StepWork work_of_step() const;
  void count_step(const StepWork& work, bool decode, double bytes, double time);
  double bytes_of_step();

  const EngineOptions options_;
  const KvPlan plan_;
  const int32_t vocabulary_;
  const int32_t probe_token_;
  const TokenMasks masks_;
  const Model& model_;
  const AdapterSet* const adapters_;
  std::vector<double> weight_bytes_;  // that a step of [i] sequences reads; 0 = not asked yet
  Runner runner_;
  Scheduler scheduler_;
  StepCost cost_;
  Speculator speculator_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Slice> step_;
  std::vector<std::pair<std::shared_ptr<EventStream>, Event>> outbox_;
  EngineStats stats_;
  uint64_t left_queue_ = 0;
  int32_t failures_in_a_row_ = 0;
  std::string fault_;
};

}  // namespace mica
