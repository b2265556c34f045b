// Which kernels serve a product, and the preparation of weights.
#include <vector>

#include "ops/cuda/gpu_ops.h"
#include "ops/embed/embed.h"
#include "ops/linear/cuda_linear.h"
#include "ops/moe/cuda_group.h"
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

// Whether every pair of a row and an expert shall go on its own: few rows would share an expert's
// weights (an expert more or less of them: a token's experts differ), and nothing has to be sorted.
bool few_pairs(const MoeLinearParams& p, int64_t experts) {
  constexpr int64_t kMost = 64;
  const int64_t tokens = p.ids.shape[0], pairs = p.ids.elements();
  return tokens == 1 || (pairs <= kMost && 2 * pairs <= experts);
}

}  // namespace

void multiply(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
              std::span<const LinearTarget> targets) {
  const auto integer = of_family(targets, GpuLinear::Family::kInteger);
  const auto floats = of_family(targets, GpuLinear::Family::kFloat);
  if (!integer.empty()) multiply_integer(backend, x, slots, integer);
  if (!floats.empty()) multiply_float(backend, x, slots, floats);
}

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

void moe_linear(Backend& any, const MoeLinearParams& p) {
  gpu::GpuBackend& backend = gpu::as_gpu(any);
  const int64_t pairs = p.ids.elements();
  if (pairs == 0 || p.targets.empty()) return;
  const int64_t experts = p.targets[0].weights->experts;
  MICA_CHECK(p.ids.dtype == DType::kI32 && p.x.shape.rank() == 2);
  MICA_CHECK(p.x.shape[0] == p.ids.shape[0] || p.x.shape[0] == pairs);
  bool integers = true;
  for (const LinearTarget& target : p.targets) {
    MICA_CHECK(target.weights->columns == p.x.shape[1] && target.weights->experts == experts);
    MICA_CHECK(target.out.shape == Shape({pairs, target.weights->rows}));
    integers = integers && gpu::as_gpu(target.weights).family == GpuLinear::Family::kInteger;
  }
  if (integers && few_pairs(p, experts))
    return multiply_pairs_integer(backend, p.x, p.ids, p.targets);
  const PairGroups groups = {.ids = p.ids,
                             .experts = experts,
                             .share = pairs / p.x.shape[0],
                             .tile = pair_tile(pairs, experts)};
  const gpu::GpuBackend::HeldScratch memory(backend, groups.bytes());
  multiply(backend, p.x, group_pairs(backend, groups, memory.data), p.targets);
}

}  // namespace mica::MICA_GPU
