#include "ops/linear/cpu_prepared.h"

namespace mica {

const LinearKernels& linear_kernels(Isa) {
  return kLinearPortable;
}

}  // namespace mica
