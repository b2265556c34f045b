#include <cmath>

#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/norm_row.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/vector.h"
#include "ops/rms_norm/rms_norm.h"

namespace mica::MICA_GPU {
namespace {

template <typename T>
MICA_DEVICE float squares_of(const Bytes16& vector) {
  float values[kPer16<T>], squares = 0;
  unpack16<T>(vector, values);
  for (int i = 0; i < kPer16<T>; ++i) squares += values[i] * values[i];
  return squares;
}

// The first vector of a thread, from its load to its store: the whole row up to kMaxNormThreads
// vectors.
template <typename T>
struct Held {
  Bytes16 values;
  float weights[kPer16<T>];
};

// Vectors of a thread after the first, or its elements.
template <typename T>
MICA_DEVICE float rest_of_squares(const NormRow<T>& row, int thread, int threads) {
  float squares = 0;
  for (int vector = thread + threads; vector < row.vectors; vector += threads)
    squares += squares_of<T>(take_vector(row, vector));
  for (int i = row.vectors * kPer16<T> + thread; i < row.size; i += threads) {
    const float value = take_element(row, i);
    squares += value * value;
  }
  return squares;
}

template <typename T>
MICA_DEVICE void store_scaled(const NormRow<T>& row, int vector, float scale, const Held<T>& held) {
  float values[kPer16<T>];
  unpack16<T>(held.values, values);
  for (int i = 0; i < kPer16<T>; ++i) values[i] *= scale * held.weights[i];
  store16(row.out + vector * kPer16<T>, pack16<T>(values));
}

template <typename T>
MICA_DEVICE void scale_rest(const NormRow<T>& row, float scale, int thread, int threads) {
  const T* in = row.residual ? row.residual : row.x;
  for (int vector = thread + threads; vector < row.vectors; vector += threads) {
    Held<T> held;
    held.values = load16(in + vector * kPer16<T>);
    load_values(row.weight + vector * kPer16<T>, held.weights);
    store_scaled(row, vector, scale, held);
  }
  for (int i = row.vectors * kPer16<T> + thread; i < row.size; i += threads)
    row.out[i] = from_float<T>(to_float(in[i]) * (scale * row.weight[i]));
}

// One block a row. x and out may be the same.
// Limit: with many rows the bytes of x, residual and out. At decode a row is one block, which one
// multiprocessor feeds: latency of a load, of the sum and of a store. So a row of 4096 is read in
// one go by 512 threads, x and residual and, as half of the bytes, the f32 weights, and read once.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kMaxNormThreads) void rms_norm_kernel(const T* x, T* residual,
                                                                     const float* weight, float eps,
                                                                     T* out, int size) {
  Shared shared;
  auto* scratch = shared.take<float>(kWarpSize);
  const NormRow<T> row = norm_row(x, residual, weight, out, size);
  const int thread = static_cast<int>(thread_index().x);
  const int threads = static_cast<int>(block_size().x);
  Held<T> held = {};
  // No kernel writes weights: they come while the one before still runs.
  if (thread < row.vectors) load_values(row.weight + thread * kPer16<T>, held.weights);
  grid_dependency_wait();
  float squares = 0;
  if (thread < row.vectors) {
    held.values = take_vector(row, thread);
    squares = squares_of<T>(held.values);
  }
  squares = block_sum(squares + rest_of_squares(row, thread, threads), scratch);
  const float scale = 1 / sqrtf(squares / static_cast<float>(size) + eps);
  if (thread < row.vectors) store_scaled(row, thread, scale, held);
  scale_rest(row, scale, thread, threads);
  grid_dependency_launch();
}

template <typename T>
void start(gpu::Stream& stream, const RmsNormParams& p) {
  const auto rows = static_cast<uint32_t>(p.x.shape[0]);
  const auto size = static_cast<int>(p.x.shape[1]);
  const int threads = norm_threads<T>(size);
  launch(stream,
         {"rms_norm", {rows}, {static_cast<uint32_t>(threads)}, shared_bytes<float>(kWarpSize)},
         rms_norm_kernel<T>, p.x.as<T>(), p.residual.as<T>(), p.weight.as<float>(), p.eps,
         p.out.as<T>(), size);
}

}  // namespace

void rms_norm(Backend& backend, const RmsNormParams& p) {
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  MICA_CHECK(p.out.dtype == p.x.dtype && p.weight.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == p.x.shape && p.weight.elements() == p.x.shape[1]);
  MICA_CHECK(p.residual.empty() ||
             (p.residual.shape == p.x.shape && p.residual.dtype == p.x.dtype));
  switch (p.x.dtype) {
    case DType::kF32: return start<float>(stream, p);
    case DType::kBF16: return start<bf16>(stream, p);
    case DType::kF16: return start<f16>(stream, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
