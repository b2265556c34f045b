// All blocks of one launch.
#pragma once

#include <functional>

#include "ops/simt/emulator.h"
#include "ops/simt/schedule.h"

namespace mica::simt {

// Runs the kernel to its end and throws its first fault. `schedule.seed` decides everything that
// is random, whatever the number of OS threads.
void run_grid(const emu::Launch& launch, const std::function<void()>& body,
              const Schedule& schedule);

}  // namespace mica::simt
