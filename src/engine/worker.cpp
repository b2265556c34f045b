#include "engine/worker.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "model/adapters.h"

namespace mica {

namespace {

using Seconds = std::chrono::duration<double>;

// So many steps without one that succeeds, before a probe asks whether the backend works at all.
constexpr int32_t kFailuresBeforeProbe = 3;

int32_t cached_blocks(const EngineOptions& options, const KvPlan& plan) {
  if (options.prefix_cache_bytes == 0) return 0;
  const size_t blocks = options.prefix_cache_bytes / std::max<size_t>(plan.block_bytes, 1);
  return static_cast<int32_t>(std::clamp<size_t>(blocks, 1, static_cast<size_t>(plan.blocks)));
}

SchedulerOptions scheduler_options(const EngineOptions& options, const KvPlan& plan) {
  return {.block_size = plan.block_size,
          .blocks = plan.blocks,
          .max_sequences = options.max_batch_sequences,
          .prefill_tokens = options.prefill_step_tokens,
          .state_slots = plan.state_slots,
          .prefix_cache = options.prefix_cache,
          .cached_blocks = cached_blocks(options, plan)};
}

double seconds(EngineClock::time_point from, EngineClock::time_point to) {
  return std::chrono::duration_cast<Seconds>(to - from).count();
}

}  // namespace

Worker::Worker(Backend& backend, Model& model, const EngineOptions& options, const KvPlan& plan)
    : options_(options),
      plan_(plan),
      vocabulary_(static_cast<int32_t>(model.config().vocab_size)),
      probe_token_(std::clamp(model.config().bos_token_id, 0, vocabulary_ - 1)),
      masks_(vocabulary_),
      model_(model),
      adapters_(options.adapters),
      weight_bytes_(static_cast<size_t>(options.max_batch_sequences) + 1),
      runner_(backend, model, options, plan),
      scheduler_(scheduler_options(options, plan)),
      cost_(options.max_batch_sequences),
      speculator_(backend, options, plan, scheduler_.pool(), masks_, cost_) {
  if (options.prefix_cache && plan.state_slots > 0)
    log_info("[engine] no prefix cache: the model has recurrent layers");
}

void Worker::add(std::unique_ptr<Job> job) {
  ++stats_.requests;
  jobs_.push_back(std::move(job));
  scheduler_.add(*jobs_.back());
}

void Worker::begin_step() {
  if (!fault_.empty()) end_all(FinishReason::kError, fault_);
  sweep();
  speculator_.want(scheduler_.running());
  step_ = scheduler_.plan(prompt_budget());
  start_jobs();
  if (step_.empty() && !scheduler_.idle())
    break_down("[engine] internal: requests wait and none can run");
}

// Prompt tokens of the next step: what the bound on its time leaves beside those who decode.
int32_t Worker::prompt_budget() const {
  StepWork work{.decoding = scheduler_.decoding()};
  if (options_.max_step_ms <= 0 || work.decoding == 0) return options_.prefill_step_tokens;
  for (const Sequence* sequence : scheduler_.running()) work.drafts += sequence->wanted_drafts;
  const double bound = options_.max_step_ms / 1000 - work.drafts * speculator_.guess_seconds();
  return std::max(plan_.block_size, cost_.prefill_within(bound, work));
}

void Worker::finish_step() {
  if (step_.empty()) return;
  const auto begin = EngineClock::now();
  speculator_.draft(step_);
  const bool decode = DecodeGraphs::serves(step_);
  const double bytes = decode ? bytes_of_step() : 0;
  const StepWork work = work_of_step();
  run_step();
  for (const Slice& slice : step_) scheduler_.trim(*slice.sequence);
  step_.clear();
  drop_finished();
  count_step(work, decode, bytes, seconds(begin, EngineClock::now()));
}

StepWork Worker::work_of_step() const {
  StepWork work;
  for (const Slice& slice : step_) {
    const int32_t drafts = slice.sequence->drafts;
    const bool decodes = slice.samples() && slice.count == 1 + drafts;
    if (decodes)
      ++work.decoding, work.drafts += drafts;
    else
      work.prefill += slice.count;
  }
  return work;
}

void Worker::count_step(const StepWork& work, bool decode, double bytes, double time) {
  ++stats_.steps;
  stats_.busy_seconds += time;
  if (work.drafts > 0) ++stats_.verify_steps;
  // A prompt's price has the draft model's part in it, a draft's price not.
  const double guessing =
      work.prefill > 0 ? work.drafts * speculator_.guess_seconds() : speculator_.draft_seconds();
  if (failures_in_a_row_ == 0) cost_.observe(work, std::max(0.0, time - guessing));
  if (!decode) return;
  ++stats_.decode_steps;
  stats_.decode_seconds += time;
  stats_.decode_bytes += bytes;
}

double Worker::bytes_of_step() {
  double positions = 0;
  for (const Slice& slice : step_) positions += slice.begin + slice.count;
  double& weights = weight_bytes_[step_.size()];
  if (weights == 0)
    weights = static_cast<double>(model_.bytes_per_step(static_cast<int64_t>(step_.size())));
  return weights + positions * static_cast<double>(runner_.kv_bytes_per_token());
}

void Worker::say(const Job& job, Event event) {
  event.time = EngineClock::now();
  outbox_.emplace_back(job.stream, std::move(event));
}

void Worker::flush() {
  for (auto& [stream, event] : outbox_) stream->push(std::move(event));
  outbox_.clear();
}

// Ends what nobody waits for any more: cancelled, abandoned by its consumer, or past its deadline.
void Worker::sweep() {
  const auto now = EngineClock::now();
  for (const auto& job : jobs_) {
    if (job->stream->cancelled() || job->stream.use_count() == 1)
      finish(*job, FinishReason::kCancelled);
    else if (now >= job->deadline)
      finish(*job, FinishReason::kTimeout);
    else if (job->adapter != 0 && (!adapters_ || adapters_->slot(job->adapter) == 0))
      finish(*job, FinishReason::kError, "[engine] the request's adapter is not loaded any more");
  }
  drop_finished();
}

void Worker::start_jobs() {
  for (const Slice& slice : step_) {
    Job& job = job_of(slice);
    if (job.is_started) continue;
    job.is_started = true;
    job.started = EngineClock::now();
    ++left_queue_;
    Event event;
    event.kind = Event::Kind::kStarted;
    event.prompt_tokens = job.prompt_tokens;
    event.cached_tokens = job.cached_tokens;
    event.queue_seconds = seconds(job.submitted, job.started);
    say(job, std::move(event));
  }
}

void Worker::run_step() {
  const std::span<Slice> slices(step_);
  const bool drafts =
      std::ranges::any_of(slices, [](const Slice& slice) { return slice.sequence->drafts > 0; });
  std::optional<Failure> failure = run(slices);
  if (!failure) return;
  // Who is too large, or not usable, ends alone; without drafts, as those are gone, one is smaller
  // than it was. Running a slice again writes the same keys and values to the same slots; recurrent
  // state has moved on instead, so that hybrid models lose the whole step.
  if (failure->of_a_request && (slices.size() > 1 || drafts) && plan_.state_slots == 0) {
    for (size_t i = 0; i < slices.size(); ++i)
      if (const auto alone = run(slices.subspan(i, 1))) fail(slices.subspan(i, 1), *alone);
  } else {
    fail(slices, *failure);
  }
  if (failures_in_a_row_ >= kFailuresBeforeProbe) probe(failure->message);
}

std::vector<SampleRow> Worker::sample_rows(std::span<const Slice> slices) {
  std::vector<SampleRow> rows;
  for (const Slice& slice : slices) {
    Job& job = job_of(slice);
    const auto known = static_cast<size_t>(job.length());
    for (int32_t ahead = 0; ahead < slice.rows; ++ahead)
      rows.push_back({.params = &job.request.sampling,
                      .history = std::span(job.tokens).first(known + static_cast<size_t>(ahead)),
                      .draw = static_cast<uint64_t>(job.generated() + ahead),
                      .top_logprobs = job.request.top_logprobs,
                      .allowed = masks_.mask(job, ahead)});
  }
  return rows;
}

// Runs slices and hands out their tokens; on a failure nothing has changed but that drafts are
// dropped.
std::optional<Worker::Failure> Worker::run(std::span<Slice> slices) {
  std::vector<SampleResult> results;
  const auto step = [&] {
    const Tensor logits = runner_.launch(slices);
    // Constraints think while the device computes.
    const std::vector<SampleRow> rows = sample_rows(slices);
    results.resize(rows.size());
    runner_.sample(logits, rows, results);
  };
  if (auto failure = guarded(step)) {
    runner_.settle();
    ++failures_in_a_row_;
    speculator_.drop(slices);
    return failure;
  }
  failures_in_a_row_ = 0;
  std::vector<std::span<SampleResult>> answers;
  std::span<SampleResult> rest(results);
  for (Slice& slice : slices) {
    const std::span<SampleResult> rows = rest.first(static_cast<size_t>(slice.rows));
    rest = rest.subspan(rows.size());
    answers.push_back(rows.first(static_cast<size_t>(taken(job_of(slice), rows))));
    if (slice.samples()) keep(slice, static_cast<int32_t>(answers.back().size()));
  }
  scheduler_.complete(slices);
  for (size_t i = 0; i < slices.size(); ++i)
    if (slices[i].samples()) apply(job_of(slices[i]), answers[i]);
  return std::nullopt;
}

// How many of a sequence's rows are its next tokens: up to the first that is not as drafted, or
// ends the answer.
int32_t Worker::taken(const Job& job, std::span<const SampleResult> results) const {
  const auto rows = static_cast<int32_t>(results.size());
  for (int32_t i = 0; i < rows; ++i) {
    if (i > 0 && i >= job.walk.sound) return i;
    const SampleResult& result = results[static_cast<size_t>(i)];
    if (!usable(result) || stops(job, result.token) || i == job.drafts) return i + 1;
    if (job.generated() + i + 1 >= job.request.max_tokens) return i + 1;
    if (result.token != job.tokens[static_cast<size_t>(job.length() + i)]) return i + 1;
  }
  return rows;
}

// `tokens` of the slice's rows hold: its drafts but for those become known tokens.
void Worker::keep(Slice& slice, int32_t tokens) {
  Job& job = job_of(slice);
  if (job.drafts == 0) return;
  stats_.draft_tokens += static_cast<uint64_t>(job.drafts);
  stats_.accepted_draft_tokens += static_cast<uint64_t>(tokens - 1);
  speculator_.verified(job, tokens - 1);
  job.tokens.resize(static_cast<size_t>(job.length() + tokens - 1));
  job.drafts = 0;
  slice.count = slice.rows = tokens;
}

std::optional<Worker::Failure> Worker::guarded(const std::function<void()>& call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    const bool of_a_request =
        error.kind() == ErrorKind::kOutOfMemory || error.kind() == ErrorKind::kUsage;
    return Failure{of_a_request, error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{true, "[engine] out of memory on the host"};
  } catch (const std::exception& error) {
    return Failure{false, error.what()};
  } catch (...) {
    return Failure{false, "[engine] the backend threw something unknown"};
  }
}

bool Worker::usable(const SampleResult& result) const {
  return result.token >= 0 && result.token < vocabulary_ && !std::isnan(result.logprob);
}

bool Worker::stops(const Job& job, int32_t token) const {
  return std::ranges::count(job.request.stop_token_ids, token) > 0;
}

// The next tokens of an answer, in order; all but the last are known already, as drafts.
void Worker::apply(Job& job, std::span<SampleResult> results) {
  job.tokens.resize(job.tokens.size() - (results.size() - 1));
  std::vector<int32_t> tokens;
  for (const SampleResult& result : results)
    if (usable(result)) tokens.push_back(result.token);
  if (tokens.size() < results.size() && job.error.empty())
    job.error = fmt::format(
        "[engine] token {} with log-probability {} sampled after {} tokens, vocabulary {}; the "
        "model's logits are not usable",
        results.back().token, results.back().logprob,
        static_cast<size_t>(job.length()) + tokens.size(), vocabulary_);
  size_t good = job.error.empty() || tokens.size() < results.size() ? tokens.size() : 0;
  if (job.error.empty()) {
    masks_.accept(job, tokens);
    if (!job.error.empty()) --good;  // the last one
  }
  for (size_t i = 0; i < good && !job.finished; ++i) emit(job, std::move(results[i]));
  if (!job.error.empty()) finish(job, FinishReason::kError, job.error);
}

void Worker::emit(Job& job, SampleResult result) {
  if (job.generated() == 0) {
    job.first_token = EngineClock::now();
    stats_.prompt_tokens += static_cast<uint64_t>(job.prompt_tokens);
    stats_.cached_tokens += static_cast<uint64_t>(job.cached_tokens);
    if (options_.prefix_cache && plan_.state_slots == 0 && job.use_prefix_cache) {
      stats_.prefix_query_tokens += static_cast<uint64_t>(job.prompt_tokens);
      stats_.prefix_hit_tokens += static_cast<uint64_t>(job.cached_tokens);
    }
  }
  job.tokens.push_back(result.token);
  ++stats_.generated_tokens;
  const bool stop = stops(job, result.token);
  Event event;
  event.kind = Event::Kind::kToken;
  event.token = std::move(result);
  event.stop_token = stop;
  say(job, std::move(event));
  if (stop)
    finish(job, FinishReason::kStop);
  else if (job.generated() >= job.request.max_tokens || job.length() >= plan_.max_context)
    finish(job, FinishReason::kLength);
}

void Worker::fail(std::span<const Slice> slices, const Failure& failure) {
  log_error("[engine] a step of {} requests failed: {}", slices.size(), failure.message);
  for (const Slice& slice : slices) finish(job_of(slice), FinishReason::kError, failure.message);
}

// Several steps failed in a row. That may be the fault of these requests: the smallest possible
// step tells whether it is the backend's.
void Worker::probe(const std::string& message) {
  Sequence sequence;
  sequence.tokens = {probe_token_};
  sequence.prompt_tokens = 1;
  sequence.use_prefix_cache = false;
  if (!scheduler_.reserve(sequence, 0)) return;  // the next failure asks again
  const Slice slice{.sequence = &sequence, .begin = 0, .count = 1, .rows = 1};
  const SamplingParams greedy;
  const SampleRow row{.params = &greedy, .history = sequence.tokens, .draw = 0, .top_logprobs = 0};
  SampleResult result;
  const auto failure = guarded([&] {
    runner_.sample(runner_.launch({&slice, 1}), {&row, 1}, {&result, 1});
  });
  scheduler_.release(sequence);
  if (!failure) {
    log_warning("[engine] {} steps failed in a row, yet a probe succeeded: going on",
                failures_in_a_row_);
    failures_in_a_row_ = 0;
    return;
  }
  runner_.settle();
  break_down(fmt::format("[engine] the backend does not work any more: {} (after: {}); restart it",
                         failure->message, message));
}

void Worker::break_down(const std::string& reason) {
  fault_ = reason;
  log_error("{}", reason);
  end_all(FinishReason::kError, reason);
}

void Worker::end_all(FinishReason reason, const std::string& error) {
  step_.clear();
  for (const auto& job : jobs_) finish(*job, reason, error);
  drop_finished();
}

void Worker::finish(Job& job, FinishReason reason, const std::string& error) {
  if (job.finished) return;
  job.finished = true;
  scheduler_.remove(job);
  if (!job.is_started) ++left_queue_;
  if (reason == FinishReason::kCancelled)
    ++stats_.cancelled;
  else if (reason == FinishReason::kStop || reason == FinishReason::kLength)
    ++stats_.finished;
  else
    ++stats_.failed;
  const auto now = EngineClock::now();
  Event event;
  event.kind = Event::Kind::kFinished;
  event.reason = reason;
  event.error = error;
  event.prompt_tokens = job.prompt_tokens;
  event.cached_tokens = job.cached_tokens;
  event.completion_tokens = job.generated();
  event.preemptions = job.preemptions;
  event.draft_tokens = job.draft_tokens;
  event.accepted_draft_tokens = job.accepted_draft_tokens;
  event.queue_seconds = seconds(job.submitted, job.is_started ? job.started : now);
  if (job.is_started) {
    event.prefill_seconds = seconds(job.started, job.generated() > 0 ? job.first_token : now);
    if (job.generated() > 0) event.decode_seconds = seconds(job.first_token, now);
    if (job.generated() > 0) event.first_token_seconds = seconds(job.submitted, job.first_token);
  }
  say(job, std::move(event));
}

// Jobs go at the end of a half step: the plan points to them before.
void Worker::drop_finished() {
  std::erase_if(jobs_, [](const auto& job) { return job->finished; });
}

EngineStats Worker::stats() const {
  EngineStats stats = stats_;
  stats.running = static_cast<int32_t>(scheduler_.running().size());
  stats.waiting = scheduler_.waiting();
  stats.evictions = scheduler_.pool().evictions();
  stats.preemptions = scheduler_.preemptions();
  stats.draft_failures = speculator_.failures();
  stats.kv_bytes = plan_.bytes;
  stats.blocks_total = scheduler_.pool().size();
  stats.blocks_used = scheduler_.pool().used();
  stats.blocks_cached = scheduler_.pool().cached();
  return stats;
}

}  // namespace mica
