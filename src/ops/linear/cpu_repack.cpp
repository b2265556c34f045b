// Checkpoint rows into row blocks (cpu_layout.h) and back.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/linear/cpu_prepared.h"

namespace mica {
namespace {

constexpr uint32_t kNibbles = 0x0f0f0f0f, kPairs = 0x33333333;

uint32_t load_u32(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}

// The nibbles in the low halves of the bytes, moved together into 16 bits.
uint32_t gather_nibbles(uint32_t v) {
  v = (v | (v >> 4)) & 0x00ff00ffu;
  return (v | (v >> 8)) & 0xffffu;
}

// Checkpoint dword (columns in order) -> kQ4, kQ2, kQ8, kFp4 dword.
uint32_t q4_word(uint32_t v) {
  return gather_nibbles(v & kNibbles) | gather_nibbles((v >> 4) & kNibbles) << 16;
}
uint32_t q2_word(uint32_t v) {
  const auto gather = [](uint32_t x) { return gather_nibbles((x | (x >> 2)) & kNibbles); };
  return gather(v & kPairs) | gather((v >> 2) & kPairs) << 16;
}
uint32_t q8_word(uint32_t v) {
  return (v & 0xff0000ffu) | ((v & 0xff00u) << 8) | ((v >> 8) & 0xff00u);
}
uint32_t fp4_word(uint32_t v) {  // nibble 1 <-> 4, 3 <-> 6
  const uint32_t moved = ((v >> 12) ^ v) & 0xf0f0u;
  return v ^ moved ^ (moved << 12);
}

// 32 columns of 3, 5 or 6 bits in `bits` checkpoint dwords -> as many plane dwords.
template <int kBits>
void plane_words(const std::byte* from, uint32_t* out) {
  constexpr int kLow = kBits == 3 ? 2 : 4, kHigh = kBits - kLow;
  constexpr int kLowWords = kLow, kLowPairs = 16 / kLow, kHighPairs = 16 / kHigh;
  uint32_t word[kBits + 1] = {}, plane[kBits] = {};
  std::memcpy(word, from, kBits * 4);
#pragma GCC unroll 32  // every shift a constant, the planes in registers: 4 times as fast
  for (int k = 0; k < 32; ++k) {
    const int bit = k * kBits;
    const uint64_t window = word[bit / 32] | uint64_t{word[bit / 32 + 1]} << 32;
    const auto q = static_cast<uint32_t>(window >> (bit % 32)) & ((1u << kBits) - 1u);
    const int pair = k / 2, half = (k % 2) * 16;
    plane[pair / kLowPairs] |= (q & ((1u << kLow) - 1u)) << (half + pair % kLowPairs * kLow);
    plane[kLowWords + pair / kHighPairs] |= (q >> kLow) << (half + pair % kHighPairs * kHigh);
  }
  std::memcpy(out, plane, sizeof plane);
}

// Rows of dwords, each through `convert`: block[i][row].
template <typename Convert>
void repack_words(const std::byte* const* rows, int64_t count, int64_t words, std::byte* block,
                  Convert&& convert) {
  auto* out = reinterpret_cast<uint32_t*>(block);
  constexpr int64_t kTile = 16;  // a cache line of every row at a time
  for (int64_t i = 0; i < words; i += kTile) {
    const int64_t end = std::min(words, i + kTile);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = i; j < end; ++j) out[j * 16 + r] = convert(load_u32(rows[r] + j * 4));
  }
}

template <int kBits>
void repack_planes(const std::byte* const* rows, int64_t count, int64_t columns, std::byte* block) {
  auto* out = reinterpret_cast<uint32_t*>(block);
  for (int64_t unit = 0; unit < columns / 32; ++unit) {
    for (int64_t r = 0; r < count; ++r) {
      uint32_t word[kBits];
      plane_words<kBits>(rows[r] + unit * kBits * 4, word);
      for (int i = 0; i < kBits; ++i) out[(unit * kBits + i) * 16 + r] = word[i];
    }
  }
}

// Rows of single elements: block[k][row].
template <typename T>
void repack_elements(const std::byte* const* rows, int64_t count, int64_t columns,
                     std::byte* block) {
  auto* out = reinterpret_cast<T*>(block);
  if (count == kBlockRows) {
    for (int64_t k = 0; k < columns; ++k)
      for (int r = 0; r < kBlockRows; ++r)
        std::memcpy(&out[k * 16 + r], rows[r] + k * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return;
  }
  for (int64_t r = 0; r < count; ++r)
    for (int64_t k = 0; k < columns; ++k)
      std::memcpy(&out[k * 16 + r], rows[r] + k * static_cast<int64_t>(sizeof(T)), sizeof(T));
}

// bf16 rows as pairs; the last column of an odd row has a zero beside it.
void repack_bf16(const std::byte* const* rows, int64_t count, int64_t columns, std::byte* block) {
  repack_words(rows, count, columns / 2, block, [](uint32_t v) { return v; });
  if (columns % 2 == 0) return;
  for (int64_t r = 0; r < count; ++r)
    std::memcpy(block + (columns / 2 * 16 + r) * 4, rows[r] + (columns - 1) * 2, 2);
}

void repack_weights(CpuLayout layout, const std::byte* const* rows, int64_t count, int64_t columns,
                    std::byte* block) {
  switch (layout) {
    case CpuLayout::kF32: return repack_elements<uint32_t>(rows, count, columns, block);
    case CpuLayout::kF16: return repack_elements<uint16_t>(rows, count, columns, block);
    case CpuLayout::kBF16: return repack_bf16(rows, count, columns, block);
    case CpuLayout::kFp8: return repack_elements<uint8_t>(rows, count, columns, block);
    case CpuLayout::kQ2: return repack_words(rows, count, columns / 16, block, q2_word);
    case CpuLayout::kQ4: return repack_words(rows, count, columns / 8, block, q4_word);
    case CpuLayout::kQ8: return repack_words(rows, count, columns / 4, block, q8_word);
    case CpuLayout::kFp4: return repack_words(rows, count, columns / 8, block, fp4_word);
    case CpuLayout::kQ3: return repack_planes<3>(rows, count, columns, block);
    case CpuLayout::kQ5: return repack_planes<5>(rows, count, columns, block);
    case CpuLayout::kQ6: return repack_planes<6>(rows, count, columns, block);
  }
}

// The code of column k, row r of a block (bits of the quantized formats).
uint32_t code_at(CpuLayout layout, const std::byte* block, int64_t k, int64_t r) {
  const auto word = [&](int64_t i) { return load_u32(block + (i * 16 + r) * 4); };
  // Field of `bits` bits of the column's pair in plane vectors that start at vector `first`.
  const auto plane = [&](int64_t first, int64_t pair, int bits) {
    const int64_t per_vector = 16 / bits;
    const uint32_t v = word(first + pair / per_vector);
    return (v >> (k % 2 * 16 + pair % per_vector * bits)) & ((1u << bits) - 1u);
  };
  const int64_t unit = k / 32, pair = k % 32 / 2;
  switch (layout) {
    case CpuLayout::kQ2: return plane(0, k / 2, 2);
    case CpuLayout::kQ4: return plane(0, k / 2, 4);
    case CpuLayout::kQ3: return plane(unit * 3, pair, 2) | plane(unit * 3 + 2, pair, 1) << 2;
    case CpuLayout::kQ5: return plane(unit * 5, pair, 4) | plane(unit * 5 + 4, pair, 1) << 4;
    case CpuLayout::kQ6: return plane(unit * 6, pair, 4) | plane(unit * 6 + 4, pair, 2) << 4;
    case CpuLayout::kQ8: return (q8_word(word(k / 4)) >> (k % 4 * 8)) & 0xffu;
    case CpuLayout::kFp4: return (fp4_word(word(k / 8)) >> (k % 8 * 4)) & 0xfu;
    case CpuLayout::kFp8: return static_cast<uint8_t>(block[k * 16 + r]);
    default: MICA_CHECK_MSG(false, "code of a dense layout");
  }
  return 0;
}

float scale_at(ScaleType type, const std::byte* scales, int64_t index) {
  float value = 0;
  switch (type) {
    case ScaleType::kNone: return 1;
    case ScaleType::kF32: to_f32(scales + index * 4, DType::kF32, 1, &value); return value;
    case ScaleType::kF16: to_f32(scales + index * 2, DType::kF16, 1, &value); return value;
    case ScaleType::kBF16: to_f32(scales + index * 2, DType::kBF16, 1, &value); return value;
    case ScaleType::kE8M0: return e8m0_to_f32(static_cast<uint8_t>(scales[index]));
    case ScaleType::kE4M3: return e4m3_to_f32(static_cast<uint8_t>(scales[index]));
  }
  return value;
}

void read_dense(const CpuLinear& linear, const std::byte* block, int64_t r, float* out) {
  for (int64_t k = 0; k < linear.columns; ++k) {
    switch (linear.layout.layout) {
      case CpuLayout::kF32: std::memcpy(&out[k], block + (k * 16 + r) * 4, 4); break;
      case CpuLayout::kF16: to_f32(block + (k * 16 + r) * 2, DType::kF16, 1, &out[k]); break;
      default: {
        const std::byte* pair = block + (k / 2 * 16 + r) * 4;
        to_f32(pair + k % 2 * 2, DType::kBF16, 1, &out[k]);
      }
    }
  }
}

// Scales or offsets of a panel, each row's from `first` on.
template <typename T>
void repack_scales(const Tensor& from, int64_t first, int64_t row_groups, int64_t groups,
                   int64_t count, std::byte* to) {
  const auto* source = static_cast<const std::byte*>(from.data);
  const std::byte* rows[kBlockRows];
  for (int64_t r = 0; r < count; ++r)
    rows[r] = source + static_cast<size_t>(first + r * row_groups) * sizeof(T);
  repack_elements<T>(rows, count, groups, to);
}

}  // namespace

void repack_block(const LinearWeights& w, int64_t expert, int64_t b, const BlockLayout& layout,
                  std::byte* block) {
  const int64_t first = expert * w.rows + b * kBlockRows;
  const int64_t count = std::min<int64_t>(kBlockRows, w.rows - b * kBlockRows);
  const size_t row_bytes = w.weight.bytes() / static_cast<size_t>(w.experts * w.rows);
  const std::byte* rows[kBlockRows];
  for (int64_t r = 0; r < count; ++r)
    rows[r] =
        static_cast<const std::byte*>(w.weight.data) + static_cast<size_t>(first + r) * row_bytes;
  if (layout.group == 0) return repack_weights(layout.layout, rows, count, w.columns, block);

  const int64_t groups = w.columns / layout.group;
  for (int64_t k = 0; k < w.columns; k += kPanelColumns) {
    const PanelPlace place = place_panel(layout, k / kPanelColumns);
    repack_weights(layout.layout, rows, count, place.columns, block + place.weights);
    for (int64_t r = 0; r < count; ++r) rows[r] += place.columns * layout.bits / 8;
    const int64_t first_scale = first * groups + k / layout.group;
    const auto scales = [&](const Tensor& from, size_t to) {
      switch (scale_bytes(layout.scale_type)) {
        case 4:
          return repack_scales<uint32_t>(from, first_scale, groups, place.groups, count,
                                         block + to);
        case 2:
          return repack_scales<uint16_t>(from, first_scale, groups, place.groups, count,
                                         block + to);
        default:
          return repack_scales<uint8_t>(from, first_scale, groups, place.groups, count, block + to);
      }
    };
    scales(w.scales, place.scales);
    if (layout.offsets) scales(w.biases, place.offsets);
  }
}

void read_row(const CpuLinear& linear, int64_t expert, int64_t row, float* out) {
  MICA_CHECK(expert >= 0 && expert < linear.experts && row >= 0 && row < linear.rows);
  const BlockLayout& layout = linear.layout;
  const std::byte* block = linear.block(expert, row / kBlockRows);
  const int64_t r = row % kBlockRows;
  if (layout.group == 0) return read_dense(linear, block, r, out);
  const int64_t panel_groups = kPanelColumns / layout.group;
  for (int64_t g = 0; g < layout.columns / layout.group; ++g) {
    const PanelPlace place = place_panel(layout, g / panel_groups);
    const int64_t index = g % panel_groups * kBlockRows + r;
    const float scale = scale_at(layout.scale_type, block + place.scales, index);
    const float offset =
        layout.offsets ? scale_at(layout.scale_type, block + place.offsets, index) : 0;
    for (int64_t k = g * layout.group; k < (g + 1) * layout.group; ++k) {
      const uint32_t code = code_at(layout.layout, block + place.weights, k % kPanelColumns, r);
      const float value = layout.layout == CpuLayout::kFp8 ? e4m3_to_f32(static_cast<uint8_t>(code))
                          : layout.layout == CpuLayout::kFp4
                              ? e2m1_to_f32(static_cast<uint8_t>(code))
                              : static_cast<float>(code);
      out[k] = scale * value + offset;
    }
  }
}

}  // namespace mica
