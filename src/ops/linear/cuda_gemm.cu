// Products of many rows by the vendor's matrix product: weights are expanded to the activations'
// dtype in scratch memory, some rows at a time.
#include <algorithm>

#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"
#include "ops/linear/cuda_linear.h"

namespace mica::MICA_GPU {
namespace {

// From this many rows of x on. Expanding moves about 6 bytes a weight (the packed ones read, 2
// written, 2 read again): 1.8 ps at 3.35 TB/s, 3.4 ps at 1.79 TB/s. Saved is the difference between
// the rates of arithmetic, say 110 TFLOP/s of the products above 64 rows (their limit is L2) and
// 400 of the vendor's: 2 M / 110 - 2 M / 400 = 0.013 M ps. Even at M = 140 and 260.
constexpr int64_t kGemmRows = 256;

constexpr int kThreads = 256;

// out[m, n] += bias[n], 16 bytes a thread.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void add_bias_kernel(T* out, const float* bias,
                                                              int64_t vectors, int rows) {
  const int64_t vector = static_cast<int64_t>(block_index().x) * kThreads + thread_index().x;
  if (vector >= vectors) return;
  const int per_row = (rows + kPer16<T> - 1) / kPer16<T>;
  const int row = static_cast<int>(vector % per_row) * kPer16<T>;
  T* to = out + vector / per_row * rows + row;
  bias += row;
  grid_dependency_wait();
  if (row + kPer16<T> <= rows && aligned16(to)) {
    float values[kPer16<T>];
    unpack16<T>(load16(to), values);
    for (int i = 0; i < kPer16<T>; ++i) values[i] += bias[i];
    store16(to, pack16<T>(values));
  } else {
    for (int i = 0; i < kPer16<T>; ++i)
      if (row + i < rows) to[i] = from_float<T>(to_float(to[i]) + bias[i]);
  }
  grid_dependency_launch();
}

template <typename T>
void start_bias(gpu::Stream& stream, const Tensor& out, const float* bias) {
  const int64_t rows = out.shape[1];
  const int64_t vectors = out.shape[0] * ((rows + kPer16<T> - 1) / kPer16<T>);
  launch(stream,
         {"add_bias", {static_cast<uint32_t>((vectors + kThreads - 1) / kThreads)}, {kThreads}},
         add_bias_kernel<T>, out.as<T>(), bias, vectors, static_cast<int>(rows));
}

void add_bias(gpu::Stream& stream, const Tensor& out, const float* bias) {
  switch (out.dtype) {
    case DType::kF32: return start_bias<float>(stream, out, bias);
    case DType::kBF16: return start_bias<bf16>(stream, out, bias);
    case DType::kF16: return start_bias<f16>(stream, out, bias);
    default: MICA_CHECK(false);
  }
}

// The dtype that holds the weights as well as the checkpoint does.
DType expanded_dtype(const gpu::GpuLinear& w) {
  const bool floats = w.scheme.mode == QuantMode::kNone || w.scheme.mode == QuantMode::kAffine;
  return floats ? w.dtype : DType::kBF16;
}

void multiply_by_gemm(gpu::GpuBackend& backend, const Tensor& x, const LinearTarget& target,
                      size_t scratch_bytes) {
  const gpu::GpuLinear& w = gpu::as_gpu(target.weights);
  const size_t row_bytes = static_cast<size_t>(w.columns) * size_of(x.dtype);
  // Whole tiles of rows, of which the expansion shares what it reads.
  const auto fit = std::max<int64_t>(static_cast<int64_t>(scratch_bytes / row_bytes) / 16 * 16, 16);
  const int64_t step = std::min(fit, w.rows);
  std::byte* rows = backend.scratch(static_cast<size_t>(step) * row_bytes);
  for (int64_t first = 0; first < w.rows; first += step) {
    const int64_t count = std::min(step, w.rows - first);
    expand(backend, {.weights = &w,
                     .first = first,
                     .count = count,
                     .out = {rows, x.dtype, {count, w.columns}}});
    backend.gemm().run(
        backend.stream(),
        {.a = x.data,
         .b = rows,
         .c = target.out.as<std::byte>() + static_cast<size_t>(first) * size_of(target.out.dtype),
         .in = x.dtype,
         .out = target.out.dtype,
         .m = x.shape[0],
         .n = count,
         .k = w.columns,
         .c_stride = w.rows,
         .add = target.add});
  }
  if (w.bias) add_bias(backend.stream(), target.out, w.bias);
}

}  // namespace

bool serve_by_gemm(gpu::GpuBackend& backend, const Tensor& x, std::span<const LinearTarget> targets,
                   size_t scratch_bytes) {
  if (backend.deterministic() || x.shape[0] < kGemmRows) return false;
  if (x.dtype != DType::kBF16 && x.dtype != DType::kF16) return false;
  for (const LinearTarget& target : targets)
    if (expanded_dtype(gpu::as_gpu(target.weights)) != x.dtype) return false;
  for (const LinearTarget& target : targets) multiply_by_gemm(backend, x, target, scratch_bytes);
  return true;
}

}  // namespace mica::MICA_GPU
