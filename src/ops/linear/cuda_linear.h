// Matrix products of the GPU backends: the prepared weights, the order of rows, and the two kernel
// families behind them (cuda_integer.cu, cuda_float.cu). linear/cuda.cu chooses.
#pragma once

#include <memory>
#include <span>

#include "ops/cuda/gpu_backend.h"
#include "ops/cuda/target.h"
#include "ops/linear/linear.h"

namespace mica::gpu {

// Weights repacked for one family of kernels; E experts, N rows, K columns.
class GpuLinear final : public PreparedLinear {
 public:
  enum class Family {
    kInteger,  // codes of up to 8 bits times activations of 16 bits, exact in a group
    kFloat,    // dense and mxfp8: products of the tensor cores in bf16 or f16, or f32 loops
  } family = Family::kInteger;
  Buffer memory;                      // every array below; the layouts are the family's
  const std::byte* codes = nullptr;   // what a product streams: codes, or dense weights
  const std::byte* scales = nullptr;  // of the groups, with offsets where affine
  const float* bias = nullptr;        // f32 [E, N] or null
  size_t expert_codes = 0;            // bytes from one expert's codes to the next's
  size_t expert_scales = 0;           // the same of scales
  DType dtype = DType::kBF16;         // of the scales, or of dense weights
};

// The rows of a product in the order in which kernels take them: `count` slots in tiles of `tile`
// slots, every slot of a tile with the same expert. All pointers are i32 on the device.
struct Slots {
  int64_t count = 0;                 // a multiple of tile
  int tile = 8;                      // 8, 16, 32 or 64
  int64_t rows = 0;                  // without `input`: slots from here on are empty
  const int32_t* input = nullptr;    // [count] row of x, -1 = empty; null = the slot itself
  const int32_t* output = nullptr;   // [count] row of out; null = as input
  const int32_t* experts = nullptr;  // [count / tile] expert, -1 = no work; null = 0
};

// The slots of a product without experts.
Slots slots_of(int64_t rows);

inline const GpuLinear& as_gpu(const PreparedLinear* weights) {
  const auto* linear = dynamic_cast<const GpuLinear*>(weights);
  MICA_CHECK_MSG(linear != nullptr, "weights that another backend prepared");
  return *linear;
}

}  // namespace mica::gpu

namespace mica::MICA_GPU {

// Each family packs weights whose tensors lie on the device, multiplies, and expands rows.
//
// multiply: targets[i].out[output row] (+)= W · x[input row] + bias; all targets are of the family
// and take the same x. The bits of a row don't depend on the other rows or on slots.tile. It uses
// the backend's scratch memory, where x and the arrays of slots therefore must not lie.
//
// expand: out[i] = scale * W[expert, ids ? ids[i] : first + i], row-major [count, K] of out's
// dtype; the embedding, and the weights of a vendor product.
struct Expand {
  const gpu::GpuLinear* weights = nullptr;
  int64_t expert = 0, first = 0, count = 0;
  const int32_t* ids = nullptr;  // device
  float scale = 1;
  Tensor out;
};

std::unique_ptr<gpu::GpuLinear> pack_integer(gpu::GpuBackend& backend, const LinearWeights& w);
void multiply_integer(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
                      std::span<const LinearTarget> targets);
void expand_integer(gpu::GpuBackend& backend, const Expand& p);
// Of few pairs of a row and an expert, each in a tile of its own; ids and shapes as in
// MoeLinearParams.
void multiply_pairs_integer(gpu::GpuBackend& backend, const Tensor& x, const Tensor& ids,
                            std::span<const LinearTarget> targets);

std::unique_ptr<gpu::GpuLinear> pack_float(gpu::GpuBackend& backend, const LinearWeights& w);
void multiply_float(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
                    std::span<const LinearTarget> targets);
void expand_float(gpu::GpuBackend& backend, const Expand& p);

// By the targets' families.
void multiply(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
              std::span<const LinearTarget> targets);
void expand(gpu::GpuBackend& backend, const Expand& p);

// linear for many rows, by expanded weights and the vendor's product, whose bits depend on the
// batch. False, and nothing done, where the kernels above serve better or must.
bool serve_by_gemm(gpu::GpuBackend& backend, const Tensor& x, std::span<const LinearTarget> targets,
                   size_t scratch_bytes = size_t{64} << 20);

}  // namespace mica::MICA_GPU
