// Products with float weights: which kernel serves which targets, and x as that kernel takes it.
#include <vector>

#include "ops/linear/cuda_float.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 256;

// Copies rows of x to rows of whole pieces of 8, a piece a thread, with zeros beyond.
template <typename From, typename To>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pad_kernel(const From* x, To* to, int64_t pieces,
                                                         int columns) {
  const int64_t piece = static_cast<int64_t>(block_index().x) * kThreads + thread_index().x;
  if (piece >= pieces) return;
  const int per_row = (columns + 7) / 8;
  const int64_t row = piece / per_row;
  const int column = static_cast<int>(piece % per_row) * 8;
  grid_dependency_wait();
  const From* from = x + row * columns + column;
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = column + i < columns ? to_float(from[i]) : 0.0f;
  for (int i = 0; i < 8; i += kPer16<To>) {
    float part[kPer16<To>];
    for (int j = 0; j < kPer16<To>; ++j) part[j] = values[i + j];
    store16(to + piece * 8 + i, pack16<To>(part));
  }
  grid_dependency_launch();
}

bool whole_pieces(const Tensor& x) {
  return x.shape[1] % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

// x in one dtype with rows of whole 16 bytes: x itself or a copy in scratch memory.
class PaddedRows {
 public:
  PaddedRows(gpu::GpuBackend& backend, const Tensor& x) : backend_(backend), x_(x) {}

  const Bytes16* get(DType dtype) {
    if (x_.dtype == dtype && whole_pieces(x_)) return static_cast<const Bytes16*>(x_.data);
    if (copied_ != dtype || !copy_) make(dtype);
    return copy_;
  }

 private:
  template <typename From, typename To>
  void start() {
    const int64_t pieces = x_.shape[0] * ((x_.shape[1] + 7) / 8);
    launch(backend_.stream(),
           {"pad_rows", {static_cast<uint32_t>((pieces + kThreads - 1) / kThreads)}, {kThreads}},
           pad_kernel<From, To>, x_.as<From>(), reinterpret_cast<To*>(copy_), pieces,
           static_cast<int>(x_.shape[1]));
  }

  void make(DType dtype) {
    const int64_t columns = (x_.shape[1] + 7) / 8 * 8;
    // Products before, which read the last copy, are ahead in the stream.
    copy_ = reinterpret_cast<Bytes16*>(
        backend_.scratch(static_cast<size_t>(x_.shape[0] * columns) * size_of(dtype)));
    copied_ = dtype;
    if (x_.dtype == DType::kF32) return start<float, float>();
    if (x_.dtype == DType::kBF16)
      return dtype == DType::kF32 ? start<bf16, float>() : start<bf16, bf16>();
    return dtype == DType::kF32 ? start<f16, float>() : start<f16, f16>();
  }

  gpu::GpuBackend& backend_;
  const Tensor& x_;
  Bytes16* copy_ = nullptr;
  DType copied_ = DType::kF32;
};

bool same_format(const gpu::GpuLinear& a, const gpu::GpuLinear& b) {
  return a.scheme.mode == b.scheme.mode && a.dtype == b.dtype;
}

ProductTarget target_of(const LinearTarget& target) {
  const gpu::GpuLinear& w = gpu::as_gpu(target.weights);
  MICA_CHECK(is_float(target.out.dtype) && target.out.shape[-1] == w.rows);
  return {.codes = w.codes,
          .scales = w.scales,
          .bias = w.bias,
          .out = target.out.data,
          .expert_codes = w.expert_codes,
          .expert_scales = w.expert_scales,
          .rows = static_cast<int>(w.rows),
          .out_dtype = target.out.dtype,
          .add = target.add};
}

// Up to kMaxTargets of one format.
void multiply_few(gpu::GpuBackend& backend, const Tensor& x, PaddedRows& rows,
                  const gpu::Slots& slots, std::span<const LinearTarget> targets) {
  const gpu::GpuLinear& first = gpu::as_gpu(targets[0].weights);
  ProductArgs args;
  for (size_t i = 0; i < targets.size(); ++i) args.targets[i] = target_of(targets[i]);
  args.pieces = static_cast<int>((first.columns + 7) / 8);
  args.x_stride = static_cast<uint32_t>(args.pieces);
  MICA_CHECK(x.shape[0] * args.pieces < int64_t{kNoRow});
  args.rows = slots.rows;
  args.input = slots.input;
  args.output = slots.output;
  args.experts = slots.experts;
  for_format(first, [&]<typename W>(W) {
    args.panels = static_cast<int>(panels_of<W>(first.columns));
    if constexpr (!std::is_same_v<W, float>) {
      if (x.dtype == first.dtype) {
        args.x = rows.get(x.dtype);
        return start_mma<W>(backend, slots, args);
      }
    }
    args.x = rows.get(DType::kF32);
    start_fma<W>(backend, slots, args);
  });
}

}  // namespace

void multiply_float(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
                    std::span<const LinearTarget> targets) {
  MICA_CHECK(x.dtype == DType::kF32 || x.dtype == DType::kBF16 || x.dtype == DType::kF16);
  MICA_CHECK(slots.tile == 8 || slots.tile == 16 || slots.tile == 32 || slots.tile == 64);
  MICA_CHECK(slots.count % slots.tile == 0);
  if (slots.count == 0) return;
  PaddedRows rows(backend, x);
  std::vector<LinearTarget> left(targets.begin(), targets.end()), same, others;
  while (!left.empty()) {
    same.clear();
    others.clear();
    const gpu::GpuLinear& first = gpu::as_gpu(left[0].weights);
    for (const LinearTarget& target : left) {
      const gpu::GpuLinear& w = gpu::as_gpu(target.weights);
      MICA_CHECK(w.columns == x.shape[1]);
      (same_format(first, w) && same.size() < kMaxTargets ? same : others).push_back(target);
    }
    multiply_few(backend, x, rows, slots, same);
    left.swap(others);
  }
}

}  // namespace mica::MICA_GPU
