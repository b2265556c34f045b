#include <cmath>
#include <cstring>

#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"
#include "ops/kv_quantization.h"
#include "ops/rope_append/rope_append.h"

namespace mica::cpu {
namespace {

struct Angles {
  const float* cosines;
  const float* sines;
  int64_t pairs;
};

void norm_and_rotate(const kernels::RowKernel& kernel, const RopeAppendParams& p,
                     const Tensor& norm, const Angles& angles, int64_t size, float* head) {
  if (!norm.empty()) {
    const float mean = kernel.squares(head, size) / static_cast<float>(size);
    kernel.scale_by(head, 1 / std::sqrt(mean + p.eps), norm.as<float>(), size, head);
  }
  if (angles.pairs > 0)
    kernel.rotate(head, angles.cosines, angles.sines, angles.pairs, p.interleaved);
}

// quantize_vector, vectorised.
void quantize(const kernels::RowKernel& kernel, const KvScheme& scheme, const float* head,
              int64_t size, KvPlace to) {
  const size_t number = size_of(scheme.dtype);
  for (int64_t g = 0; g < scheme.groups(size); ++g) {
    const float* group = head + g * scheme.group;
    float lowest, highest;
    kernel.range(group, scheme.group, &lowest, &highest);
    const AffineStep step = affine_step(lowest, highest, scheme.bits, scheme.dtype);
    from_f32(&step.scale, 1, scheme.dtype, to.pairs);
    from_f32(&step.bias, 1, scheme.dtype, to.pairs + number);
    to.pairs += 2 * number;
    kernel.encode(group, scheme.group, 1 / step.scale, step.bias, scheme.bits,
                  reinterpret_cast<uint8_t*>(to.codes) + g * scheme.group * scheme.bits / 8);
  }
}

void store(const kernels::RowKernel& kernel, const Tensor& cache, const KvScheme& scheme,
           int64_t size, int32_t slot, int64_t kv_head, const float* head) {
  const int64_t heads = cache.shape[1], block_size = cache.shape[2];
  MICA_CHECK(slot >= 0 && slot < cache.shape[0] * block_size);
  if (scheme.bits > 0)
    return quantize(kernel, scheme, head, size,
                    kv_place(cache, scheme, size, slot / block_size, kv_head, slot % block_size));
  const int64_t row = (slot / block_size * heads + kv_head) * block_size + slot % block_size;
  auto* to = cache.as<std::byte>() + static_cast<size_t>(row * size) * size_of(cache.dtype);
  if (cache.dtype == DType::kBF16)
    kernel.to_bf16(head, size, reinterpret_cast<uint16_t*>(to));
  else
    from_f32(head, size, cache.dtype, to);
}

// All heads of one token; `scratch` holds the angles and one head.
void process_token(const kernels::RowKernel& kernel, const RopeAppendParams& p, int64_t t,
                   float* scratch) {
  const int64_t heads = p.q.shape[1], kv_heads = p.k.shape[1], size = p.q.shape[2];
  const int64_t pairs = p.pairs();
  const Angles angles{scratch, scratch + pairs, pairs};
  float* head = scratch + 2 * pairs;
  const auto position = static_cast<float>(p.positions.as<int32_t>()[t]);
  if (pairs > 0)
    kernel.angles(position, p.frequencies(t), pairs, p.magnitude, scratch, scratch + pairs);
  for (int64_t h = 0; h < heads; ++h)
    norm_and_rotate(kernel, p, p.q_norm, angles, size, p.q.as<float>() + (t * heads + h) * size);
  const int32_t slot = p.slots.as<int32_t>()[t];
  for (int64_t g = 0; g < kv_heads; ++g) {
    const int64_t row = (t * kv_heads + g) * size;
    std::memcpy(head, p.k.as<float>() + row, static_cast<size_t>(size) * sizeof(float));
    norm_and_rotate(kernel, p, p.k_norm, angles, size, head);
    store(kernel, p.cache.keys, p.cache.scheme, size, slot, g, head);
    store(kernel, p.cache.values, p.cache.scheme, size, slot, g, p.v.as<float>() + row);
  }
}

}  // namespace

void rope_append(Backend& backend, const RopeAppendParams& p) {
  const int64_t tokens = p.q.shape[0], heads = p.q.shape[1], kv_heads = p.k.shape[1];
  const int64_t size = p.q.shape[2];
  MICA_CHECK(p.q.dtype == DType::kF32 && p.k.dtype == DType::kF32 && p.v.dtype == DType::kF32);
  MICA_CHECK(p.k.shape == Shape({tokens, kv_heads, size}) && p.v.shape == p.k.shape);
  MICA_CHECK(2 * p.pairs() <= size);
  MICA_CHECK(p.cache.keys.shape[1] == kv_heads && p.cache.holds(size));
  const kernels::RowKernel& kernel = row_kernel(backend);
  ThreadPool& pool = cpu_threads(backend);
  const int64_t per_thread = (2 * size + 15) / 16 * 16;
  auto* scratch = static_cast<float*>(
      cpu_scratch(backend, static_cast<size_t>(per_thread * pool.size()) * sizeof(float)));
  const int64_t grain = 1 + 16384 / ((heads + 2 * kv_heads) * size + 1);
  pool.parallel_for(tokens, grain, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t t = begin; t < end; ++t)
      process_token(kernel, p, t, scratch + thread * per_thread);
  });
}

}  // namespace mica::cpu
