#include "ops/attention/cuda_mma.h"

namespace mica::MICA_GPU {

AttentionKernel attention_bf16(int size, bool wide) {
  return attention_mma<bf16>(size, wide);
}

}  // namespace mica::MICA_GPU
