#include "ops/embed/embed.h"
#include "ops/ref/ref_backend.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {

void embed(Backend&, const EmbedParams& p) {
  const RefLinear& table = as_ref(p.table);
  const int64_t tokens = p.ids.elements(), size = table.columns;
  MICA_CHECK(p.ids.dtype == DType::kI32 && p.out.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == Shape({tokens, size}));
  std::vector<float> scratch;
  for (int64_t t = 0; t < tokens; ++t) {
    const float* row = table.row(0, p.ids.as<int32_t>()[t], scratch);
    for (int64_t i = 0; i < size; ++i) p.out.as<float>()[t * size + i] = row[i] * p.scale;
  }
}

}  // namespace mica::ref
