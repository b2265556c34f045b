// add, gather_rows and softcap.

#include "ops/cuda/flat.h"
#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"

namespace mica::MICA_GPU {
namespace {

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(Flat<T>::kThreads) void add_kernel(const Flat<T> p) {
  grid_dependency_wait();
  apply(p, [](float x, float y) { return x + y; });
  grid_dependency_launch();
}

template <typename T>
void start_add(gpu::Stream& stream, const Tensor& x, const Tensor& y) {
  const Flat<T> flat(x.as<T>(), y.as<T>(), x.as<T>(), x.elements());
  launch(stream, {"add", {flat.blocks()}, {Flat<T>::kThreads}}, add_kernel<T>, flat);
}

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(Flat<T>::kThreads) void softcap_kernel(const Flat<T> p, float cap) {
  grid_dependency_wait();
  apply(p, [&](float x, float) { return cap * tanhf(x / cap); });
  grid_dependency_launch();
}

template <typename T>
void start_softcap(gpu::Stream& stream, const Tensor& x, float cap) {
  const Flat<T> flat(x.as<T>(), nullptr, x.as<T>(), x.elements());
  launch(stream, {"softcap", {flat.blocks()}, {Flat<T>::kThreads}}, softcap_kernel<T>, flat, cap);
}

constexpr int kCopyThreads = 128;
constexpr int kCopyUnits = 4;  // of a thread

// Rows as units of 16 bytes, or of single elements where rows are not aligned. Block b copies piece
// b % pieces of row b / pieces. Limit: bytes; at decode, one load behind another.
template <typename Unit>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kCopyThreads) void gather_rows_kernel(const Unit* x,
                                                                     const int32_t* rows, Unit* out,
                                                                     int units, uint32_t pieces) {
  const uint32_t row = block_index().x / pieces, piece = block_index().x % pieces;
  const int first =
      static_cast<int>(piece) * (kCopyThreads * kCopyUnits) + static_cast<int>(thread_index().x);
  grid_dependency_wait();
  const Unit* from = x + static_cast<int64_t>(rows[row]) * units;
  Unit* to = out + static_cast<int64_t>(row) * units;
  Unit copied[kCopyUnits];
  MICA_UNROLL
  for (int i = 0; i < kCopyUnits; ++i)
    if (const int unit = first + i * kCopyThreads; unit < units) copied[i] = from[unit];
  MICA_UNROLL
  for (int i = 0; i < kCopyUnits; ++i)
    if (const int unit = first + i * kCopyThreads; unit < units) to[unit] = copied[i];
  grid_dependency_launch();
}

template <typename Unit>
void start_gather(gpu::Stream& stream, const Tensor& x, const Tensor& rows, const Tensor& out) {
  const size_t row_bytes = static_cast<size_t>(x.shape[1]) * size_of(x.dtype);
  const auto units = static_cast<int>(row_bytes / sizeof(Unit));
  const int pieces = (units + kCopyThreads * kCopyUnits - 1) / (kCopyThreads * kCopyUnits);
  const int64_t blocks = rows.elements() * pieces;
  MICA_CHECK(blocks < int64_t{1} << 31);
  launch(stream, {"gather_rows", {static_cast<uint32_t>(blocks)}, {kCopyThreads}},
         gather_rows_kernel<Unit>, x.as<Unit>(), rows.as<int32_t>(), out.as<Unit>(), units,
         static_cast<uint32_t>(pieces));
}

}  // namespace

void add(Backend& backend, const Tensor& x, const Tensor& y) {
  MICA_CHECK(x.dtype == y.dtype && x.shape == y.shape);
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  switch (x.dtype) {
    case DType::kF32: return start_add<float>(stream, x, y);
    case DType::kBF16: return start_add<bf16>(stream, x, y);
    case DType::kF16: return start_add<f16>(stream, x, y);
    default: MICA_CHECK(false);
  }
}

void softcap(Backend& backend, const Tensor& x, float cap) {
  MICA_CHECK(cap > 0);
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  switch (x.dtype) {
    case DType::kF32: return start_softcap<float>(stream, x, cap);
    case DType::kBF16: return start_softcap<bf16>(stream, x, cap);
    case DType::kF16: return start_softcap<f16>(stream, x, cap);
    default: MICA_CHECK(false);
  }
}

void gather_rows(Backend& backend, const Tensor& x, const Tensor& rows, const Tensor& out) {
  MICA_CHECK(rows.dtype == DType::kI32 && is_float(x.dtype) && out.dtype == x.dtype);
  MICA_CHECK(out.shape == Shape({rows.elements(), x.shape[1]}));
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  const size_t element = size_of(x.dtype);
  const bool whole = static_cast<size_t>(x.shape[1]) * element % 16 == 0;
  if (whole && aligned16(x.data) && aligned16(out.data))
    start_gather<Bytes16>(stream, x, rows, out);
  else if (element == 4)
    start_gather<uint32_t>(stream, x, rows, out);
  else
    start_gather<uint16_t>(stream, x, rows, out);
}

}  // namespace mica::MICA_GPU
