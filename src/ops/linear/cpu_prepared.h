// The CPU's prepared form of a linear layer.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/threads.h"
#include "ops/linear/cpu_layout.h"

namespace mica {

// Row blocks of all experts, one after the other; the same for every instruction set.
struct CpuLinear final : PreparedLinear {
  BlockLayout layout;
  int64_t blocks = 0;  // row blocks of one expert
  Buffer memory;       // [experts][blocks][block_bytes]
  Buffer bias;         // f32 [experts][blocks * 16], zeros after the last row; or empty

  std::byte* block(int64_t expert, int64_t b) const {
    return static_cast<std::byte*>(memory.data()) +
           static_cast<size_t>(expert * blocks + b) * layout.block_bytes;
  }
  const float* expert_bias(int64_t expert) const {
    return bias.data() == nullptr
               ? nullptr
               : static_cast<const float*>(bias.data()) + expert * blocks * kBlockRows;
  }
};

// Throws Error(kCheckpoint) for a scheme or shape that no layout has.
std::unique_ptr<PreparedLinear> prepare_cpu(const LinearWeights& weights, ThreadPool& threads);

// Row `row` as f32 [columns]: the same bits as dequantize_row of the checkpoint's weights.
void read_row(const CpuLinear& linear, int64_t expert, int64_t row, float* out);

// Fills one row block. Rows that don't exist are left as they are (zeros).
void repack_block(const LinearWeights& weights, int64_t expert, int64_t b,
                  const BlockLayout& layout, std::byte* block);

const LinearKernels& linear_kernels(Isa isa);

}  // namespace mica
