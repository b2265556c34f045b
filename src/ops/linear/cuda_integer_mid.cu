#include "ops/linear/cuda_integer_start.h"

namespace mica::MICA_GPU {

template void start_product<IntegerFormat::kQ4>(gpu::Stream&, const Product&);
template void start_product<IntegerFormat::kQ5>(gpu::Stream&, const Product&);

}  // namespace mica::MICA_GPU
