#include <algorithm>
#include <cmath>

#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/vector.h"
#include "ops/rms_norm/rms_norm.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kMaxThreads = 1024;

// What one block works on: `vectors` of 16 bytes or, where rows are not aligned, single elements.
// Every thread meets the same elements in both passes, so `out` may be `x`.
template <typename T>
struct Row {
  const T* x;
  T* residual;  // or null
  const float* weight;
  T* out;
  int size;
  int vectors;  // size / kPer16<T> or 0
};

// The sum of x and residual as it is stored, or x.
template <typename T>
MICA_DEVICE float take_element(const Row<T>& row, int i) {
  if (!row.residual) return to_float(row.x[i]);
  const T sum = from_float<T>(to_float(row.residual[i]) + to_float(row.x[i]));
  row.residual[i] = sum;
  return to_float(sum);
}

template <typename T>
MICA_DEVICE Bytes16 take_vector(const Row<T>& row, int vector) {
  const Bytes16 x = load16(row.x + vector * kPer16<T>);
  if (!row.residual) return x;
  T* residual = row.residual + vector * kPer16<T>;
  float values[kPer16<T>], more[kPer16<T>];
  unpack16<T>(x, values);
  unpack16<T>(load16(residual), more);
  for (int i = 0; i < kPer16<T>; ++i) values[i] += more[i];
  const Bytes16 sum = pack16<T>(values);
  store16(residual, sum);
  return sum;
}

template <typename T>
MICA_DEVICE float squares_of(const Bytes16& vector) {
  float values[kPer16<T>], squares = 0;
  unpack16<T>(vector, values);
  for (int i = 0; i < kPer16<T>; ++i) squares += values[i] * values[i];
  return squares;
}

// The first vector of a thread, from its load to its store: the whole row up to kMaxThreads
// vectors.
template <typename T>
struct Held {
  Bytes16 values;
  float weights[kPer16<T>];
};

// Vectors of a thread after the first, or its elements.
template <typename T>
MICA_DEVICE float rest_of_squares(const Row<T>& row, int thread, int threads) {
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
MICA_DEVICE void store_scaled(const Row<T>& row, int vector, float scale, const Held<T>& held) {
  float values[kPer16<T>];
  unpack16<T>(held.values, values);
  for (int i = 0; i < kPer16<T>; ++i) values[i] *= scale * held.weights[i];
  store16(row.out + vector * kPer16<T>, pack16<T>(values));
}

template <typename T>
MICA_DEVICE void scale_rest(const Row<T>& row, float scale, int thread, int threads) {
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
MICA_KERNEL MICA_LAUNCH_BOUNDS(kMaxThreads) void rms_norm_kernel(const T* x, T* residual,
                                                                 const float* weight, float eps,
                                                                 T* out, int size) {
  Shared shared;
  auto* scratch = shared.take<float>(kWarpSize);
  const int64_t offset = static_cast<int64_t>(block_index().x) * size;
  Row<T> row = {x + offset, residual ? residual + offset : nullptr, weight, out + offset, size, 0};
  // All rows alike, or else a row's sum would depend on its place in the batch.
  if (size % kPer16<T> == 0 && aligned16(row.x) && aligned16(row.out) && aligned16(row.weight) &&
      aligned16(row.residual))
    row.vectors = size / kPer16<T>;
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
  // A warp at least, 16 bytes a thread up to the limit.
  const int warps = (size / kPer16<T> + kWarpSize - 1) / kWarpSize;
  const int threads = std::clamp(warps * kWarpSize, kWarpSize, kMaxThreads);
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
