// The attention kernels behind attention/cuda.cu, which plans and merges.
#pragma once

#include "ops/attention/cuda_plan.h"

namespace mica::MICA_GPU {

// One compiled kernel: how it cuts the work and how it starts.
struct AttentionKernel {
  int tile_rows, tile_positions;  // of an item, of a step over its positions
  int threads;
  size_t shared_bytes;
  int fold_floats;  // that a thread keeps of earlier splits
  void (*start)(gpu::Stream& stream, const AttentionArgs& args, uint32_t blocks);
};

// For activations and caches of one 16-bit dtype, head sizes up to 512. Wide: many rows, for
// prefill; otherwise 16 rows, whose positions all warps of the block share, for decode. `args`
// has the head size and the cache.
AttentionKernel attention_bf16(const AttentionArgs& args, bool wide);
AttentionKernel attention_f16(const AttentionArgs& args, bool wide);
// The same over quantized caches, whose scales are of the activations' dtype.
AttentionKernel attention_bf16_quantized(const AttentionArgs& args, bool wide);
AttentionKernel attention_f16_quantized(const AttentionArgs& args, bool wide);
// For any dtypes, in f32.
AttentionKernel attention_f32(const AttentionArgs& args);

}  // namespace mica::MICA_GPU
