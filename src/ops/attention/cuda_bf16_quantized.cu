#include "ops/attention/cuda_mma.h"

namespace mica::MICA_GPU {

AttentionKernel attention_bf16_quantized(const AttentionArgs& args, bool wide) {
  return attention_mma<bf16, true>(args, wide);
}

}  // namespace mica::MICA_GPU
