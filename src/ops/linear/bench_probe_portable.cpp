#include "ops/cpu/simd_portable.h"
#include "ops/linear/bench_probe.h"

namespace mica {

const LimitProbes kProbesPortable = {read_probe<PortableSimd>, dot_probe<PortableSimd>};

}  // namespace mica
