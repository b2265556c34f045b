#include "ops/cpu/simd_avx2.h"
#include "ops/linear/cpu_pack.h"
#include "ops/linear/cpu_product.h"

namespace mica {

const LinearKernels kLinearAvx2 = {Avx2Simd::kDirectTokens,       Avx2Simd::kTileTokens,
                                   Avx2Simd::kTileSide,           kernels::pack_integer<Avx2Simd>,
                                   kernels::pack_float<Avx2Simd>, kernels::product<Avx2Simd>};

}  // namespace mica
