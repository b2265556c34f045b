#include "ops/cpu/simd_portable.h"
#include "ops/linear/cpu_pack.h"
#include "ops/linear/cpu_product.h"

namespace mica {

const LinearKernels kLinearPortable = {
    PortableSimd::kDirectTokens,       PortableSimd::kTileTokens,
    PortableSimd::kTileSide,           kernels::pack_integer<PortableSimd>,
    kernels::pack_float<PortableSimd>, kernels::product<PortableSimd>};

}  // namespace mica
