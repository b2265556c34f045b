// Logits as the sampling kernels see them: their order, weights and bins, and the chunk of a block.
#pragma once

#include <cmath>

#include "ops/cuda/vector.h"
#include "ops/sample/cuda_batch.h"
#include "ops/sample/cuda_block.h"

namespace mica::MICA_GPU::sampling {

// NaN counts as minus infinity; -0 equals 0.
MICA_DEVICE float clean(float logit) {
  if (!(logit == logit)) return as_float(0xff800000u);
  return logit == 0 ? 0.0f : logit;
}

// Bits that fall as the logit rises.
MICA_DEVICE uint32_t descending(float logit) {
  const uint32_t bits = as_bits(logit);
  return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}
MICA_DEVICE Order order_of(float logit, int id) {
  return Order{descending(logit)} << 32 | static_cast<uint32_t>(id);
}
MICA_DEVICE float logit_of(Order order) {
  const auto bits = static_cast<uint32_t>(order >> 32);
  return as_float(bits >> 31 ? bits : ~bits & 0x7fffffffu);
}
MICA_DEVICE int id_of(Order order) {
  return static_cast<int>(static_cast<uint32_t>(order));
}
// The last order of those that tie with this one, and the first.
MICA_DEVICE Order last_tie(Order order) {
  return order | 0xffffffffu;
}
MICA_DEVICE Order first_tie(Order order) {
  return order & ~Order{0xffffffffu};
}
MICA_DEVICE Order earlier(Order a, Order b) {
  return a < b ? a : b;
}
MICA_DEVICE Order later(Order a, Order b) {
  return a < b ? b : a;
}
// The last order of logits of at least `bound`, or above it.
MICA_DEVICE Order cut_at(double bound, bool strictly) {
  const float nearest = clean(static_cast<float>(bound));
  uint32_t bits = descending(nearest);
  if (nearest < bound || (strictly && nearest == bound)) --bits;
  return last_tie(Order{bits} << 32);
}

// Weights are fixed-point: kOne is 1. Sums of fewer than kMaxVocabulary fit 64 bits, exactly.
inline constexpr int kFraction = 45;
inline constexpr uint64_t kOne = uint64_t{1} << kFraction;

// `value` in [0, 1], rounded down.
MICA_DEVICE uint64_t fixed_point(float value) {
  constexpr int kUnit = 127 + 23 - kFraction;  // exponent of a float whose last bit counts 1
  const uint32_t bits = as_bits(value);
  const int shift = static_cast<int>(bits >> 23) - kUnit;
  const uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
  if (shift <= -24) return 0;
  return shift < 0 ? mantissa >> -shift : mantissa << shift;
}

// exp(logit - highest): probabilities before they are normalized.
MICA_DEVICE uint64_t mass_of(float logit, float highest) {
  return logit == highest ? kOne : fixed_point(expf(logit - highest));
}
// exp((logit - highest) / temperature).
MICA_DEVICE uint64_t weight_of(float logit, float highest, float temperature) {
  return logit == highest ? kOne : fixed_point(expf((logit - highest) / temperature));
}

// By distance from the highest logit, in nats: 64 bins each up to 24, from there 64 an octave, the
// last without end. A bin's logits all lie above the next one's. 1/64 nat holds some dozen logits
// where a cut is likely, and spreads the atomics of the bulk.
MICA_DEVICE int bin_of(float logit, float highest) {
  const float distance = logit == highest ? 0 : highest - logit;
  if (distance < 24) return static_cast<int>(distance * 64);
  const uint32_t bin = 24 * 64 + ((as_bits(distance) - as_bits(24.0f)) >> 17);
  return bin < kBins ? static_cast<int>(bin) : kBins - 1;
}

MICA_DEVICE TokenLogprob with_logprob(Order order, float highest, double log_sum) {
  const float logit = logit_of(order);
  const double distance = logit == highest ? 0 : static_cast<double>(logit) - highest;
  return {id_of(order), static_cast<float>(distance - log_sum)};
}

// The part of a row that a block works on, and this thread's place in it.
struct Chunk {
  int row, index;
  float* logits;  // of the row
  int begin, end;
  bool aligned;  // to 16 bytes

  MICA_DEVICE explicit Chunk(const Batch& batch)
      : row(static_cast<int>(block_index().x) / batch.chunks),
        index(static_cast<int>(block_index().x) % batch.chunks),
        logits(batch.logits + static_cast<int64_t>(row) * batch.vocabulary),
        begin(index * kChunk),
        end(batch.vocabulary < begin + kChunk ? batch.vocabulary : begin + kChunk),
        aligned(aligned16(logits)) {}

  // The id of this thread's element i: vectors of 4, side by side for neighbouring threads.
  MICA_DEVICE int id(int i) const {
    return begin + (i / 4 * thread_count() + thread_id()) * 4 + i % 4;
  }
  MICA_DEVICE void load(float (&values)[kPerThread]) const {
    if (aligned && begin + kPerThread * thread_count() <= end) {
      Bytes16 vectors[kPerThread / 4];  // all under way before the first is used
      MICA_UNROLL
      for (int i = 0; i < kPerThread; i += 4) vectors[i / 4] = load16(logits + id(i));
      MICA_UNROLL
      for (int i = 0; i < kPerThread; ++i) values[i] = as_float(vectors[i / 4].word[i % 4]);
    } else {
      MICA_UNROLL
      for (int i = 0; i < kPerThread; ++i) values[i] = id(i) < end ? logits[id(i)] : 0.0f;
    }
    MICA_UNROLL
    for (int i = 0; i < kPerThread; ++i) values[i] = clean(values[i]);
  }
  // visit(order, logit) for each element of the thread.
  template <typename Visit>
  MICA_DEVICE void for_each(const float (&values)[kPerThread], Visit&& visit) const {
    MICA_UNROLL
    for (int i = 0; i < kPerThread; ++i)
      if (id(i) < end) visit(order_of(values[i], id(i)), values[i]);
  }
};

// Whether a row needs histogram and refine: 0 for all filters, 1 for top_k after XTC.
MICA_DEVICE bool takes_part(const RowParams& params, const RowState& state, int search) {
  return search == 0 ? params.search != 0 : state.ranks_left > 0;
}

// This block's share of an empty histogram for the row.
MICA_DEVICE void clear_histogram(const Batch& batch, const Chunk& chunk) {
  Histogram& histogram = batch.histograms[chunk.row];
  for (int i = chunk.index * thread_count() + thread_id(); i < kBins;
       i += batch.chunks * thread_count()) {
    histogram.mass[i] = 0;
    histogram.count[i] = 0;
  }
}

inline LaunchConfig config(const char* name, const Batch& batch, size_t shared_bytes) {
  return {name,
          {static_cast<uint32_t>(batch.rows) * static_cast<uint32_t>(batch.chunks)},
          {static_cast<uint32_t>(batch.threads)},
          shared_bytes};
}

}  // namespace mica::MICA_GPU::sampling
