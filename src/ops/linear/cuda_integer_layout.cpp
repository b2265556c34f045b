#include <algorithm>

#include "ops/linear/cuda_integer.h"

namespace mica::gpu {
namespace {

[[noreturn]] void refuse(const LinearWeights& w, const std::string& what) {
  throw Error(ErrorKind::kCheckpoint, "[linear] {}: {} (scheme {}, {} x {})", w.name, what,
              to_string(w.scheme), w.rows, w.columns);
}

IntegerFormat format_of(const QuantScheme& scheme) {
  if (scheme.mode == QuantMode::kMxfp4) return IntegerFormat::kMxfp4;
  if (scheme.mode == QuantMode::kNvfp4) return IntegerFormat::kNvfp4;
  switch (scheme.bits) {
    case 2: return IntegerFormat::kQ2;
    case 3: return IntegerFormat::kQ3;
    case 4: return IntegerFormat::kQ4;
    case 5: return IntegerFormat::kQ5;
    case 6: return IntegerFormat::kQ6;
    default: return IntegerFormat::kQ8;
  }
}

void check_scheme(const LinearWeights& w) {
  const auto one_of = [](int value, std::initializer_list<int> allowed) {
    return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  };
  switch (w.scheme.mode) {
    case QuantMode::kAffine:
      if (!one_of(w.scheme.bits, {2, 3, 4, 5, 6, 8}))
        refuse(w, "affine weights have 2, 3, 4, 5, 6 or 8 bits");
      if (!one_of(w.scheme.group, {32, 64, 128})) refuse(w, "affine groups are of 32, 64 or 128");
      return;
    case QuantMode::kMxfp4:
      if (w.scheme.bits != 4 || w.scheme.group != 32) refuse(w, "mxfp4 groups are of 32");
      return;
    case QuantMode::kNvfp4:
      if (w.scheme.bits != 4 || w.scheme.group != 16) refuse(w, "nvfp4 groups are of 16");
      return;
    default: refuse(w, "not a format of integer codes");
  }
}

}  // namespace

void check_integer(const LinearWeights& w) {
  check_scheme(w);
  if (w.experts < 1 || w.rows < 1 || w.columns < 1) refuse(w, "empty weights");
  if (w.columns % w.scheme.group != 0) refuse(w, "columns are no multiple of the group");
  const int64_t rows = w.experts * w.rows;
  const auto expect = [&](const char* what, const Tensor& tensor, int64_t elements) {
    if (tensor.elements() != elements)
      refuse(w,
             fmt::format("{}: expected {} elements, found {}", what, elements, tensor.elements()));
  };
  const int64_t bytes = rows * w.columns * w.scheme.bits / 8;
  if (w.weight.bytes() != static_cast<size_t>(bytes))
    refuse(w, fmt::format("weight: expected {} bytes, found {}", bytes, w.weight.bytes()));
  expect("scales", w.scales, rows * w.columns / w.scheme.group);
  if (!w.bias.empty()) expect("bias", w.bias, rows);
  if (w.scheme.mode != QuantMode::kAffine) return;
  expect("biases", w.biases, rows * w.columns / w.scheme.group);
  if (w.biases.dtype != w.scales.dtype) refuse(w, "scales and biases differ in dtype");
  if (!is_float(w.scales.dtype) || w.scales.dtype == DType::kF64)
    refuse(w, fmt::format("scales of dtype {}", name(w.scales.dtype)));
}

IntegerLayout integer_layout(const QuantScheme& scheme, DType scale_type, int64_t rows,
                             int64_t columns) {
  IntegerLayout l;
  l.format = format_of(scheme);
  l.scale_type = l.affine() ? scale_type : DType::kU8;
  l.bits = scheme.bits;
  l.group = scheme.group;
  l.rows = static_cast<int>(rows);
  l.columns = static_cast<int>(columns);
  l.row_tiles = (l.rows + kRowTile - 1) / kRowTile;
  l.units = (l.columns + kUnit - 1) / kUnit;
  l.code_bytes = static_cast<uint32_t>(kRowTile * kUnit * l.bits / 8);
  const int groups = l.group < kUnit ? kUnit / l.group : 1;
  l.scale_bytes = static_cast<uint32_t>(groups * kRowTile) *
                  static_cast<uint32_t>(l.affine() ? 2 * size_of(scale_type) : 1);
  const uint32_t unit_bytes = l.code_bytes + l.scale_bytes;
  const bool shared_scale = l.group == kChunkUnits * kUnit;
  l.code_step = shared_scale ? l.code_bytes : unit_bytes;
  l.scale_step = shared_scale ? 0 : unit_bytes;
  l.chunk_bytes = unit_bytes + l.code_step;
  l.tile_bytes = static_cast<size_t>(l.units / kChunkUnits) * l.chunk_bytes +
                 (l.units % kChunkUnits ? unit_bytes : 0);
  return l;
}

IntegerLayout integer_layout(const GpuLinear& weights) {
  return integer_layout(weights.scheme, weights.dtype, weights.rows, weights.columns);
}

}  // namespace mica::gpu
