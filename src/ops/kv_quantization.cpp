#include "ops/kv_quantization.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mica {
namespace {

constexpr std::array kGroups = {128, 64, 32, 16};

int group_of(int64_t head_dim, int asked) {
  for (int group : kGroups)
    if (group <= asked && head_dim % group == 0) return group;
  throw Error(ErrorKind::kUsage,
              "--kv-bits: keys and values of {} elements can't be quantized: groups of 16, 32, 64 "
              "or 128 elements share a scale and none of them divides {}; leave --kv-bits out",
              head_dim, head_dim);
}

float rounded(float value, DType dtype) {
  std::array<std::byte, sizeof(float)> bytes;
  from_f32(&value, 1, dtype, bytes.data());
  to_f32(bytes.data(), dtype, 1, &value);
  return value;
}

size_t pair_offset(int64_t group, DType dtype) {
  return 2 * static_cast<size_t>(group) * size_of(dtype);
}

}  // namespace

std::vector<CacheSpec> with_quantization(std::vector<CacheSpec> specs,
                                         const KvQuantOptions& options) {
  if (options.bits == 0) return specs;
  if (options.bits != 8 && options.bits != 4)
    throw Error(ErrorKind::kUsage, "--kv-bits is {}, expected 8 or 4", options.bits);
  if (options.group != 128 && options.group != 64 && options.group != 32)
    throw Error(ErrorKind::kUsage, "--kv-group-size is {}, expected 32, 64 or 128", options.group);
  for (CacheSpec& spec : specs) {
    if (spec.kind != CacheSpec::Kind::kPaged) continue;
    spec.scheme = {
        .bits = options.bits, .group = group_of(spec.head_dim, options.group), .dtype = spec.dtype};
  }
  return specs;
}

AffineStep affine_step(float lowest, float highest, int bits, DType dtype) {
  constexpr float kSmallest = 1e-7f;  // for groups of one value
  const auto last = static_cast<float>((1 << bits) - 1);
  const bool low = std::abs(lowest) > std::abs(highest);
  const float edge = low ? lowest : highest;
  float scale = std::max((highest - lowest) / last, kSmallest);
  if (!low) scale = -scale;
  const float steps = std::nearbyint(edge / scale);  // from 0 to the edge
  if (steps == 0) return {rounded(scale, dtype), 0};
  return {rounded(edge / steps, dtype), rounded(edge, dtype)};
}

KvPlace kv_place(const Tensor& cache, const KvScheme& scheme, int64_t size, int64_t block,
                 int64_t kv_head, int64_t offset) {
  const int64_t kv_heads = cache.shape[1], block_size = cache.shape[2];
  const int64_t piece = (block * kv_heads + kv_head) * block_size * scheme.vector_bytes(size);
  auto* begin = cache.as<std::byte>() + piece;
  return {begin + offset * scheme.code_bytes(size),
          begin + block_size * scheme.code_bytes(size) + offset * scheme.pair_bytes(size)};
}

void quantize_vector(const float* x, int64_t size, const KvScheme& scheme, KvPlace to) {
  const auto last = static_cast<float>((1 << scheme.bits) - 1);
  std::fill_n(to.codes, size * scheme.bits / 8, std::byte{0});
  for (int64_t g = 0; g < scheme.groups(size); ++g) {
    const float* group = x + g * scheme.group;
    const auto [lowest, highest] = std::minmax_element(group, group + scheme.group);
    const AffineStep step = affine_step(*lowest, *highest, scheme.bits, scheme.dtype);
    from_f32(&step.scale, 1, scheme.dtype, to.pairs + pair_offset(g, scheme.dtype));
    from_f32(&step.bias, 1, scheme.dtype,
             to.pairs + pair_offset(g, scheme.dtype) + size_of(scheme.dtype));
    const float inverse = 1 / step.scale;
    for (int64_t i = 0; i < scheme.group; ++i) {
      const float place = (group[i] - step.bias) * inverse;
      const float code = std::nearbyint(std::min(std::max(0.0f, place), last));
      const int64_t bit = (g * scheme.group + i) * scheme.bits;
      to.codes[bit / 8] |= static_cast<std::byte>(static_cast<int>(code) << bit % 8);
    }
  }
}

void dequantize_vector(KvPlace from, int64_t size, const KvScheme& scheme, float* out) {
  for (int64_t i = 0; i < size; ++i) {
    float step[2];
    to_f32(from.pairs + pair_offset(i / scheme.group, scheme.dtype), scheme.dtype, 2, step);
    const int64_t bit = i * scheme.bits;
    const int code =
        std::to_integer<int>(from.codes[bit / 8]) >> bit % 8 & ((1 << scheme.bits) - 1);
    out[i] = std::fma(static_cast<float>(code), step[0], step[1]);
  }
}

}  // namespace mica
