#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace mica {

int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage: return 2;
    case ErrorKind::kDevice:
    case ErrorKind::kOutOfMemory: return 3;
    case ErrorKind::kCheckpoint:
    case ErrorKind::kNetwork: return 4;
    case ErrorKind::kBackend: return 5;
    case ErrorKind::kMeasurement: return 6;
    case ErrorKind::kInternal: return 1;
  }
  return 1;
}

const char* name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage: return "usage";
    case ErrorKind::kDevice: return "device";
    case ErrorKind::kCheckpoint: return "checkpoint";
    case ErrorKind::kBackend: return "backend";
    case ErrorKind::kMeasurement: return "measurement";
    case ErrorKind::kNetwork: return "network";
    case ErrorKind::kOutOfMemory: return "out of memory";
    case ErrorKind::kInternal: return "internal";
  }
  return "internal";
}

namespace internal {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%s\nThis is a fault of Mica; please report it.\n",
               file, line, condition, message.empty() ? "" : ": ", message.c_str());
  std::abort();
}

}  // namespace internal
}  // namespace mica
