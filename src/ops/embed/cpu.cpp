#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/embed/embed.h"
#include "ops/linear/cpu_prepared.h"

namespace mica::cpu {

void embed(Backend& backend, const EmbedParams& p) {
  const auto& table = static_cast<const CpuLinear&>(*p.table);
  const int64_t tokens = p.ids.elements();
  MICA_CHECK(p.ids.dtype == DType::kI32 && p.out.dtype == DType::kF32);
  MICA_CHECK(p.out.elements() == tokens * table.columns);
  cpu_threads(backend).parallel_for(tokens, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = p.out.as<float>() + t * table.columns;
      read_row(table, 0, p.ids.as<int32_t>()[t], out);
      for (int64_t i = 0; i < table.columns; ++i) out[i] *= p.scale;
    }
  });
}

}  // namespace mica::cpu
