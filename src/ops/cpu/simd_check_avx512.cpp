#include "ops/cpu/simd_avx512.h"
#include "ops/cpu/simd_check.h"

namespace mica {

const char* check_avx512() {
  return SimdCheck<Avx512Simd>::run();
}

}  // namespace mica
