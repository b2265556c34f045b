#include "ops/activation/activation.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"

namespace mica::cpu {

void activation(Backend& backend, const ActivationParams& p) {
  MICA_CHECK(p.gate.dtype == DType::kF32 && p.gate.shape == p.out.shape);
  MICA_CHECK(p.up.empty() || (p.up.dtype == DType::kF32 && p.up.shape == p.gate.shape));
  static_assert(static_cast<int>(Activation::kGelu) == static_cast<int>(kernels::Gate::kGelu) &&
                static_cast<int>(Activation::kGeluTanh) ==
                    static_cast<int>(kernels::Gate::kGeluTanh));
  const auto kind = static_cast<kernels::Gate>(p.kind);
  const kernels::RowKernel& kernel = row_kernel(backend);
  // A multiple of every vector width, so that an element's lane does not depend on the chunks.
  constexpr int64_t kGrain = 8192;
  cpu_threads(backend).parallel_for(p.gate.elements(), kGrain,
                                    [&](int64_t begin, int64_t end, int) {
                                      kernel.gate(kind, p.gate.as<float>() + begin,
                                                  p.up.empty() ? nullptr : p.up.as<float>() + begin,
                                                  end - begin, p.out.as<float>() + begin);
                                    });
}

}  // namespace mica::cpu
