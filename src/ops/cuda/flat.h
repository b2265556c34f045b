// Functions of single elements over whole tensors. Limit: bytes, each element read and written
// once: 16-byte accesses, all of a thread's loads before its first use.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"

namespace mica::MICA_GPU {

// Tensors of one size. Index i < vectors is the i-th 16 bytes, a larger one a single element of the
// rest; all is rest where a tensor is not aligned.
template <typename T>
struct Flat {
  const T *x, *y;  // y: or null
  T* out;          // may be x or y
  int64_t size, vectors;

  static constexpr int kThreads = 128;
  static constexpr int kIndices = 2;  // of a thread

  Flat(const T* x, const T* y, T* out, int64_t size) : x(x), y(y), out(out), size(size) {
    const bool aligned = aligned16(x) && aligned16(y) && aligned16(out);
    vectors = aligned ? size / kPer16<T> : 0;
  }
  uint32_t blocks() const {
    const int64_t indices = vectors + size - vectors * kPer16<T>;
    const int64_t blocks = (indices + kThreads * kIndices - 1) / (kThreads * kIndices);
    MICA_CHECK(blocks < int64_t{1} << 31);
    return static_cast<uint32_t>(blocks);
  }
};

// out = function(x, y), called with f32 values; y is 0 where there is none.
template <typename T, typename Function>
MICA_DEVICE void apply(const Flat<T>& p, const Function& function) {
  constexpr int kIndices = Flat<T>::kIndices;
  const int64_t first =
      static_cast<int64_t>(block_index().x) * (Flat<T>::kThreads * kIndices) + thread_index().x;
  const int64_t rest = p.vectors * kPer16<T> - p.vectors;  // from an index to its element
  Bytes16 x[kIndices], y[kIndices];
  MICA_UNROLL
  for (int i = 0; i < kIndices; ++i) {
    const int64_t index = first + i * Flat<T>::kThreads;
    if (index >= p.vectors) continue;
    x[i] = load16(p.x + index * kPer16<T>);
    y[i] = p.y ? load16(p.y + index * kPer16<T>) : Bytes16{};
  }
  MICA_UNROLL
  for (int i = 0; i < kIndices; ++i) {
    const int64_t index = first + i * Flat<T>::kThreads;
    if (index < p.vectors) {
      float a[kPer16<T>], b[kPer16<T>];
      unpack16<T>(x[i], a);
      unpack16<T>(y[i], b);
      MICA_UNROLL
      for (int j = 0; j < kPer16<T>; ++j) a[j] = function(a[j], b[j]);
      store16(p.out + index * kPer16<T>, pack16<T>(a));
    } else if (index + rest < p.size) {
      const int64_t at = index + rest;
      p.out[at] = from_float<T>(function(to_float(p.x[at]), p.y ? to_float(p.y[at]) : 0.0f));
    }
  }
}

}  // namespace mica::MICA_GPU
