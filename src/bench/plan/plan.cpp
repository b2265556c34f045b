#include "bench/plan/plan.h"

#include "base/error.h"

namespace mica {

const char* name(LaunchMode mode) {
  switch (mode) {
    case LaunchMode::kDocker: return "docker";
    case LaunchMode::kProcess: return "process";
    case LaunchMode::kAttach: return "attach";
  }
  MICA_CHECK(false);
}

}  // namespace mica
