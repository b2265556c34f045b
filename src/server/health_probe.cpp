#include "server/health_probe.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace mica {

// Kept by the engine, through its notification, until the request has ended; and keeps the engine.
struct HealthProbe::Run {
  Run(ModelLease model, Callback callback) : lease(std::move(model)) {
    waiting.push_back(std::move(callback));
  }

  const ModelLease lease;
  std::mutex mutex;
  // Under the mutex:
  std::shared_ptr<EventStream> events;  // shared with the engine
  std::vector<Callback> waiting;
  bool done = false;

  bool join(const ModelLease& asked, Callback& callback) {
    const std::lock_guard lock(mutex);
    if (done || asked != lease) return false;
    waiting.push_back(std::move(callback));
    return true;
  }
  void finish(const Result& result) {
    std::vector<Callback> callbacks;
    {
      const std::lock_guard lock(mutex);
      callbacks = close();
    }
    for (const Callback& callback : callbacks) callback(result);
  }
  // Looks for the event that decides. The engine's thread and that of `ask` may be here together.
  void look() {
    std::optional<Result> result;
    std::vector<Callback> callbacks;
    {
      const std::lock_guard lock(mutex);
      while (events && !result) {
        const auto event = events->try_next();
        if (!event) return;
        result = decision(*event);
      }
      if (!result) return;
      callbacks = close();
    }
    for (const Callback& callback : callbacks) callback(*result);
  }

 private:
  static std::optional<Result> decision(const Event& event) {
    if (event.kind == Event::Kind::kToken) return Result{true, ""};
    if (event.kind != Event::Kind::kFinished) return std::nullopt;
    return Result{false, event.error.empty() ? name(event.reason) : event.error};
  }
  // Under the mutex: those that are to be told.
  std::vector<Callback> close() {
    done = true;
    events = nullptr;
    return std::exchange(waiting, {});
  }
};

void HealthProbe::ask(const ModelLease& lease, Callback callback) {
  std::shared_ptr<Run> run;
  {
    const std::lock_guard lock(mutex_);
    if (const auto current = run_.lock())
      if (current->join(lease, callback)) return;
    run = std::make_shared<Run>(lease, std::move(callback));
    run_ = run;
  }
  const ServedModel& model = *lease->model;
  Request request;
  request.prompt = model.text->encode("Hello");
  if (request.prompt.empty()) request.prompt = {0};
  request.prompt.resize(std::min<size_t>(request.prompt.size(), 4));
  request.max_tokens = 1;
  request.use_prefix_cache = false;
  request.priority = -1;  // before what waits
  request.timeout = std::chrono::minutes(1);
  std::shared_ptr<EventStream> events;
  try {
    events = model.engine->submit(std::move(request), [run](Event::Kind) { run->look(); });
  } catch (const std::exception& error) {
    return run->finish({false, error.what()});
  }
  if (!events) return run->finish({false, "the queue is full"});
  {
    const std::lock_guard lock(run->mutex);
    run->events = std::move(events);
  }
  run->look();  // what came before `events` was there
}

}  // namespace mica
