// The operations of the CUDA backend as functions of a stream; `cuda` runs on a GPU, `simt` is the
// same source on the emulator. Tensors lie in the stream's device.
#pragma once

#include "ops/cuda/runtime.h"

namespace mica {
struct RmsNormParams;
}

namespace mica::cuda {
void rms_norm(gpu::Stream& stream, const RmsNormParams& p);
}

namespace mica::simt {
void rms_norm(gpu::Stream& stream, const RmsNormParams& p);
}
