#include "ops/cpu/simd_avx2.h"
#include "ops/linear/bench_probe.h"

namespace mica {

const LimitProbes kProbesAvx2 = {read_probe<Avx2Simd>, dot_probe<Avx2Simd>};

}  // namespace mica
