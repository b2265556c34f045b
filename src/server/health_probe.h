// Does the engine generate? One token through all of it, for everyone who asks it at that time.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "server/model_registry.h"

namespace mica {

class HealthProbe {
 public:
  struct Result {
    bool generated = false;  // a token came
    std::string reason;      // why not
  };
  using Callback = std::function<void(const Result&)>;  // on the engine's thread, or inside `ask`

  // Calls back once, unless the token never comes: whoever asks keeps time.
  void ask(const ModelLease& lease, Callback callback);

 private:
  struct Run;
  std::mutex mutex_;
  std::weak_ptr<Run> run_;  // the last one, if it is on its way; under the mutex
};

}  // namespace mica
