// The kernels of a format, for the sources that instantiate them (compiled side by side).
#pragma once

#include "ops/linear/cuda_integer_few.h"
#include "ops/linear/cuda_integer_stream.h"
#include "ops/linear/cuda_integer_tile.h"

namespace mica::MICA_GPU {

template <IntegerFormat kFormat>
void start_product(gpu::Stream& stream, const Product& p) {
  if (p.slots.size <= kFewSlots) return start_few<kFormat>(stream, p);
  if (p.slots.size <= kStreamSlots) return start_stream<kFormat>(stream, p);
  start_tiles<kFormat>(stream, p);
}

}  // namespace mica::MICA_GPU
