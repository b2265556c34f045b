#include "ops/cpu/simd_avx512.h"
#include "ops/linear/bench_probe.h"

namespace mica {

const LimitProbes kProbesAvx512 = {read_probe<Avx512Simd>, dot_probe<Avx512Simd>};

}  // namespace mica
