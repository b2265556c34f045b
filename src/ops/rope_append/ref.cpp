#include <cmath>
#include <vector>

#include "ops/kv_quantization.h"
#include "ops/ref/ref_ops.h"
#include "ops/rope_append/rope_append.h"

namespace mica::ref {
namespace {

// One head: normalised where `norm` is given, then rotated.
void norm_and_rotate(const RopeAppendParams& p, const Tensor& norm, int64_t token,
                     std::vector<double>& head) {
  const auto size = static_cast<double>(head.size());
  if (!norm.empty()) {
    double squares = 0;
    for (double value : head) squares += value * value;
    const double scale = 1 / std::sqrt(squares / size + p.eps);
    for (size_t i = 0; i < head.size(); ++i) head[i] *= scale * norm.as<float>()[i];
  }
  if (p.inverse_frequencies.empty()) return;
  const auto half = static_cast<size_t>(p.pairs());
  const float* frequencies = p.frequencies(token);
  const int32_t position = p.positions.as<int32_t>()[token];
  for (size_t i = 0; i < half; ++i) {
    // The angle is an f32 product, as in mlx; everything after it is exact.
    const double angle = static_cast<float>(position) * frequencies[i];
    const double cosine = std::cos(angle) * p.magnitude, sine = std::sin(angle) * p.magnitude;
    double& first = head[p.interleaved ? 2 * i : i];
    double& second = head[p.interleaved ? 2 * i + 1 : i + half];
    const double a = first, b = second;
    first = a * cosine - b * sine;
    second = a * sine + b * cosine;
  }
}

void store(const Tensor& cache, const KvScheme& scheme, int32_t slot, int64_t kv_head,
           const std::vector<double>& head) {
  const int64_t heads = cache.shape[1], block_size = cache.shape[2];
  const auto size = static_cast<int64_t>(head.size());
  MICA_CHECK(slot >= -1 && slot < cache.shape[0] * block_size);
  if (slot == -1) return;
  const std::vector<float> rounded(head.begin(), head.end());
  if (scheme.bits > 0)
    return quantize_vector(
        rounded.data(), size, scheme,
        kv_place(cache, scheme, size, slot / block_size, kv_head, slot % block_size));
  const int64_t row = (slot / block_size * heads + kv_head) * block_size + slot % block_size;
  from_f32(rounded.data(), size, cache.dtype,
           cache.as<std::byte>() + static_cast<size_t>(row * size) * size_of(cache.dtype));
}

}  // namespace

void rope_append(Backend&, const RopeAppendParams& p) {
  const int64_t tokens = p.q.shape[0], heads = p.q.shape[1], kv_heads = p.k.shape[1];
  const int64_t size = p.q.shape[2];
  MICA_CHECK(p.q.dtype == DType::kF32 && p.k.dtype == DType::kF32 && p.v.dtype == DType::kF32);
  MICA_CHECK(p.k.shape == Shape({tokens, kv_heads, size}) && p.v.shape == p.k.shape);
  MICA_CHECK(2 * p.pairs() <= size);
  MICA_CHECK(p.cache.keys.shape[1] == kv_heads && p.cache.holds(size));
  for (int64_t t = 0; t < tokens; ++t) {
    const int32_t slot = p.slots.as<int32_t>()[t];
    for (int64_t h = 0; h < heads; ++h) {
      float* q = p.q.as<float>() + (t * heads + h) * size;
      std::vector<double> head(q, q + size);
      norm_and_rotate(p, p.q_norm, t, head);
      for (int64_t i = 0; i < size; ++i) q[i] = static_cast<float>(head[static_cast<size_t>(i)]);
    }
    for (int64_t g = 0; g < kv_heads; ++g) {
      const float* k = p.k.as<float>() + (t * kv_heads + g) * size;
      const float* v = p.v.as<float>() + (t * kv_heads + g) * size;
      std::vector<double> head(k, k + size);
      norm_and_rotate(p, p.k_norm, t, head);
      store(p.cache.keys, p.cache.scheme, slot, g, head);
      store(p.cache.values, p.cache.scheme, slot, g, std::vector<double>(v, v + size));
    }
  }
}

}  // namespace mica::ref
