// Random weights made where the backend keeps its own, so that they need not cross PCIe.
#pragma once

#include "checkpoint/synthetic.h"
#include "ops/backend.h"

namespace mica {

// Without `draw` where the backend has none: weights then come from host memory. `draw` waits, so
// that its time is not taken for that of what follows.
inline DrawingDevice drawing_device(Backend& backend) {
  if (!backend.ops().draw) return {};
  return {.allocate = [&backend](size_t bytes) { return backend.allocate(bytes); },
          .draw =
              [&backend](const Draw& draw) {
                backend.ops().draw(backend, draw);
                backend.synchronize();
              }};
}

}  // namespace mica
