#include "ops/linear/cpu_prepared.h"

namespace mica {

const LinearKernels& linear_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAvx512Bf16: {
      static const LinearKernels kernels = with_bf16_dot(kLinearAvx512);
      return kernels;
    }
    case Isa::kAvx512Vnni: return kLinearAvx512;
    case Isa::kAvx2: return kLinearAvx2;
    case Isa::kPortable: break;
  }
  return kLinearPortable;
}

}  // namespace mica
