#include "ops/attention/cuda_mma.h"

namespace mica::MICA_GPU {

AttentionKernel attention_f16(const AttentionArgs& args, bool wide) {
  return attention_mma<f16, false>(args, wide);
}

}  // namespace mica::MICA_GPU
