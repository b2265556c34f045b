#include "ops/activation/activation.h"
#include "ops/cuda/flat.h"
#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/math.h"

namespace mica::MICA_GPU {
namespace {

// Products and sums as they stand, which no compiler fuses: the bits of an element are the same in
// a vector and in the rest.
MICA_DEVICE float silu(float x) {
  return x * sigmoid(x);
}

MICA_DEVICE float gelu(float x) {
  constexpr float kSqrtHalf = 0.70710678f;
  return 0.5f * x * (1 + erff(x * kSqrtHalf));
}

// 0.5 (1 + tanh(u)) is sigmoid(2 u).
MICA_DEVICE float gelu_tanh(float x) {
  constexpr float kTwoSqrtTwoByPi = 1.59576912f;
  return x * sigmoid(kTwoSqrtTwoByPi * x * fmaf(0.044715f * x, x, 1.0f));
}

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(Flat<T>::kThreads) void activation_kernel(const Flat<T> p,
                                                                         Activation kind) {
  grid_dependency_wait();
  const bool alone = p.y == nullptr;
  if (kind == Activation::kSilu)
    apply(p, [=](float gate, float up) { return silu(gate) * (alone ? 1.0f : up); });
  else if (kind == Activation::kGelu)
    apply(p, [=](float gate, float up) { return gelu(gate) * (alone ? 1.0f : up); });
  else
    apply(p, [=](float gate, float up) { return gelu_tanh(gate) * (alone ? 1.0f : up); });
  grid_dependency_launch();
}

template <typename T>
void start(gpu::Stream& stream, const ActivationParams& p) {
  const Flat<T> flat(p.gate.as<T>(), p.up.as<T>(), p.out.as<T>(), p.gate.elements());
  launch(stream, {"activation", {flat.blocks()}, {Flat<T>::kThreads}}, activation_kernel<T>, flat,
         p.kind);
}

}  // namespace

void activation(Backend& backend, const ActivationParams& p) {
  MICA_CHECK(p.out.dtype == p.gate.dtype && p.out.shape == p.gate.shape);
  MICA_CHECK(p.up.empty() || (p.up.dtype == p.gate.dtype && p.up.shape == p.gate.shape));
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  switch (p.gate.dtype) {
    case DType::kF32: return start<float>(stream, p);
    case DType::kBF16: return start<bf16>(stream, p);
    case DType::kF16: return start<f16>(stream, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
