#include <cmath>

#include "ops/activation/activation.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {
namespace {

double activate(Activation kind, double x) {
  constexpr double kSqrtHalf = 0.70710678118654752440, kSqrtTwoByPi = 0.79788456080286535588;
  switch (kind) {
    case Activation::kSilu: return x / (1 + std::exp(-x));
    case Activation::kGelu: return 0.5 * x * (1 + std::erf(x * kSqrtHalf));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(kSqrtTwoByPi * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

}  // namespace

void activation(Backend&, const ActivationParams& p) {
  MICA_CHECK(p.gate.dtype == DType::kF32 && p.gate.shape == p.out.shape);
  MICA_CHECK(p.up.empty() || (p.up.dtype == DType::kF32 && p.up.shape == p.gate.shape));
  for (int64_t i = 0; i < p.gate.elements(); ++i) {
    const double up = p.up.empty() ? 1 : p.up.as<float>()[i];
    p.out.as<float>()[i] = static_cast<float>(activate(p.kind, p.gate.as<float>()[i]) * up);
  }
}

}  // namespace mica::ref
