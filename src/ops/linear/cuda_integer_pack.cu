// Weights into the layout of cuda_integer.h, and rows of it back to floats.
#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"
#include "ops/linear/cuda_integer_unpack.h"

namespace mica::MICA_GPU {
namespace {

using gpu::IntegerLayout;

constexpr int kThreads = 256;
constexpr int kRegisters = 8;  // of a lane, four codes each

uint32_t blocks_for(int64_t threads) {
  return static_cast<uint32_t>((threads + kThreads - 1) / kThreads);
}

MICA_DEVICE int64_t global_thread() {
  return static_cast<int64_t>(block_index().x) * kThreads + thread_index().x;
}

// Where a thread's lane of a unit lies in a plane of `bits` bits: its word `word`.
MICA_DEVICE uint32_t plane_offset(int bits, int lane, int word) {
  if (bits == 8) return static_cast<uint32_t>(word / 4 * 512 + lane * 16 + word % 4 * 4);
  return static_cast<uint32_t>((lane * bits + word) * 4);
}

// Bits of the planes: the lower one, and the upper one or 0.
MICA_HOST_DEVICE int lower_bits(int bits) {
  return bits == 8 ? 8 : bits >= 4 ? 4 : 2;
}

struct PackCodes {
  IntegerLayout layout;
  const uint32_t* weight;  // [E, N, K * bits / 32]
  std::byte* out;
  int64_t lanes;  // E * row tiles * units * 32
};

// Codes `column` to `column` + 3 of a row, as the bytes of a register.
MICA_DEVICE uint32_t four_codes(const uint32_t* row, int column, int bits) {
  const int bit = column * bits;
  const int shift = bit % 32;
  uint64_t window = row[bit / 32];
  if (shift + 4 * bits > 32) window |= static_cast<uint64_t>(row[bit / 32 + 1]) << 32;
  window >>= shift;
  const uint32_t mask = (1u << bits) - 1;
  uint32_t codes = 0;
  for (int i = 0; i < 4; ++i) codes |= (static_cast<uint32_t>(window >> i * bits) & mask) << 8 * i;
  return codes;
}

// Fields `shift` to `shift` + kBits - 1 of all codes into a plane.
template <int kBits>
MICA_DEVICE void write_plane(const uint32_t (&codes)[kRegisters], int shift, std::byte* plane,
                             int lane) {
  constexpr int kFields = 8 / kBits;
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
  for (int word = 0; word < kBits; ++word) {
    uint32_t packed = 0;
    for (int field = 0; field < kFields; ++field)
      packed |= (codes[word * kFields + field] >> shift & kMask) << field * kBits;
    *reinterpret_cast<uint32_t*>(plane + plane_offset(kBits, lane, word)) = packed;
  }
}

MICA_DEVICE void write_planes(const uint32_t (&codes)[kRegisters], int bits, std::byte* unit,
                              int lane) {
  const int lower = lower_bits(bits);
  std::byte* upper = unit + 128 * lower;
  switch (lower) {
    case 8: write_plane<8>(codes, 0, unit, lane); break;
    case 4: write_plane<4>(codes, 0, unit, lane); break;
    default: write_plane<2>(codes, 0, unit, lane); break;
  }
  if (bits - lower == 2) write_plane<2>(codes, lower, upper, lane);
  if (bits - lower == 1) write_plane<1>(codes, lower, upper, lane);
}

// A register's four nibbles side by side.
MICA_DEVICE uint32_t nibbles(uint32_t codes) {
  const uint32_t pairs = (codes | codes >> 4) & 0x00ff00ffu;
  return (pairs | pairs >> 8) & 0xffffu;
}

// One thread a lane of a unit.
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pack_codes_kernel(const PackCodes p) {
  const IntegerLayout& l = p.layout;
  const int64_t index = global_thread();
  grid_dependency_wait();
  if (index >= p.lanes) return;
  const auto lane = static_cast<int>(index % kWarpSize);
  const int64_t unit_index = index / kWarpSize;
  const auto unit = static_cast<int>(unit_index % l.units);
  const int64_t tile = unit_index / l.units;  // of all experts
  const auto first_row = static_cast<int>(tile % l.row_tiles) * gpu::kRowTile;
  const int64_t expert_row = tile / l.row_tiles * l.rows;
  const int row_words = l.columns * l.bits / 32;
  uint32_t codes[kRegisters];
  for (int r = 0; r < kRegisters; ++r) {
    const int row = first_row + lane / 4 + r % 2 * 8;
    const int column = unit * gpu::kUnit + r / 2 * 16 + lane % 4 * 4;
    codes[r] = row < l.rows && column < l.columns
                   ? four_codes(p.weight + (expert_row + row) * row_words, column, l.bits)
                   : 0;
  }
  std::byte* out = p.out + static_cast<size_t>(tile) * l.tile_bytes + l.codes_of(unit);
  if (l.scale_type != DType::kU8) {
    write_planes(codes, l.bits, out, lane);
  } else {
    Bytes16 words;
    for (int i = 0; i < 4; ++i)
      words.word[i] = nibbles(codes[2 * i]) | nibbles(codes[2 * i + 1]) << 16;
    store16(out + lane * 16, words);
  }
}

// Of group `group` and row `row` of a tile, bytes from the tile's start.
MICA_DEVICE size_t scale_offset(const IntegerLayout& l, int group, int row) {
  const int per_unit = l.group < gpu::kUnit ? gpu::kUnit / l.group : 1;
  const int unit = group / per_unit * (l.scale_step == 0 ? gpu::kChunkUnits : 1);
  const int in_unit = group % per_unit, g = row % 8, o = row / 8;
  if (l.scale_type == DType::kU8)
    return l.scales_of(unit) + static_cast<size_t>((g * 2 + o) * per_unit + in_unit);
  const size_t pair = l.scale_type == DType::kF32 ? 8 : 4;
  return l.scales_of(unit) + static_cast<size_t>((g * per_unit + in_unit) * 2 + o) * pair;
}

struct PackScales {
  IntegerLayout layout;
  const std::byte *scales, *offsets;  // [E, N, K / group]; offsets: affine
  std::byte* out;
  int groups;      // of a row, padded to units
  int64_t scaled;  // E * row tiles * groups * 16
};

template <typename T>
MICA_DEVICE void copy_element(const std::byte* from, int64_t index, bool inside, std::byte* to) {
  *reinterpret_cast<T*>(to) = inside ? reinterpret_cast<const T*>(from)[index] : T{};
}

// One thread a scale.
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pack_scales_kernel(const PackScales p) {
  const IntegerLayout& l = p.layout;
  const int64_t index = global_thread();
  grid_dependency_wait();
  if (index >= p.scaled) return;
  const auto in_tile = static_cast<int>(index % gpu::kRowTile);
  const auto group = static_cast<int>(index / gpu::kRowTile % p.groups);
  const int64_t tile = index / gpu::kRowTile / p.groups;
  const int row = static_cast<int>(tile % l.row_tiles) * gpu::kRowTile + in_tile;
  const int row_groups = l.columns / l.group;
  const int64_t from = (tile / l.row_tiles * l.rows + row) * row_groups + group;
  const bool inside = row < l.rows && group < row_groups;
  std::byte* to =
      p.out + static_cast<size_t>(tile) * l.tile_bytes + scale_offset(l, group, in_tile);
  if (l.scale_type == DType::kU8) {
    copy_element<uint8_t>(p.scales, from, inside, to);
  } else if (l.scale_type == DType::kF32) {
    copy_element<uint32_t>(p.scales, from, inside, to);
    copy_element<uint32_t>(p.offsets, from, inside, to + 4);
  } else {
    copy_element<uint16_t>(p.scales, from, inside, to);
    copy_element<uint16_t>(p.offsets, from, inside, to + 2);
  }
}

MICA_DEVICE float load_float(const std::byte* from, DType dtype) {
  if (dtype == DType::kF32) return *reinterpret_cast<const float*>(from);
  if (dtype == DType::kF16) return to_float(*reinterpret_cast<const f16*>(from));
  return to_float(*reinterpret_cast<const bf16*>(from));
}

MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void pack_bias_kernel(const std::byte* from, DType dtype,
                                                               float* to, int64_t count) {
  const int64_t index = global_thread();
  grid_dependency_wait();
  if (index < count)
    to[index] =
        load_float(from + static_cast<size_t>(index) * (dtype == DType::kF32 ? 4 : 2), dtype);
}

constexpr int kExpandThreads = 128;
constexpr int kRun = 8;  // columns of a thread

struct ExpandRows {
  IntegerLayout layout;
  const std::byte* tiles;  // of the expert
  int64_t first;
  const int32_t* ids;  // or null
  float scale;
  void* out;  // [count, K]
  int blocks_of_row;
};

// Register r of a lane of a unit, in the bytes of the result.
MICA_DEVICE uint32_t affine_codes(const std::byte* codes, int bits, int lane, int r) {
  const auto field = [&](const std::byte* plane, int width) {
    const uint32_t word =
        *reinterpret_cast<const uint32_t*>(plane + plane_offset(width, lane, r * width / 8));
    return word >> r % (8 / width) * width & ((1u << width) - 1) * 0x01010101u;
  };
  const int lower = lower_bits(bits);
  uint32_t result = field(codes, lower);
  if (bits > lower) result |= field(codes + 128 * lower, bits - lower) << lower;
  return result;
}

// Four columns of a row: register r of lane `lane`.
MICA_DEVICE void expand_codes(const IntegerLayout& l, const std::byte* codes, int lane, int r,
                              float* values) {
  if (l.scale_type != DType::kU8) {
    const uint32_t bytes = affine_codes(codes, l.bits, lane, r);
    for (int i = 0; i < 4; ++i) values[i] = static_cast<float>(bytes >> 8 * i & 0xff);
  } else {
    const uint32_t word = *reinterpret_cast<const uint32_t*>(codes + lane * 16 + r / 2 * 4);
    const uint32_t selector = word >> r % 2 * 16;
    const uint32_t twice = prmt(0x03020100u, 0x0c080604u, selector & 0x7777u);
    for (int i = 0; i < 4; ++i) {
      const float magnitude = 0.5f * static_cast<float>(twice >> 8 * i & 0xff);
      values[i] = selector >> 4 * i & 8 ? -magnitude : magnitude;
    }
  }
}

// value = scale * code + offset, each operation rounded, as dequantize_row. One thread 8 columns.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kExpandThreads) void expand_kernel(const ExpandRows p) {
  const IntegerLayout& l = p.layout;
  const int64_t index = block_index().x / static_cast<uint32_t>(p.blocks_of_row);
  const int part = static_cast<int>(block_index().x % static_cast<uint32_t>(p.blocks_of_row));
  const int column = (part * kExpandThreads + static_cast<int>(thread_index().x)) * kRun;
  grid_dependency_wait();
  if (column < l.columns) {
    const int64_t row = p.ids ? p.ids[index] : p.first + index;
    const std::byte* tile = p.tiles + static_cast<size_t>(row / gpu::kRowTile) * l.tile_bytes;
    const auto in_tile = static_cast<int>(row % gpu::kRowTile);
    const std::byte* from = tile + scale_offset(l, column / l.group, in_tile);
    float scale, offset = 0;
    if (l.scale_type == DType::kU8) {
      const auto code = *reinterpret_cast<const uint8_t*>(from);
      scale = l.format == gpu::IntegerFormat::kMxfp4 ? e8m0_scale(code) : e4m3_scale(code);
    } else {
      scale = load_float(from, l.scale_type);
      offset = load_float(from + (l.scale_type == DType::kF32 ? 4 : 2), l.scale_type);
    }
    const int unit = column / gpu::kUnit, in_unit = column % gpu::kUnit;
    const int lane = in_tile % 8 * 4 + in_unit % 16 / 4;
    const int r = in_unit / 16 * 2 + in_tile / 8;
    float values[kRun];
    for (int i = 0; i < kRun; i += 4)
      expand_codes(l, tile + l.codes_of(unit), lane + i / 4, r, values + i);
    for (float& value : values) value = (multiply_rounded(scale, value) + offset) * p.scale;
    T* out = static_cast<T*>(p.out) + index * l.columns + column;
    for (int i = 0; i < kRun; i += kPer16<T>) {
      float vector[kPer16<T>];
      for (int j = 0; j < kPer16<T>; ++j) vector[j] = values[i + j];
      store16(out + i, pack16<T>(vector));
    }
  }
  grid_dependency_launch();
}

void pack_weights(gpu::Stream& stream, const LinearWeights& w, const IntegerLayout& layout,
                  std::byte* out) {
  const int64_t tiles = w.experts * layout.row_tiles;
  const int64_t lanes = tiles * layout.units * kWarpSize;
  launch(stream, {"pack_codes", {blocks_for(lanes)}, {kThreads}}, pack_codes_kernel,
         PackCodes{layout, w.weight.as<uint32_t>(), out, lanes});
  const int groups = (layout.units * gpu::kUnit + layout.group - 1) / layout.group;
  const int64_t scaled = tiles * groups * gpu::kRowTile;
  launch(
      stream, {"pack_scales", {blocks_for(scaled)}, {kThreads}}, pack_scales_kernel,
      PackScales{layout, w.scales.as<std::byte>(), w.biases.as<std::byte>(), out, groups, scaled});
}

}  // namespace

