#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/worker.h"

namespace mica {

namespace {

// Longer timeouts are none: keeps deadlines within the range of the clock.
constexpr std::chrono::milliseconds kLongestTimeout = std::chrono::hours(24 * 365);

EngineOptions checked(const EngineOptions& options) {
  const auto check = [](const char* what, int64_t value, int64_t most) {
    if (value < 1 || value > most)
      throw Error(ErrorKind::kUsage, "[engine] {} is {}, expected 1 to {}", what, value, most);
  };
  check("block_size", options.block_size, 1 << 16);
  check("max_batch_sequences", options.max_batch_sequences, 1 << 12);
  check("prefill_step_tokens", options.prefill_step_tokens, 1 << 20);
  check("max_queue", options.max_queue, 1 << 30);
  if (!(options.max_step_ms >= 0))
    throw Error(ErrorKind::kUsage, "[engine] max_step_ms is {}, 0 or more expected",
                options.max_step_ms);
  const SpeculationOptions& speculation = options.speculation;
  check("draft_tokens", speculation.draft_tokens, 64);
  check("ngram_most", speculation.ngram_most, 64);
  check("ngram_least", speculation.ngram_least, speculation.ngram_most);
  return options;
}

EngineOptions checked(const EngineOptions& options, const Model& model) {
  EngineOptions result = checked(options);
  const Model* draft = options.speculation.draft_model;
  if (draft && has_states(draft->cache_layers()))
    throw Error(ErrorKind::kUsage,
                "[engine] the draft model has recurrent layers, whose state can't go back");
  if (options.speculation.enabled() && has_states(model.cache_layers())) {
    log_warning("[engine] no speculation: the model has recurrent layers");
    result.speculation = {};
  }
  return result;
}

// Of both models: a block holds the keys and values of each.
std::vector<CacheSpec> all_cache_layers(const Model& model, const EngineOptions& options) {
  std::vector<CacheSpec> specs = cache_layers(model, options);
  if (const Model* draft = options.speculation.draft_model)
    for (const CacheSpec& spec : cache_layers(*draft, options)) specs.push_back(spec);
  return specs;
}

size_t all_activation_bytes(const Model& model, const EngineOptions& options) {
  const Model* draft = options.speculation.draft_model;
  return activation_bytes(model, options) + (draft ? activation_bytes(*draft, options) : 0);
}

void check_tokens(const char* what, std::span<const int32_t> tokens, int64_t vocabulary) {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocabulary)
      throw Error(ErrorKind::kUsage, "[request] {}: token {} at {} is outside the vocabulary of {}",
                  what, tokens[i], i, vocabulary);
}

// The sampler gets numbers only; what they mean is its own affair.
void check_sampling(const SamplingParams& sampling) {
  const std::pair<const char*, float> values[] = {
      {"temperature", sampling.temperature},
      {"top_p", sampling.top_p},
      {"min_p", sampling.min_p},
      {"xtc_probability", sampling.xtc_probability},
      {"xtc_threshold", sampling.xtc_threshold},
      {"repetition_penalty", sampling.repetition_penalty},
      {"presence_penalty", sampling.presence_penalty},
      {"frequency_penalty", sampling.frequency_penalty}};
  for (const auto& [what, value] : values)
    if (!std::isfinite(value))
      throw Error(ErrorKind::kUsage, "[request] {} is {}, a finite number expected", what, value);
  for (const auto& [token, bias] : sampling.logit_bias)
    if (std::isnan(bias))
      throw Error(ErrorKind::kUsage, "[request] logit_bias of token {} is not a number", token);
}

// Throws Error(kUsage) for what could never run.
void check_request(const Request& request, int64_t vocabulary, int32_t max_context) {
  if (request.prompt.empty()) throw Error(ErrorKind::kUsage, "[request] the prompt has no tokens");
  if (request.max_tokens < 1)
    throw Error(ErrorKind::kUsage, "[request] max_tokens is {}, at least 1 expected",
                request.max_tokens);
  if (request.min_tokens > request.max_tokens)
    throw Error(ErrorKind::kUsage, "[request] min_tokens is {}, more than max_tokens {}",
                request.min_tokens, request.max_tokens);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt + request.max_tokens > max_context)
    throw Error(
        ErrorKind::kUsage,
        "[request] {} prompt tokens and up to {} of the answer are more than the context of "
        "{} tokens",
        prompt, request.max_tokens, max_context);
  check_sampling(request.sampling);
  check_tokens("prompt", request.prompt, vocabulary);
  check_tokens("xtc_special_tokens", request.sampling.xtc_special_tokens, vocabulary);
  for (const auto& [token, bias] : request.sampling.logit_bias)
    check_tokens("logit_bias", {&token, 1}, vocabulary);
}

}  // namespace

struct Engine::Impl {
  Impl(Backend& backend, Model& model, const EngineOptions& engine_options)
      : options(checked(engine_options, model)),
        plan(plan_kv(all_cache_layers(model, options), model.config().max_position_embeddings,
                     options, kv_budget(backend.info(), all_activation_bytes(model, options)))),
        vocabulary(model.config().vocab_size),
        encoder_type(model.generates() ? "" : model.config().model_type),
        worker(backend, model, options, plan) {
    heartbeat.since = EngineClock::now();
    publish();
    thread = std::thread([this] { loop(); });
  }

