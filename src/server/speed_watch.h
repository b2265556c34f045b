// Whether an engine decodes about as fast as the memory of its device allows.
#pragma once

#include <optional>
#include <string>

#include "engine/engine.h"

namespace mica {

class SpeedWatch {
 public:
  // bandwidth: bytes per second, as measured; 0 = never warns. layers: of the model.
  SpeedWatch(double bandwidth, int64_t layers);

  // Call now and then. A text when the decode steps since the last call took more than three times
  // what their bytes and the starts of their kernels take; nothing when too few ran to tell.
  std::optional<std::string> check(const EngineStats& now);

 private:
  const double bandwidth_;
  const double launch_seconds_;  // of one step
  EngineStats before_;
};

}  // namespace mica
