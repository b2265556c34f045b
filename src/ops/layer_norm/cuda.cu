#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/norm_row.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/vector.h"
#include "ops/layer_norm/layer_norm.h"

namespace mica::MICA_GPU {
namespace {

// Calls function(value) for what the thread has of the row after its first vector, as stored. Rows
// that long are rare, and unrolled loops would spill at 32 registers a thread.
template <typename T, typename Function>
MICA_DEVICE void for_rest(const NormRow<T>& row, int thread, int threads,
                          const Function& function) {
  MICA_ROLLED
  for (int vector = thread + threads; vector < row.vectors; vector += threads) {
    float values[kPer16<T>];
    unpack16<T>(load16(row.x + vector * kPer16<T>), values);
    for (int i = 0; i < kPer16<T>; ++i) function(values[i]);
  }
  MICA_ROLLED
  for (int i = row.vectors * kPer16<T> + thread; i < row.size; i += threads)
    function(to_float(row.x[i]));
}

struct Scaling {
  float mean, scale;
  const float* bias;  // or null
};

template <typename T>
MICA_DEVICE void store_vector(const NormRow<T>& row, const Scaling& s, int vector,
                              float (&values)[kPer16<T>]) {
  float weights[kPer16<T>], biases[kPer16<T>] = {};
  load_values(row.weight + vector * kPer16<T>, weights);
  if (s.bias) load_values(s.bias + vector * kPer16<T>, biases);
  for (int i = 0; i < kPer16<T>; ++i)
    values[i] = fmaf((values[i] - s.mean) * s.scale, weights[i], biases[i]);
  store16(row.out + vector * kPer16<T>, pack16<T>(values));
}

template <typename T>
MICA_DEVICE void store_rest(const NormRow<T>& row, const Scaling& s, int thread, int threads) {
  MICA_ROLLED
  for (int vector = thread + threads; vector < row.vectors; vector += threads) {
    float values[kPer16<T>];
    unpack16<T>(load16(row.x + vector * kPer16<T>), values);
    store_vector(row, s, vector, values);
  }
  for (int i = row.vectors * kPer16<T> + thread; i < row.size; i += threads)
    row.out[i] = from_float<T>(
        fmaf((to_float(row.x[i]) - s.mean) * s.scale, row.weight[i], s.bias ? s.bias[i] : 0.0f));
}

// One block a row; out may be x. Limit: the bytes of x and out; up to kMaxNormThreads vectors the
// row is read once and stays in registers between the three passes.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kMaxNormThreads) void layer_norm_kernel(const T* x,
                                                                       const float* weight,
                                                                       const float* bias, float eps,
                                                                       T* out, int size) {
  Shared shared;
  auto* scratch = shared.take<float>(2 * kWarpSize);
  NormRow<T> row = norm_row<T>(x, nullptr, weight, out, size);
  if (!aligned16(bias)) row.vectors = 0;
  const int thread = static_cast<int>(thread_index().x);
  const int threads = static_cast<int>(block_size().x);
  const auto count = static_cast<float>(size);
  const bool holds = thread < row.vectors;
  grid_dependency_wait();
  float held[kPer16<T>] = {};
  if (holds) unpack16<T>(load16(row.x + thread * kPer16<T>), held);
  float total = 0;
  for (int i = 0; i < kPer16<T>; ++i) total += held[i];
  for_rest(row, thread, threads, [&](float value) { total += value; });
  const float mean = block_sum(total, scratch) / count;
  float squares = 0;
  if (holds)
    for (int i = 0; i < kPer16<T>; ++i) squares = fmaf(held[i] - mean, held[i] - mean, squares);
  for_rest(row, thread, threads,
           [&](float value) { squares = fmaf(value - mean, value - mean, squares); });
  const float variance = block_sum(squares, scratch + kWarpSize) / count;
  const Scaling scaling = {mean, 1 / sqrtf(variance + eps), bias};
  if (holds) store_vector(row, scaling, thread, held);
  store_rest(row, scaling, thread, threads);
  grid_dependency_launch();
}

template <typename T>
void start(gpu::Stream& stream, const LayerNormParams& p) {
  const auto rows = static_cast<uint32_t>(p.x.shape[0]);
  const auto size = static_cast<int>(p.x.shape[1]);
  const auto threads = static_cast<uint32_t>(norm_threads<T>(size));
  launch(stream, {"layer_norm", {rows}, {threads}, shared_bytes<float>(2 * kWarpSize)},
         layer_norm_kernel<T>, p.x.as<T>(), p.weight.as<float>(), p.bias.as<float>(), p.eps,
         p.out.as<T>(), size);
}

}  // namespace

void layer_norm(Backend& backend, const LayerNormParams& p) {
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  MICA_CHECK(p.out.dtype == p.x.dtype && p.weight.dtype == DType::kF32);
  MICA_CHECK(p.out.shape == p.x.shape && p.weight.elements() == p.x.shape[1]);
  MICA_CHECK(p.bias.empty() || (p.bias.dtype == DType::kF32 && p.bias.shape == p.weight.shape));
  switch (p.x.dtype) {
    case DType::kF32: return start<float>(stream, p);
    case DType::kBF16: return start<bf16>(stream, p);
    case DType::kF16: return start<f16>(stream, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
