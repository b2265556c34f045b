// Does the engine generate? One token through all of it, for everyone who asks at that time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/served_model.h"

namespace mica {

class HealthProbe {
 public:
  struct Result {
    bool generated = false;  // a token came
    std::string reason;      // why not
  };
  using Callback = std::function<void(const Result&)>;  // on the engine's thread, or inside `ask`

  // Calls back once, unless the token never comes: whoever asks keeps time.
  void ask(const ServedModel& model, Callback callback);

 private:
  struct Run;
  std::mutex mutex_;
  std::weak_ptr<Run> run_;  // the one on its way, under the mutex
};

}  // namespace mica
