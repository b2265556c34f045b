// Which kernels serve a product, and the preparation of weights.
#include <vector>

#include "ops/cuda/gpu_ops.h"
#include "ops/embed/embed.h"
#include "ops/linear/cuda_linear.h"
#include "tensor/quantization.h"

namespace mica::MICA_GPU {
namespace {

using gpu::GpuLinear;

bool has_integer_codes(const QuantScheme& scheme) {
  return scheme.mode == QuantMode::kAffine || scheme.mode == QuantMode::kMxfp4 ||
         scheme.mode == QuantMode::kNvfp4;
}

// The targets of one family.
std::vector<LinearTarget> of_family(std::span<const LinearTarget> targets,
                                    GpuLinear::Family family) {
  std::vector<LinearTarget> result;
  for (const LinearTarget& target : targets)
    if (gpu::as_gpu(target.weights).family == family) result.push_back(target);
  return result;
}

void multiply(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
              std::span<const LinearTarget> targets) {
  const auto integer = of_family(targets, GpuLinear::Family::kInteger);
  const auto floats = of_family(targets, GpuLinear::Family::kFloat);
  if (!integer.empty()) multiply_integer(backend, x, slots, integer);
  if (!floats.empty()) multiply_float(backend, x, slots, floats);
}

}  // namespace

std::unique_ptr<PreparedLinear> prepare(gpu::GpuBackend& backend, const LinearWeights& w) {
  return has_integer_codes(w.scheme) ? pack_integer(backend, w) : pack_float(backend, w);
}

void expand(gpu::GpuBackend& backend, const Expand& p) {
  if (p.weights->family == GpuLinear::Family::kInteger)
    expand_integer(backend, p);
  else
    expand_float(backend, p);
}

void embed(Backend& backend, const EmbedParams& p) {
  expand(gpu::as_gpu(backend), {.weights = &gpu::as_gpu(p.table),
                                .count = p.ids.shape[0],
                                .ids = p.ids.as<int32_t>(),
                                .scale = p.scale,
                                .out = p.out});
}

void linear(Backend& backend, const LinearParams& p) {
  const int64_t tokens = p.x.shape[0];
  for (const LinearTarget& target : p.targets) {
    MICA_CHECK(target.weights->columns == p.x.shape[1]);
    MICA_CHECK(target.out.shape == Shape({tokens, target.weights->rows}));
  }
  if (tokens == 0 || serve_by_gemm(gpu::as_gpu(backend), p.x, p.targets)) return;
  multiply(gpu::as_gpu(backend), p.x, gpu::slots_of(tokens), p.targets);
}

}  // namespace mica::MICA_GPU
