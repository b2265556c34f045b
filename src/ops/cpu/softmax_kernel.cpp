#include "ops/cpu/softmax_kernel.h"

#include "ops/cpu/vec.h"

namespace mica::kernels::MICA_ISA {
namespace {

constexpr int64_t kW = kLanes;
constexpr int64_t kSumLanes = 16;  // sums kept apart, whatever the instruction set
using I = Vec<kLanes>::I;
constexpr float kMinusInfinity = -__builtin_inff();
static_assert(kSumLanes % kLanes == 0 && kScoreBlock % kSumLanes == 0);

// x[0, n), the rest -inf.
MICA_VEC F load_some(const float* x, int64_t n) {
  if (n >= kW) return load(x);
  float padded[kW];
  for (int64_t i = 0; i < kW; ++i) padded[i] = i < n ? x[i] : kMinusInfinity;
  return load(padded);
}

float max_of(const float* x, int64_t n) {
  F most[4];
  for (F& lanes : most) lanes = splat(kMinusInfinity);
  int64_t i = 0;
  for (; i + 4 * kW <= n; i += 4 * kW)
    for (int64_t k = 0; k < 4; ++k) {
      const F score = load(x + i + k * kW);
      most[k] = score > most[k] ? score : most[k];
    }
  for (; i < n; i += kW) {
    const F score = load_some(x + i, n - i);
    most[0] = score > most[0] ? score : most[0];
  }
  return highest(larger(larger(most[0], most[1]), larger(most[2], most[3])));
}

void exp_weights(const float* x, int64_t n, float shift, float scale, float* out) {
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store(out + i, exp((load(x + i) - shift) * scale));
  if (i == n) return;
  const F weights = exp((load_some(x + i, n - i) - shift) * scale);
  std::memcpy(out + i, &weights, static_cast<size_t>(n - i) * sizeof(float));
}

// Sum of kSumLanes sums by halves.
MICA_VEC float sum_of_lanes(const F* partial) {
  float lanes[kSumLanes];
  std::memcpy(lanes, partial, sizeof lanes);
  for (int64_t half = kSumLanes / 2; half > 0; half /= 2)
    for (int64_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}

double exp_sums(const float* x, int64_t n, float shift, float scale, double* sums) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kScoreBlock) {
    const int64_t end = begin + kScoreBlock < n ? begin + kScoreBlock : n;
    F partial[kSumLanes / kW] = {};
    int64_t i = begin;
    for (; i + kSumLanes <= end; i += kSumLanes)
      for (int64_t k = 0; k < kSumLanes / kW; ++k)
        partial[k] += exp((load(x + i + k * kW) - shift) * scale);
    for (int64_t k = 0; i < end; ++k, i += kW)
      partial[k] += exp((load_some(x + i, end - i) - shift) * scale);
    const double block = sum_of_lanes(partial);
    if (sums != nullptr) sums[begin / kScoreBlock] = block;
    total += block;
  }
  return total;
}

void mass_bins(const float* x, int64_t n, float top, float per_nat, float shift, double* bins) {
  for (int64_t b = 0; b < kMassBins; ++b) bins[b] = 0;
  const F last = splat(static_cast<float>(kMassBins - 1));
  for (int64_t i = 0; i < n; i += kW) {
    const F score = load_some(x + i, n - i);
    const F weight = exp(score - shift);
    const F place = (top - score) * per_nat;
    const I bin = __builtin_convertvector(place < last ? place : last, I);
    for (int k = 0; k < kLanes; ++k) bins[bin[k]] += weight[k];
  }
}

int64_t collect(const float* x, int64_t n, float threshold, int32_t* ids) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t end = i + kW < n ? i + kW : n;
    if (end - i == kW) {
      const I hits = load(x + i) >= threshold;
      uint64_t words[kW / 2], any = 0;
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
