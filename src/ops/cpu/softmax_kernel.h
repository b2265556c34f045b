// Passes over a row of scores, compiled per instruction set but with the same lanes and the same
// roundings everywhere: their results do not depend on the instruction set.
#pragma once

#include <cstdint>

namespace mica::kernels {

constexpr int64_t kScoreBlock = 256;  // scores whose exponentials are summed in f32
constexpr int64_t kMassBins = 1024;

struct SoftmaxKernel {
  // The largest of x[0, n), n >= 1; NaN are passed over, -inf if there is nothing else.
  float (*max_of)(const float* x, int64_t n);
  // out[i] = exp((x[i] - shift) * scale), 0 for NaN and below e^-87.
  void (*exp_weights)(const float* x, int64_t n, float shift, float scale, float* out);
  // sums[b] = sum of the same over block b of kScoreBlock scores; returns their sum in order.
  double (*exp_sums)(const float* x, int64_t n, float shift, float scale, double* sums);
  // bins[min(kMassBins - 1, (top - x[i]) * per_nat)] += exp(x[i] - shift), bins cleared first.
  void (*mass_bins)(const float* x, int64_t n, float top, float per_nat, float shift, double* bins);
  // Indices, ascending, with x[i] >= threshold; returns how many.
  int64_t (*collect)(const float* x, int64_t n, float threshold, int32_t* ids);
};

namespace portable {
extern const SoftmaxKernel kSoftmaxKernel;
}
namespace avx2 {
extern const SoftmaxKernel kSoftmaxKernel;
}
namespace avx512 {
extern const SoftmaxKernel kSoftmaxKernel;
}

// The bin of `mass_bins`; NaN and what is far below go to the last.
inline int64_t mass_bin(float x, float top, float per_nat) {
  const float place = (top - x) * per_nat;
  return place < static_cast<float>(kMassBins - 1) ? static_cast<int64_t>(place) : kMassBins - 1;
}

}  // namespace mica::kernels