std::unique_ptr<gpu::GpuLinear> pack_integer(gpu::GpuBackend& backend, const LinearWeights& w) {
  gpu::check_integer(w);
  auto linear = std::make_unique<gpu::GpuLinear>();
  linear->experts = w.experts;
  linear->rows = w.rows;
  linear->columns = w.columns;
  linear->scheme = w.scheme;
  linear->family = gpu::GpuLinear::Family::kInteger;
  linear->dtype = w.scales.dtype;
  const IntegerLayout layout = gpu::integer_layout(*linear);
  const size_t codes = static_cast<size_t>(w.experts) * layout.expert_bytes();
  const int64_t biases = w.bias.empty() ? 0 : w.experts * w.rows;
  linear->bytes = codes + static_cast<size_t>(biases) * sizeof(float);
  linear->weight_bytes = layout.expert_bytes();
  linear->expert_codes = layout.expert_bytes();
  linear->memory = backend.allocate(linear->bytes);
  auto* memory = static_cast<std::byte*>(linear->memory.data());
  linear->codes = memory;
  pack_weights(backend.stream(), w, layout, memory);
  if (biases > 0) {
    auto* bias = reinterpret_cast<float*>(memory + codes);
    linear->bias = bias;
    launch(backend.stream(), {"pack_bias", {blocks_for(biases)}, {kThreads}}, pack_bias_kernel,
           w.bias.as<std::byte>(), w.bias.dtype, bias, biases);
  }
  return linear;
}

void expand_integer(gpu::GpuBackend& backend, const Expand& p) {
  const IntegerLayout layout = gpu::integer_layout(*p.weights);
  MICA_CHECK(p.out.shape == Shape({p.count, p.weights->columns}));
  MICA_CHECK(reinterpret_cast<uintptr_t>(p.out.data) % 16 == 0);
  if (p.count == 0) return;
  const int blocks = (layout.columns + kExpandThreads * kRun - 1) / (kExpandThreads * kRun);
  const ExpandRows rows = {
      layout,  p.weights->codes + static_cast<size_t>(p.expert) * p.weights->expert_codes,
      p.first, p.ids,
      p.scale, p.out.data,
      blocks};
  const LaunchConfig config = {
      "expand_integer", {static_cast<uint32_t>(p.count * blocks)}, {kExpandThreads}};
  switch (p.out.dtype) {
    case DType::kF32: return launch(backend.stream(), config, expand_kernel<float>, rows);
    case DType::kBF16: return launch(backend.stream(), config, expand_kernel<bf16>, rows);
    case DType::kF16: return launch(backend.stream(), config, expand_kernel<f16>, rows);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
