// Packs float weights, and expands packed rows to dense ones.
#include <string>

#include "ops/linear/cuda_float.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 256;

// The checkpoint's weights on the device.
struct Source {
  const void* weight;     // [E, N, K]
  const uint8_t* scales;  // mxfp8: [E, N, K / 32]
  int64_t rows, columns;  // N, K
  int row_tiles, panels;
};

// The place of a panel: expert, first row, first column.
struct PanelPlace {
  int64_t expert;
  int row, column;
};

template <typename T>
MICA_DEVICE T element_or_zero(const Source& from, int64_t expert, int64_t row, int64_t column) {
  if (row >= from.rows || column >= from.columns) return T{};
  const auto* weight = static_cast<const T*>(from.weight);
  return weight[(expert * from.rows + row) * from.columns + column];
}

// Writes what `lane` holds of a panel; its pieces lie 32 apart.
template <typename W>
MICA_DEVICE void pack_lane(const Source& from, const PanelPlace& at, int lane, Bytes16* to) {
  const int row = at.row + lane / 4, column = at.column + 8 * (lane % 4);
  for (int s = 0; s < 2; ++s) {
    Bytes16 piece;
    for (int i = 0; i < 2; ++i)
      for (int r = 0; r < 2; ++r) {
        const int c = column + 4 * s + 2 * i;
        const W low = element_or_zero<W>(from, at.expert, row + 8 * r, c);
        const W high = element_or_zero<W>(from, at.expert, row + 8 * r, c + 1);
        piece.word[2 * i + r] = low.bits | static_cast<uint32_t>(high.bits) << 16;
      }
    store16(to + s * kWarpSize, piece);
  }
}
template <>
MICA_DEVICE void pack_lane<float>(const Source& from, const PanelPlace& at, int lane, Bytes16* to) {
  const int row = at.row + lane / 4, column = at.column + 8 * (lane % 4);
  for (int r = 0; r < 2; ++r)
    for (int h = 0; h < 2; ++h) {
      Bytes16 piece;
      for (int i = 0; i < 4; ++i)
        piece.word[i] =
            as_bits(element_or_zero<float>(from, at.expert, row + 8 * r, column + 4 * h + i));
      store16(to + (2 * r + h) * kWarpSize, piece);
    }
}
template <>
MICA_DEVICE void pack_lane<Mxfp8>(const Source& from, const PanelPlace& at, int lane, Bytes16* to) {
  const int row = at.row + lane / 4, column = at.column + 8 * (lane % 4);
  for (int part = 0; part < 2; ++part) {
    Bytes16 piece;
    for (int i = 0; i < 4; ++i) {
      piece.word[i] = 0;
      for (int byte = 0; byte < 4; ++byte) {
        const int c = column + 32 * part + 2 * i + byte / 2;
        piece.word[i] |= static_cast<uint32_t>(
                             element_or_zero<uint8_t>(from, at.expert, row + 8 * (byte % 2), c))
                         << 8 * byte;
      }
    }
    store16(to + part * kWarpSize, piece);
  }
}

// The scale of the group that holds a column, or infinity where a code of the group is a NaN.
MICA_DEVICE uint32_t scale_code(const Source& from, int64_t expert, int64_t row, int64_t column) {
  if (row >= from.rows || column >= from.columns) return 0;
  const auto* codes =
      static_cast<const uint8_t*>(from.weight) + (expert * from.rows + row) * from.columns + column;
  bool nan = false;
  for (int i = 0; i < 32; ++i) nan = nan || (codes[i] & 0x7f) == 0x7f;
  return nan ? 255 : from.scales[(expert * from.rows + row) * (from.columns / 32) + column / 32];
}

// The word of rows g and g + 8 of a panel.
MICA_DEVICE uint32_t scale_word(const Source& from, const PanelPlace& at, int g) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i)
    word |= scale_code(from, at.expert, at.row + g + 8 * (i / 2), at.column + 32 * (i % 2))
            << 8 * i;
  return word;
}

// One warp a panel. Loading is bound by the link to the host, far below what this reaches.
template <typename W>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pack_kernel(Source from, Bytes16* codes,
                                                          uint32_t* scales, int64_t panels) {
  const int64_t panel =
      static_cast<int64_t>(block_index().x) * (kThreads / kWarpSize) + warp_index();
  if (panel >= panels) return;
  const int lane = lane_index();
  const int64_t tile = panel / from.panels;
  const PanelPlace at = {tile / from.row_tiles, static_cast<int>(tile % from.row_tiles) * kTileRows,
                         static_cast<int>(panel % from.panels) * Format<W>::kColumns};
  grid_dependency_wait();
  pack_lane<W>(from, at, lane, codes + panel * (kPanelBytes<W> / 16) + lane);
  if (Format<W>::kScaleBytes > 0 && lane < 8)
    scales[panel * (Format<W>::kScaleBytes / 4) + lane] = scale_word(from, at, lane);
}

