#include "ops/cpu/simd_avx512.h"
#include "ops/linear/cpu_pack.h"
#include "ops/linear/cpu_product.h"

namespace mica {

const LinearKernels kLinearAvx512 = {
    Avx512Simd::kDirectTokens,       Avx512Simd::kTileTokens,
    Avx512Simd::kTileSide,           kernels::pack_integer<Avx512Simd>,
    kernels::pack_float<Avx512Simd>, kernels::product<Avx512Simd>};

}  // namespace mica
