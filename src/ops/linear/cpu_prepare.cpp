#include <algorithm>

#include "base/error.h"
#include "ops/linear/cpu_prepared.h"

namespace mica {
namespace {

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

[[noreturn]] void refuse(const LinearWeights& w, const std::string& what) {
  throw Error(ErrorKind::kCheckpoint, "[cpu] {}: {} (scheme {}, {} x {})", w.name, what,
              to_string(w.scheme), w.rows, w.columns);
}

ScaleType float_scale_type(const LinearWeights& w) {
  switch (w.scales.dtype) {
    case DType::kF32: return ScaleType::kF32;
    case DType::kF16: return ScaleType::kF16;
    case DType::kBF16: return ScaleType::kBF16;
    default: refuse(w, fmt::format("scales of dtype {}", name(w.scales.dtype)));
  }
}

// Sets layout and scale type, and returns the bits of a weight.
int choose_dense(const LinearWeights& w, BlockLayout& layout) {
  switch (w.weight.dtype) {
    case DType::kF32: layout.layout = CpuLayout::kF32; return 32;
    case DType::kF16: layout.layout = CpuLayout::kF16; return 16;
    case DType::kBF16: layout.layout = CpuLayout::kBF16; return 16;
    default: refuse(w, fmt::format("weights of dtype {}", name(w.weight.dtype)));
  }
}

int choose_affine(const LinearWeights& w, BlockLayout& layout) {
  layout.scale_type = float_scale_type(w);
  // f32 scales: a checkpoint that wants f32 results. Activations of 16 bits would be the largest
  // error there (2e-5), so these few take the f32 kernels.
  layout.integer = layout.scale_type != ScaleType::kF32;
  switch (w.scheme.bits) {
    case 2: layout.layout = CpuLayout::kQ2; break;
    case 3: layout.layout = CpuLayout::kQ3; break;
    case 4: layout.layout = CpuLayout::kQ4; break;
    case 5: layout.layout = CpuLayout::kQ5; break;
    case 6: layout.layout = CpuLayout::kQ6; break;
    case 8: layout.layout = CpuLayout::kQ8; break;
    default: refuse(w, "affine weights have 2, 3, 4, 5, 6 or 8 bits");
  }
  if (w.scheme.group != 32 && w.scheme.group != 64 && w.scheme.group != 128)
    refuse(w, "affine groups are of 32, 64 or 128");
  return w.scheme.bits;
}

int choose(const LinearWeights& w, BlockLayout& layout) {
  switch (w.scheme.mode) {
    case QuantMode::kNone: return choose_dense(w, layout);
    case QuantMode::kAffine: return choose_affine(w, layout);
    case QuantMode::kMxfp8:
      layout.layout = CpuLayout::kFp8;
      layout.scale_type = ScaleType::kE8M0;
      if (w.scheme.group != 32) refuse(w, "mxfp8 groups are of 32");
      return 8;
    case QuantMode::kMxfp4:
      layout.layout = CpuLayout::kFp4;
      layout.scale_type = ScaleType::kE8M0;
      layout.integer = true;
      if (w.scheme.group != 32) refuse(w, "mxfp4 groups are of 32");
      return 4;
    case QuantMode::kNvfp4:
      layout.layout = CpuLayout::kFp4;
      layout.scale_type = ScaleType::kE4M3;
      layout.integer = true;
      if (w.scheme.group != 16) refuse(w, "nvfp4 groups are of 16");
      return 4;
  }
  refuse(w, "unknown scheme");
}

void check_sizes(const LinearWeights& w, int bits) {
  if (w.experts < 1 || w.rows < 1 || w.columns < 1) refuse(w, "empty weights");
  const int64_t rows = w.experts * w.rows;
  const auto expect = [&](const char* what, const Tensor& tensor, int64_t elements) {
    if (tensor.elements() != elements)
      refuse(w,
             fmt::format("{}: expected {} elements, found {}", what, elements, tensor.elements()));
  };
  if (!w.bias.empty()) expect("bias", w.bias, rows);
  if (w.scheme.mode == QuantMode::kNone) return expect("weight", w.weight, rows * w.columns);
  if (w.columns % w.scheme.group != 0 || w.columns * bits % 32 != 0)
    refuse(w, "columns are no multiple of the group");
  if (w.weight.bytes() != static_cast<size_t>(rows * w.columns * bits / 8))
    refuse(w, fmt::format("weight: expected {} bytes, found {}", rows * w.columns * bits / 8,
                          w.weight.bytes()));
  expect("scales", w.scales, rows * w.columns / w.scheme.group);
  if (w.scheme.mode != QuantMode::kAffine) return;
  expect("biases", w.biases, rows * w.columns / w.scheme.group);
  if (w.biases.dtype != w.scales.dtype) refuse(w, "scales and biases differ in dtype");
}

BlockLayout make_layout(const LinearWeights& w) {
  BlockLayout layout;
  const int bits = choose(w, layout);
  check_sizes(w, bits);
  layout.group = w.scheme.group;
  layout.columns = round_up(w.columns, 2);
  layout.bits = bits;
  layout.offsets = w.scheme.mode == QuantMode::kAffine;
  int64_t last = 0;
  if (layout.group != 0) {
    layout.panel_bytes =
        static_cast<size_t>(kPanelColumns * bits * kBlockRows / 8 +
                            kPanelColumns / layout.group * kBlockRows *
                                scale_bytes(layout.scale_type) * (layout.offsets ? 2 : 1));
    last = (layout.columns - 1) / kPanelColumns;
  }
  layout.block_bytes =
      static_cast<size_t>(round_up(static_cast<int64_t>(place_panel(layout, last).end), 64));
  return layout;
}

Buffer copy_bias(const LinearWeights& w, int64_t blocks) {
  const int64_t padded = blocks * kBlockRows;
  Buffer bias = allocate_host(static_cast<size_t>(w.experts * padded) * sizeof(float));
  const auto* from = static_cast<const std::byte*>(w.bias.data);
  for (int64_t e = 0; e < w.experts; ++e)
    to_f32(from + static_cast<size_t>(e * w.rows) * size_of(w.bias.dtype), w.bias.dtype, w.rows,
           static_cast<float*>(bias.data()) + e * padded);
  return bias;
}

}  // namespace

std::unique_ptr<PreparedLinear> prepare_cpu(const LinearWeights& w, ThreadPool& threads) {
  MICA_CHECK(!w.on_device);
  auto linear = std::make_unique<CpuLinear>();
  linear->experts = w.experts;
  linear->rows = w.rows;
  linear->columns = w.columns;
  linear->scheme = w.scheme;
  linear->layout = make_layout(w);
  linear->blocks = round_up(w.rows, kBlockRows) / kBlockRows;
  linear->weight_bytes = static_cast<size_t>(linear->blocks) * linear->layout.block_bytes;
  linear->memory = allocate_host(static_cast<size_t>(w.experts) * linear->weight_bytes);
  if (!w.bias.empty()) linear->bias = copy_bias(w, linear->blocks);
  linear->bytes = linear->memory.size() + linear->bias.size();

  const int64_t total = w.experts * linear->blocks;
  const int64_t grain =
      std::max<int64_t>(1, (int64_t{1} << 20) / static_cast<int64_t>(linear->layout.block_bytes));
  threads.parallel_for(total, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      repack_block(w, i / linear->blocks, i % linear->blocks, linear->layout,
                   linear->block(i / linear->blocks, i % linear->blocks));
  });
  return linear;
}

}  // namespace mica
