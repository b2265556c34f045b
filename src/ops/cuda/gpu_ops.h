// The operations of the CUDA backend; each lives in ops/<op>/cuda.cu. `cuda` runs on a GPU, `simt`
// is the same source on the emulator.
#pragma once

#include "ops/cuda/gpu_backend.h"
#include "ops/cuda/target.h"

namespace mica::MICA_GPU {

void embed(Backend& backend, const EmbedParams& p);
void rms_norm(Backend& backend, const RmsNormParams& p);
void layer_norm(Backend& backend, const LayerNormParams& p);
void linear(Backend& backend, const LinearParams& p);
void rope_append(Backend& backend, const RopeAppendParams& p);
void attention(Backend& backend, const AttentionParams& p);
void activation(Backend& backend, const ActivationParams& p);
void add(Backend& backend, const Tensor& x, const Tensor& y);
void gather_rows(Backend& backend, const Tensor& x, const Tensor& rows, const Tensor& out);
void softcap(Backend& backend, const Tensor& x, float cap);
void moe_route(Backend& backend, const MoeRouteParams& p);
void moe_linear(Backend& backend, const MoeLinearParams& p);
void moe_combine(Backend& backend, const MoeCombineParams& p);
void sample(Backend& backend, const SampleParams& p);
void read_all(Backend& backend, const Tensor& data, const Tensor& out);
void draw(Backend& backend, const Draw& d);

// Repacks weights whose tensors lie on the device into the layout of the product kernels.
std::unique_ptr<PreparedLinear> prepare(gpu::GpuBackend& backend, const LinearWeights& on_device);

}  // namespace mica::MICA_GPU
