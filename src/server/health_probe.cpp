#include "server/health_probe.h"

#include <algorithm>

namespace mica {

// Kept by the engine, through its notification, until the request has ended.
struct HealthProbe::Run : std::enable_shared_from_this<HealthProbe::Run> {
  std::mutex mutex;
  // Under the mutex:
  std::shared_ptr<EventStream> events;  // shared with the engine
  std::vector<Callback> waiting;
  bool done = false;

  bool join(Callback& callback) {
    const std::lock_guard lock(mutex);
    if (!done) waiting.push_back(std::move(callback));
    return !done;
  }
  void finish(const Result& result) {
    std::vector<Callback> callbacks;
    {
      const std::lock_guard lock(mutex);
      done = true;
      events = nullptr;
      callbacks.swap(waiting);
    }
    for (const Callback& callback : callbacks) callback(result);
  }
  // Looks for the event that decides.
  void look() {
    while (true) {
      std::optional<Event> event;
      {
        const std::lock_guard lock(mutex);
        if (events) event = events->try_next();
      }
      if (!event) return;
      if (event->kind == Event::Kind::kToken) return finish({true, ""});
      if (event->kind == Event::Kind::kFinished)
        return finish({false, event->error.empty() ? name(event->reason) : event->error});
    }
  }
};

void HealthProbe::ask(const ServedModel& model, Callback callback) {
  std::shared_ptr<Run> run;
  {
    const std::lock_guard lock(mutex_);
    if (const auto current = run_.lock())
      if (current->join(callback)) return;
    run = std::make_shared<Run>();
    run->waiting.push_back(std::move(callback));
    run_ = run;
  }
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
