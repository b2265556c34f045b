#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"
#include "tensor/draw.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 256;

// Thread i makes 16 bytes of a tensor, or what is left of them. A word takes about 20 integer
// operations: of 8 bytes of codes or 4 of bf16 that is near what memory takes at the same time.
MICA_DEVICE int64_t vector_index() {
  return int64_t{block_index().x} * kThreads + thread_index().x;
}

uint32_t blocks_of(size_t bytes) {
  const size_t blocks = (bytes + 16 * kThreads - 1) / (16 * kThreads);
  MICA_CHECK(blocks < size_t{1} << 31);
  return static_cast<uint32_t>(blocks);
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void draw_bytes_kernel(std::byte* out, int64_t bytes,
                                                                uint64_t seed, uint64_t mask,
                                                                uint64_t fixed) {
  const int64_t vector = vector_index(), begin = 16 * vector;
  grid_dependency_wait();
  if (begin >= bytes) return;
  Bytes16 v;
  MICA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const uint64_t word = (random_word(seed, 2 * static_cast<uint64_t>(vector) + i) & mask) | fixed;
    v.word[2 * i] = static_cast<uint32_t>(word);
    v.word[2 * i + 1] = static_cast<uint32_t>(word >> 32);
  }
  if (begin + 16 <= bytes) {
    store16(out + begin, v);
    return;
  }
  MICA_UNROLL
  for (int i = 0; i < 16; ++i)
    if (begin + i < bytes)
      out[begin + i] = static_cast<std::byte>(v.word[i / 4] >> 8 * (i % 4) & 0xff);
}

// The values of one thread: 16 bytes of T from element `begin` on, or as many as there are.
template <typename T>
MICA_DEVICE void store_drawn(T* out, int64_t begin, int64_t size,
                             const float (&values)[kPer16<T>]) {
  if (begin + kPer16<T> <= size) {
    store16(out + begin, pack16<T>(values));
    return;
  }
  MICA_UNROLL
  for (int i = 0; i < kPer16<T>; ++i)
    if (begin + i < size) out[begin + i] = from_float<T>(values[i]);
}

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void draw_normal_kernel(T* out, int64_t size,
                                                                 uint64_t seed, float unit) {
  const int64_t begin = vector_index() * kPer16<T>;
  grid_dependency_wait();
  if (begin >= size) return;
  float values[kPer16<T>];
  MICA_UNROLL
  for (int i = 0; i < kPer16<T>; i += kNormalsPerWord) {
    const uint64_t word = random_word(seed, static_cast<uint64_t>(begin + i) / kNormalsPerWord);
    MICA_UNROLL
    for (int part = 0; part < kNormalsPerWord; ++part)
      values[i + part] = drawn_normal(word, part, unit);
  }
  store_drawn(out, begin, size, values);
}

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void draw_affine_kernel(T* scales, T* offsets,
                                                                 int64_t size, uint64_t seed,
                                                                 float mean, float middle) {
  const int64_t begin = vector_index() * kPer16<T>;
  grid_dependency_wait();
  if (begin >= size) return;
  float scale[kPer16<T>], offset[kPer16<T>];
  MICA_UNROLL
  for (int i = 0; i < kPer16<T>; ++i) {
    scale[i] = to_float(
        from_float<T>(drawn_scale(random_word(seed, static_cast<uint64_t>(begin + i)), mean)));
    offset[i] = -middle * scale[i];
  }
  store_drawn(scales, begin, size, scale);
  store_drawn(offsets, begin, size, offset);
}

template <typename T>
void draw_floats(gpu::Stream& stream, const Draw& d) {
  const int64_t size = d.out.elements();
  const uint32_t blocks = blocks_of(d.out.bytes());
  if (d.kind == DrawKind::kNormal)
    launch(stream, {"draw_normal", {blocks}, {kThreads}}, draw_normal_kernel<T>, d.out.as<T>(),
           size, d.seed, d.scale / kDeviationOfFourBytes);
  else
    launch(stream, {"draw_affine", {blocks}, {kThreads}}, draw_affine_kernel<T>, d.out.as<T>(),
           d.offsets.as<T>(), size, d.seed, d.scale, d.middle);
}

}  // namespace

void draw(Backend& backend, const Draw& d) {
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  MICA_CHECK(aligned16(d.out.data));
  if (d.kind == DrawKind::kBytes) {
    launch(stream, {"draw_bytes", {blocks_of(d.out.bytes())}, {kThreads}}, draw_bytes_kernel,
           d.out.as<std::byte>(), static_cast<int64_t>(d.out.bytes()), d.seed, d.mask, d.fixed);
    return;
  }
  MICA_CHECK(d.kind == DrawKind::kNormal ||
             (d.offsets.dtype == d.out.dtype && d.offsets.shape == d.out.shape &&
              aligned16(d.offsets.data)));
  switch (d.out.dtype) {
    case DType::kF32: return draw_floats<float>(stream, d);
    case DType::kBF16: return draw_floats<bf16>(stream, d);
    case DType::kF16: return draw_floats<f16>(stream, d);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
