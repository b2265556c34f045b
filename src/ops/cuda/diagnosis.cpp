#include "ops/cuda/diagnosis.h"

#include "base/error.h"

namespace mica::gpu {

void throw_unusable(const std::string& asked, int cuda_status, const std::string& status_text) {
  throw Error(ErrorKind::kDevice,
              "[device] '{}' can't be used: {} (CUDA error {}); use --device cpu", asked,
              status_text, cuda_status);
}

}  // namespace mica::gpu
