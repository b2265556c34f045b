#include "ops/cpu/simd_avx2.h"
#include "ops/cpu/simd_check.h"

namespace mica {

const char* check_avx2() {
  return SimdCheck<Avx2Simd>::run();
}

}  // namespace mica