template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pack_bias_kernel(const T* from, float* to,
                                                               int64_t count) {
  const int64_t i = static_cast<int64_t>(block_index().x) * kThreads + thread_index().x;
  grid_dependency_wait();
  if (i < count) to[i] = to_float(from[i]);
}

struct ExpandArgs {
  const Bytes16* codes;    // of the expert
  const uint32_t* scales;  // of the expert
  const int32_t* ids;      // or null: rows from `first` on
  void* out;               // [count, columns]
  int64_t first, count, columns;
  int panels;
  float scale;
};

template <typename T>
MICA_DEVICE void store8(void* out, int64_t index, int count, const float (&values)[8]) {
  T* to = static_cast<T*>(out) + index;
  if (count >= 8 && aligned16(to)) {
    for (int i = 0; i < 8; i += kPer16<T>) {
      float part[kPer16<T>];
      for (int j = 0; j < kPer16<T>; ++j) part[j] = values[i + j];
      store16(to + i, pack16<T>(part));
    }
  } else {
    for (int i = 0; i < 8; ++i)
      if (i < count) to[i] = from_float<T>(values[i]);
  }
}

// Bound by bytes: reads each weight once from memory (rows g and g + 8 of a tile, which share
// pieces, are of one block) and writes 16 bytes a thread. A block expands 16 rows by 128 columns.
template <typename W>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void expand_kernel(ExpandArgs p, DType out_dtype) {
  const int thread = static_cast<int>(thread_index().x);
  const int64_t i = static_cast<int64_t>(block_index().x) * kTileRows + thread / 16;
  const int64_t column = static_cast<int64_t>(block_index().y) * 128 + thread % 16 * 8;
  if (i >= p.count || column >= p.columns) return;
  grid_dependency_wait();
  const int64_t row = p.ids ? p.ids[i] : p.first + i;
  const int64_t panel = row / kTileRows * p.panels + column / Format<W>::kColumns;
  const int g = static_cast<int>(row % 8);
  const Bytes16* pieces =
      p.codes + panel * (kPanelBytes<W> / 16) + 4 * g + static_cast<int>(column / 8 % 4);
  const uint32_t scales =
      Format<W>::kScaleBytes > 0 ? p.scales[panel * (Format<W>::kScaleBytes / 4) + g] : 0;
  float w[2][8], values[8];
  read_weights<W>(pieces, static_cast<int>(column / 32 % 2), scales, w);
  const bool upper = row / 8 % 2 == 1;
  for (int c = 0; c < 8; ++c) values[c] = (upper ? w[1][c] : w[0][c]) * p.scale;
  const int left = static_cast<int>(p.columns - column < 8 ? p.columns - column : 8);
  const int64_t index = i * p.columns + column;
  switch (out_dtype) {
    case DType::kBF16: store8<bf16>(p.out, index, left, values); break;
    case DType::kF16: store8<f16>(p.out, index, left, values); break;
    default: store8<float>(p.out, index, left, values); break;
  }
  grid_dependency_launch();
}

[[noreturn]] void refuse(const LinearWeights& w, const std::string& what) {
  throw Error(ErrorKind::kCheckpoint, "[linear] " + w.name + ": " + what + " (scheme " +
                                          to_string(w.scheme) + ", " + std::to_string(w.rows) +
                                          " x " + std::to_string(w.columns) + ")");
}

void expect(const LinearWeights& w, const std::string& what, size_t found, size_t expected) {
  if (found != expected)
    refuse(w, what + ": expected " + std::to_string(expected) + " bytes, found " +
                  std::to_string(found));
}

void expect_float(const LinearWeights& w, const std::string& what, DType dtype) {
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16)
    refuse(w, what + " of dtype " + name(dtype));
}

// Before anything is in the stream.
void check(const LinearWeights& w) {
  if (w.experts < 1 || w.rows < 1 || w.columns < 1) refuse(w, "empty weights");
  if (w.rows > INT32_MAX / 2 || w.columns > INT32_MAX / 2) refuse(w, "too many rows or columns");
  const auto rows = static_cast<size_t>(w.experts * w.rows);
  const auto columns = static_cast<size_t>(w.columns);
  if (w.scheme.mode == QuantMode::kMxfp8) {
    if (w.scheme.group != 32) refuse(w, "mxfp8 groups are of 32");
    if (w.columns % 32 != 0) refuse(w, "columns are no multiple of the group");
    expect(w, "weight", w.weight.bytes(), rows * columns);
    expect(w, "scales", w.scales.bytes(), rows * columns / 32);
  } else {
    expect_float(w, "weights", w.weight.dtype);
    expect(w, "weight", w.weight.bytes(), rows * columns * size_of(w.weight.dtype));
  }
  if (w.bias.empty()) return;
  expect_float(w, "bias", w.bias.dtype);
  expect(w, "bias", w.bias.bytes(), rows * size_of(w.bias.dtype));
}

