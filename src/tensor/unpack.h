#pragma once

#include "tensor/quantization.h"

namespace mica {

// The codes of row n of expert e, unpacked: u8 [K]; quantized weights only.
void unpack_row(const LinearWeights& weights, int64_t expert, int64_t row, uint8_t* out);

}  // namespace mica