  void loop();
  bool take_inbox();
  void beat(bool running);  // under the mutex
  void run_call(std::packaged_task<void()>& task);
  void publish();
  void publish_and_flush();

  const EngineOptions options;
  const KvPlan plan;
  const int64_t vocabulary;
  const std::string encoder_type;  // of a model that generates nothing, else ""
  Worker worker;                   // the thread's own

  mutable std::mutex mutex;
  std::condition_variable wake;
  // Under the mutex:
  std::vector<std::unique_ptr<Job>> inbox;
  std::vector<std::packaged_task<void()>> calls;
  bool stop = false;
  bool reset_cache = false;
  uint64_t accepted = 0;    // requests ever
  uint64_t left_queue = 0;  // of these: began, or ended before
  EngineStats stats;
  Heartbeat heartbeat;
  int32_t prompt_budget = 0;
  std::string fault;

  std::thread thread;
};

void Engine::Impl::loop() {
  while (take_inbox()) {
    try {
      worker.begin_step();
      publish_and_flush();
      worker.finish_step();
    } catch (const std::exception& error) {
      worker.break_down(fmt::format("[engine] internal: {}", error.what()));
    }
    publish_and_flush();
  }
  worker.end_all(FinishReason::kCancelled, "");
  publish_and_flush();
}

// Sleeps while there is nothing to do; false when the engine is to end.
bool Engine::Impl::take_inbox() {
  std::vector<std::unique_ptr<Job>> arrived;
  std::vector<std::packaged_task<void()>> called;
  bool stopping = false, reset = false;
  {
    std::unique_lock lock(mutex);
    if (worker.idle())
      wake.wait(lock, [&] { return stop || reset_cache || !inbox.empty() || !calls.empty(); });
    arrived.swap(inbox);
    called.swap(calls);
    stopping = stop;
    reset = std::exchange(reset_cache, false);
  }
  if (reset) worker.reset_prefix_cache();
  for (auto& job : arrived) worker.add(std::move(job));
  if (stopping) return false;  // calls that did not run break their promise
  for (auto& task : called) run_call(task);
  return true;
}

void Engine::Impl::beat(bool running) {
  if (running == heartbeat.running) return;
  heartbeat = {heartbeat.step + (running ? 1 : 0), EngineClock::now(), running};
}

// For the heartbeat a call is a step: it may hang like one.
void Engine::Impl::run_call(std::packaged_task<void()>& task) {
  {
    const std::lock_guard lock(mutex);
    beat(true);
  }
  task();
  const std::lock_guard lock(mutex);
  beat(false);
}

void Engine::Impl::publish() {
  const std::lock_guard lock(mutex);
  stats = worker.stats();
  left_queue = worker.left_queue();
  fault = worker.fault();
  prompt_budget = worker.prompt_budget();
  beat(worker.has_step());
}

void Engine::Impl::publish_and_flush() {
  publish();
  worker.flush();
}

Engine::Engine(Backend& backend, Model& model, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(backend, model, options)) {}

Engine::~Engine() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

std::shared_ptr<EventStream> Engine::submit(Request request, EventCallback on_event) {
  if (!impl_->encoder_type.empty())
    throw Error(ErrorKind::kUsage,
                "[request] this model ('{}') embeds only: ask POST /v1/embeddings",
                impl_->encoder_type);
  check_request(request, impl_->vocabulary, impl_->plan.max_context);
  auto job = std::make_unique<Job>();
  job->priority = request.priority;
  job->use_prefix_cache = request.use_prefix_cache;
  job->adapter = request.adapter;
  job->tokens = std::move(request.prompt);
  job->prompt_tokens = job->length();
  job->request = std::move(request);
  job->request.top_logprobs =
      std::clamp(job->request.top_logprobs, 0, static_cast<int32_t>(impl_->vocabulary));
  job->submitted = EngineClock::now();
  if (const auto timeout = job->request.timeout; timeout.count() > 0)
    job->deadline = job->submitted + std::min(timeout, kLongestTimeout);
  // Shared: the engine pushes, the consumer takes; the later of the two frees it.
  auto stream = std::make_shared<EventStream>();
  if (on_event) stream->on_event(std::move(on_event));
  job->stream = stream;
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->fault.empty()) throw Error(ErrorKind::kDevice, impl_->fault);
    const uint64_t queued = impl_->accepted - impl_->left_queue;
    if (queued >= static_cast<uint64_t>(impl_->options.max_queue)) return nullptr;
    job->id = impl_->accepted++;
    impl_->inbox.push_back(std::move(job));
  }
  impl_->wake.notify_one();
  return stream;
}

void Engine::call(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->calls.push_back(std::move(task));
  }
  impl_->wake.notify_one();
  try {
    done.get();
  } catch (const std::future_error&) {
    throw Error(ErrorKind::kDevice, "[engine] it has ended");
  }
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->stats;
  stats.waiting += static_cast<int32_t>(impl_->inbox.size());
  return stats;
}

int32_t Engine::prompt_budget() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->prompt_budget;
}

Heartbeat Engine::heartbeat() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->heartbeat;
}

void Engine::reset_prefix_cache() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->reset_cache = true;
  }
  impl_->wake.notify_one();
}

int32_t Engine::max_context() const {
  return impl_->plan.max_context;
}

bool Engine::healthy() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->fault.empty();
}

std::string Engine::fault() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->fault;
}

}  // namespace mica
