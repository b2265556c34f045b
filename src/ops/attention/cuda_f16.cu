#include "ops/attention/cuda_mma.h"

namespace mica::MICA_GPU {

AttentionKernel attention_f16(int size, bool wide) {
  return attention_mma<f16>(size, wide);
}

}  // namespace mica::MICA_GPU
