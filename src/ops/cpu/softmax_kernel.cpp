#include "ops/cpu/softmax_kernel.h"

#include "ops/cpu/vec.h"

namespace mica::kernels::MICA_ISA {
namespace {

constexpr int kWide = 16;  // lanes, whatever the instruction set
using Wide = Vec<kWide>::F;
using WideInt = Vec<kWide>::I;
constexpr float kMinusInfinity = -__builtin_inff();

// x[0, n), the rest -inf, for n < kWide.
MICA_VEC Wide load_tail(const float* x, int64_t n) {
  float padded[kWide];
  for (int64_t i = 0; i < kWide; ++i) padded[i] = i < n ? x[i] : kMinusInfinity;
  return load<kWide>(padded);
}

MICA_VEC Wide load_some(const float* x, int64_t n) {
  return n >= kWide ? load<kWide>(x) : load_tail(x, n);
}

float max_of(const float* x, int64_t n) {
  Wide most = splat<kWide>(kMinusInfinity);
  for (int64_t i = 0; i < n; i += kWide) {
    const Wide score = load_some(x + i, n - i);
    most = score > most ? score : most;
  }
  return highest(most);
}

void exp_weights(const float* x, int64_t n, float shift, float scale, float* out) {
  int64_t i = 0;
  for (; i + kWide <= n; i += kWide)
    store(out + i, exp<kWide>((load<kWide>(x + i) - shift) * scale));
  if (i == n) return;
  const Wide weights = exp<kWide>((load_tail(x + i, n - i) - shift) * scale);
  std::memcpy(out + i, &weights, static_cast<size_t>(n - i) * sizeof(float));
}

double exp_sums(const float* x, int64_t n, float shift, float scale, double* sums) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kScoreBlock) {
    const int64_t end = begin + kScoreBlock < n ? begin + kScoreBlock : n;
    Wide partial = {};
    for (int64_t i = begin; i < end; i += kWide)
      partial += exp<kWide>((load_some(x + i, end - i) - shift) * scale);
    const double block = sum(partial);
    if (sums != nullptr) sums[begin / kScoreBlock] = block;
    total += block;
  }
  return total;
}

void mass_bins(const float* x, int64_t n, float top, float per_nat, float shift, double* bins) {
  for (int64_t b = 0; b < kMassBins; ++b) bins[b] = 0;
  for (int64_t i = 0; i < n; i += kWide) {
    const Wide score = load_some(x + i, n - i);
    const Wide weight = exp<kWide>(score - shift);
    const Wide place = (top - score) * per_nat;
    const Wide last = splat<kWide>(static_cast<float>(kMassBins - 1));
    const WideInt bin = __builtin_convertvector(place < last ? place : last, WideInt);
    for (int k = 0; k < kWide; ++k) bins[bin[k]] += weight[k];
  }
}

int64_t collect(const float* x, int64_t n, float threshold, int32_t* ids) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += kWide) {
    const int64_t end = i + kWide < n ? i + kWide : n;
    if (end - i == kWide) {
      const WideInt hits = load<kWide>(x + i) >= threshold;
      uint64_t words[kWide / 2], any = 0;
      std::memcpy(words, &hits, sizeof words);
      for (uint64_t word : words) any |= word;
      if (any == 0) continue;
    }
    for (int64_t j = i; j < end; ++j) {
      ids[count] = static_cast<int32_t>(j);
      count += x[j] >= threshold;
    }
  }
  return count;
}

}  // namespace

extern const SoftmaxKernel kSoftmaxKernel;
const SoftmaxKernel kSoftmaxKernel = {max_of, exp_weights, exp_sums, mass_bins, collect};

}  // namespace mica::kernels::MICA_ISA
