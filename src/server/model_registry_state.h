// What the parts of the registry share. For model_registry*.cpp.
#pragma once

#include <algorithm>

#include "server/model_registry.h"

namespace mica {

struct ModelRegistry::Entry {
  ModelSpec spec;
  int64_t created = 0;
  ModelStatus status = ModelStatus::kUnloaded;  // never kUnloading: that is kLoaded and `closing`
  std::unique_ptr<ModelInstance> instance;      // while kLoaded
  int leases = 0;
  uint64_t last_use = 0;   // count of uses of all models
  bool closing = false;    // to be unloaded for good: no new leases
  bool yields = false;     // to be unloaded as another needs the room: new requests wait
  bool asked_for = false;  // by `load`: is loaded though no request waits
  Clock::time_point wanted_since;
  std::string failure;
  std::exception_ptr exception;
  std::vector<std::weak_ptr<Waiter>> waiters;

  bool has_waiters() const {
    return std::any_of(waiters.begin(), waiters.end(), [](const auto& w) { return !w.expired(); });
  }
  bool may_go() const { return instance && spec.load && !closing; }
};

struct ModelRegistry::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  // Under the mutex:
  std::vector<std::unique_ptr<Entry>> entries;
  std::deque<Entry*> queue;  // to be loaded, in this order
  uint64_t uses = 0;
  bool refusing = false, stopping = false, loading = false;
  EngineStats gone;  // of engines that were unloaded
  ModelCounts counts;
};

struct ModelRegistry::Call {
  std::shared_ptr<Waiter> waiter;  // alive until it was called
  ModelLease lease;
  ApiError error;
};

template <typename Calls>
void run_calls(Calls& calls) {
  for (auto& call : calls) call.waiter->ready(std::move(call.lease), call.error);
  calls.clear();
}

inline ApiError unloading_error(const std::string& id) {
  return {503, "the model '" + id + "' is being unloaded", "model", "model_unloading", 2};
}

// Counters, and with `gauges` all of it.
void add_stats(EngineStats& sum, const EngineStats& more, bool gauges);
uint64_t loaded_bytes(const ServedModel& model);

}  // namespace mica