template <typename T>
void pack_bias(gpu::Stream& stream, const Tensor& bias, float* to) {
  const int64_t count = bias.elements();
  launch(stream,
         {"pack_bias", {static_cast<uint32_t>((count + kThreads - 1) / kThreads)}, {kThreads}},
         pack_bias_kernel<T>, bias.as<T>(), to, count);
}

void start_bias(gpu::Stream& stream, const LinearWeights& w, float* to) {
  switch (w.bias.dtype) {
    case DType::kF32: return pack_bias<float>(stream, w.bias, to);
    case DType::kBF16: return pack_bias<bf16>(stream, w.bias, to);
    case DType::kF16: return pack_bias<f16>(stream, w.bias, to);
    default: MICA_CHECK(false);
  }
}

template <typename W>
void start_pack(gpu::GpuBackend& backend, const LinearWeights& w, gpu::GpuLinear& to) {
  const int64_t row_tiles = row_tiles_of(w.rows), panels = panels_of<W>(w.columns);
  const int64_t all = w.experts * row_tiles * panels;
  to.expert_codes = static_cast<size_t>(row_tiles * panels) * kPanelBytes<W>;
  to.expert_scales = static_cast<size_t>(row_tiles * panels) * Format<W>::kScaleBytes;
  const size_t codes = static_cast<size_t>(w.experts) * to.expert_codes;
  const size_t scales = (static_cast<size_t>(w.experts) * to.expert_scales + 255) / 256 * 256;
  const size_t bias = w.bias.empty() ? 0 : static_cast<size_t>(w.experts * w.rows) * sizeof(float);
  to.memory = backend.allocate(codes + scales + bias);
  auto* memory = static_cast<std::byte*>(to.memory.data());
  to.codes = memory;
  to.scales = memory + codes;
  const Source from = {w.weight.data, w.scales.as<const uint8_t>(), w.rows,
                       w.columns,     static_cast<int>(row_tiles),  static_cast<int>(panels)};
  constexpr int kWarps = kThreads / kWarpSize;
  launch(backend.stream(),
         {"pack_float", {static_cast<uint32_t>((all + kWarps - 1) / kWarps)}, {kThreads}},
         pack_kernel<W>, from, static_cast<Bytes16*>(to.memory.data()),
         reinterpret_cast<uint32_t*>(memory + codes), all);
  if (w.bias.empty()) return;
  auto* f32_bias = reinterpret_cast<float*>(memory + codes + scales);
  start_bias(backend.stream(), w, f32_bias);
  to.bias = f32_bias;
}

}  // namespace

std::unique_ptr<gpu::GpuLinear> pack_float(gpu::GpuBackend& backend, const LinearWeights& w) {
  check(w);
  auto linear = std::make_unique<gpu::GpuLinear>();
  linear->experts = w.experts;
  linear->rows = w.rows;
  linear->columns = w.columns;
  linear->scheme = w.scheme;
  linear->family = gpu::GpuLinear::Family::kFloat;
  linear->dtype = w.compute_dtype();
  for_format(*linear, [&]<typename W>(W) { start_pack<W>(backend, w, *linear); });
  linear->weight_bytes = linear->expert_codes + linear->expert_scales;
  linear->bytes = linear->memory.size();
  return linear;
}

void expand_float(gpu::GpuBackend& backend, const Expand& p) {
  const gpu::GpuLinear& w = *p.weights;
  MICA_CHECK(is_float(p.out.dtype) && p.out.elements() == p.count * w.columns);
  MICA_CHECK(p.expert >= 0 && p.expert < w.experts);
  MICA_CHECK(p.ids != nullptr || (p.first >= 0 && p.first + p.count <= w.rows));
  const auto expert = static_cast<size_t>(p.expert);
  ExpandArgs args = {reinterpret_cast<const Bytes16*>(w.codes + expert * w.expert_codes),
                     reinterpret_cast<const uint32_t*>(w.scales + expert * w.expert_scales),
                     p.ids,
                     p.out.data,
                     p.first,
                     p.count,
                     w.columns,
                     0,
                     p.scale};
  const Dim3 grid = {static_cast<uint32_t>((p.count + kTileRows - 1) / kTileRows),
                     static_cast<uint32_t>((w.columns + 127) / 128)};
  MICA_CHECK(grid.y <= 65535);
  for_format(w, [&]<typename W>(W) {
    args.panels = static_cast<int>(panels_of<W>(w.columns));
    launch(backend.stream(), {"expand_float", grid, {kThreads}}, expand_kernel<W>, args,
           p.out.dtype);
  });
}

}  // namespace mica::MICA_GPU
