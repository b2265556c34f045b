#include <thread>

#include "ops/cpu/isa.h"

namespace mica {

Isa best_isa() {
  return Isa::kPortable;
}

void cpu_relax() {
  std::this_thread::yield();
}

}  // namespace mica
