// The registry's thread: loads and unloads one model after the other.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "server/model_registry_state.h"

namespace mica {
namespace {

// While something waits for room: how often it is looked whether its requests are still there.
constexpr std::chrono::milliseconds kLook{50};

}  // namespace

void add_stats(EngineStats& sum, const EngineStats& more, bool gauges) {
  sum.requests += more.requests;
  sum.finished += more.finished;
  sum.failed += more.failed;
  sum.cancelled += more.cancelled;
  sum.prompt_tokens += more.prompt_tokens;
  sum.cached_tokens += more.cached_tokens;
  sum.generated_tokens += more.generated_tokens;
  sum.steps += more.steps;
  sum.busy_seconds += more.busy_seconds;
  sum.decode_steps += more.decode_steps;
  sum.decode_seconds += more.decode_seconds;
  sum.decode_bytes += more.decode_bytes;
  sum.prefix_query_tokens += more.prefix_query_tokens;
  sum.prefix_hit_tokens += more.prefix_hit_tokens;
  sum.evictions += more.evictions;
  sum.preemptions += more.preemptions;
  sum.draft_tokens += more.draft_tokens;
  sum.accepted_draft_tokens += more.accepted_draft_tokens;
  sum.verify_steps += more.verify_steps;
  sum.draft_failures += more.draft_failures;
  if (!gauges) return;
  sum.running += more.running;
  sum.waiting += more.waiting;
  sum.blocks_total += more.blocks_total;
  sum.blocks_used += more.blocks_used;
  sum.blocks_cached += more.blocks_cached;
  sum.kv_bytes += more.kv_bytes;
}

uint64_t loaded_bytes(const ServedModel& model) {
  return model.weight_bytes + model.engine->stats().kv_bytes;
}

void ModelRegistry::loop() {
  Lock lock(shared_->mutex);
  while (!shared_->stopping) {
    if (act(lock)) continue;
    if (shared_->queue.empty())
      shared_->wake.wait(lock);
    else
      shared_->wake.wait_for(lock, kLook);
  }
}

void ModelRegistry::stop() {
  refuse_waiting();
  {
    const Lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->wake.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  Lock lock(shared_->mutex);
  for (const auto& entry : shared_->entries)
    if (entry->instance) drop(*entry, lock);
}

// One thing that is to be done; false: nothing is.
bool ModelRegistry::act(Lock& lock) {
  if (unload_closing(lock)) return true;
  forget_wishes();
  if (over_budget()) {
    if (Entry* idle = oldest(/*idle=*/true)) {
      ++shared_->counts.evictions;
      drop(*idle, lock);
      return true;
    }
  }
  if (shared_->queue.empty()) {
    std::vector<Call> calls;
    stop_yielding(calls);
    if (calls.empty()) return false;
    lock.unlock();
    run_calls(calls);
    lock.lock();
    return true;
  }
  Entry& wanted = *shared_->queue.front();
  if (!fits(wanted, /*emptied=*/false)) return make_room(wanted, lock);
  shared_->queue.pop_front();
  load_now(wanted, lock);
  return true;
}

bool ModelRegistry::unload_closing(Lock& lock) {
  for (const auto& entry : shared_->entries) {
    if (!entry->closing || !entry->instance || entry->leases > 0) continue;
    drop(*entry, lock);
    return true;
  }
  return false;
}

// Models whose requests have all gone need not be loaded.
void ModelRegistry::forget_wishes() {
  std::erase_if(shared_->queue, [](Entry* entry) {
    if (entry->asked_for || entry->has_waiters()) return false;
    entry->waiters.clear();
    entry->status = entry->failure.empty() ? ModelStatus::kUnloaded : ModelStatus::kFailed;
    return true;
  });
}

bool ModelRegistry::over_budget() const {
  uint64_t bytes = 0;
  for (const auto& entry : shared_->entries)
    if (entry->instance) bytes += loaded_bytes(*entry->instance->model);
  return options_.budget_bytes > 0 && bytes > options_.budget_bytes;
}

bool ModelRegistry::fits(const Entry& wanted, bool emptied) const {
  uint64_t bytes = wanted.spec.expected_bytes;
  int count = 1;
  for (const auto& entry : shared_->entries) {
    if (!entry->instance || (emptied && entry->spec.load)) continue;
    bytes += loaded_bytes(*entry->instance->model);
    ++count;
  }
  return count <= options_.max_loaded &&
         (options_.budget_bytes == 0 || bytes <= options_.budget_bytes);
}

ModelRegistry::Entry* ModelRegistry::oldest(bool idle) const {
  Entry* found = nullptr;
  for (const auto& entry : shared_->entries)
    if (entry->may_go() && !(idle && entry->leases > 0) &&
        (!found || entry->last_use < found->last_use))
      found = entry.get();
  return found;
}

bool ModelRegistry::make_room(Entry& wanted, Lock& lock) {
  if (!fits(wanted, /*emptied=*/true)) {
    give_up(wanted, lock);
    return true;
  }
  if (Entry* idle = oldest(/*idle=*/true)) {
    ++shared_->counts.evictions;
    drop(*idle, lock);
    return true;
  }
  const bool some_go =
      std::any_of(shared_->entries.begin(), shared_->entries.end(),
                  [](const auto& entry) { return entry->yields || entry->closing; });
  if (!some_go && Clock::now() - wanted.wanted_since >= options_.patience)
    if (Entry* busy = oldest(/*idle=*/false)) busy->yields = true;
  return false;
}

// The first of the queue, for which there will never be room.
void ModelRegistry::give_up(Entry& wanted, Lock& lock) {
  shared_->queue.pop_front();
  wanted.status = ModelStatus::kFailed;
  wanted.asked_for = false;
  wanted.failure = fmt::format(
      "the model '{}' does not fit: it takes about {:.2f} GB, --model-budget is {:.2f} GB and "
      "--models-max {}",
      wanted.spec.id, static_cast<double>(wanted.spec.expected_bytes) / 1e9,
      static_cast<double>(options_.budget_bytes) / 1e9, options_.max_loaded);
  wanted.exception = std::make_exception_ptr(Error(ErrorKind::kOutOfMemory, wanted.failure));
  std::vector<Call> calls;
  refuse(wanted, {503, wanted.failure, "model", "model_failed"}, calls);
  lock.unlock();
  run_calls(calls);
  lock.lock();
}

// Nobody needs the room any more: those that wait for a model that is here may have it.
void ModelRegistry::stop_yielding(std::vector<Call>& calls) {
  for (const auto& entry : shared_->entries) {
    if (!entry->yields) continue;
    entry->yields = false;
    grant(*entry, calls);
  }
}

void ModelRegistry::load_now(Entry& entry, Lock& lock) {
  shared_->loading = true;
  lock.unlock();
  std::shared_ptr<const ServedModel> model;
  std::exception_ptr exception;
  ApiError error{503, "", "model", "model_failed"};
  try {
    model = entry.spec.load();
    const uint64_t bytes = loaded_bytes(*model), budget = options_.budget_bytes;
    if (budget > 0 && bytes > budget)
      throw Error(ErrorKind::kOutOfMemory, "[models] it takes {:.2f} GB, --model-budget is {:.2f}",
                  static_cast<double>(bytes) / 1e9, static_cast<double>(budget) / 1e9);
  } catch (const std::exception& failure) {
    exception = std::current_exception();
    error.message =
        fmt::format("the model '{}' can't be loaded: {}", entry.spec.id, failure.what());
    model = nullptr;
  }
  std::vector<Call> calls;
  lock.lock();
  // At start whoever started the server tells it.
  if (exception && shared_->counts.loads > 0) log_error("[models] {}", error.message);
  shared_->loading = false;
  if (model) {
    loaded(entry, std::move(model), calls);
  } else {
    entry.status = ModelStatus::kFailed;
    entry.closing = entry.asked_for = false;
    entry.failure = error.message;
    entry.exception = exception;
    ++shared_->counts.failures;
    refuse(entry, error, calls);
  }
  lock.unlock();
  run_calls(calls);
  lock.lock();
}

void ModelRegistry::loaded(Entry& entry, std::shared_ptr<const ServedModel> model,
                           std::vector<Call>& calls) {
  entry.instance = std::make_unique<ModelInstance>(std::move(model), options_.watchdog_timeout);
  entry.status = ModelStatus::kLoaded;
  entry.asked_for = false;
  entry.failure.clear();
  entry.exception = nullptr;
  entry.last_use = ++shared_->uses;
  ++shared_->counts.loads;
  if (entry.closing)
    refuse(entry, unloading_error(entry.spec.id), calls);
  else
    grant(entry, calls);
}

// The mutex is free meanwhile.
void ModelRegistry::drop(Entry& entry, Lock& lock) {
  std::unique_ptr<ModelInstance> instance = std::move(entry.instance);
  add_stats(shared_->gone, instance->model->engine->stats(), /*gauges=*/false);
  entry.status = ModelStatus::kUnloaded;
  entry.closing = entry.yields = false;
  if (entry.has_waiters()) want(entry);
  lock.unlock();
  if (entry.spec.load) log_info("[models] {}: unloaded", instance->model->id);
  instance = nullptr;
  lock.lock();
}

}  // namespace mica
