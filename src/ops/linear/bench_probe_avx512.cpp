#include "ops/linear/bench_probe.h"

#include "ops/cpu/simd_avx512.h"

namespace mica {

const LimitProbes kProbesAvx512 = {read_probe<Avx512Simd>, dot_probe<Avx512Simd>};

}  // namespace mica
