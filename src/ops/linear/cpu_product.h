// From a ProductArgs to kernel calls: panels, unpacking, output. Compiled like cpu_kernels.h.
#pragma once

#include "ops/linear/cpu_kernels.h"

namespace mica::kernels {

// Adds bias and old value, and stores the sums [count][16] of row block b and of the tokens from
// `first` on.
template <class S>
void write_block(const ProductArgs& a, int64_t b, int64_t first, int64_t count, const float* sums) {
  const int64_t rows = a.rows - b * 16 < 16 ? a.rows - b * 16 : 16;
  const auto bias = a.bias ? S::load(a.bias + b * 16) : S::zero();
  for (int64_t t = 0; t < count; ++t) {
    const int64_t row = a.out_rows ? a.out_rows[first + t] : first + t;
    float* y = a.out + row * a.out_stride + b * 16;
    auto v = S::load(sums + t * 16);
    if (a.bias) v = S::add(v, bias);
    if (rows == 16) {
      S::store(y, a.add ? S::add(S::load(y), v) : v);
    } else {
      float part[16];
      S::store(part, v);
      for (int64_t r = 0; r < rows; ++r) y[r] = a.add ? y[r] + part[r] : part[r];
    }
  }
}

// Whether weights are unpacked in registers, again for each token block (a panel's weights are in
// the cache then).
template <class S>
MICA_INLINE bool takes_direct(const ProductArgs& a) {
  return a.token_count <= kDirectLimit && a.tokens[0].tokens <= S::kDirectTokens;
}

template <class S, L kLayout>
void unpack_integer(const std::byte* w, int64_t columns, float* tile) {
  for (int64_t k = 0; k < columns; k += step_columns<kLayout>()) {
    Step<S, kLayout>::pairs(w, [&](int pair, typename S::I32 weights)
                                   MICA_ALWAYS { S::store_i(tile + pair * 16, weights); });
    w += step_bytes<kLayout>();
    tile += step_columns<kLayout>() * 8;
  }
}

template <class S>
MICA_INLINE void prefetch_lines(const std::byte* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) S::prefetch(from + i);
}

// Few tokens, one row block.
template <class S, L kLayout>
void product_integer_direct(const ProductArgs& a, const std::byte* block) {
  const BlockLayout& layout = *a.layout;
  float* sums = a.work;
  auto* scales = reinterpret_cast<std::byte*>(sums + kWorkSums);
  for (int64_t t = 0; t < a.token_count; ++t) S::store(sums + t * 16, S::zero());
  for (int64_t k = 0; k < layout.columns; k += kPanelColumns) {
    const PanelPlace place = place_panel(layout, k / kPanelColumns);
    const int64_t group = k / layout.group;
    const auto scale_size = static_cast<int64_t>(place.weights - place.scales);
    prefetch_lines<S>(block + place.scales + S::kPrefetchAhead, scale_size);
    // Read in their order in memory: scales fetched beside the weights, group by group, broke the
    // processor's own streams and halved the speed of one token (Zen 4).
    __builtin_memcpy(scales, block + place.scales, static_cast<size_t>(scale_size));
    const PackedPanel panel{
        block + place.weights, scales,       scales + (place.offsets - place.scales),
        layout.scale_type,     place.groups, layout.group};
    float* out = sums;
    for (int64_t i = 0; i < a.token_blocks; ++i) {
      const TokenBlock& t = a.tokens[i];
      const Activations x{t.pairs + k / 2 * t.tokens, t.scales + group * t.tokens,
                          t.sums + group * t.tokens};
      for_tokens<S::kDirectTokens>(t.tokens,
                                   [&]<int T>() { integer_direct<S, kLayout, T>(panel, x, out); });
      out += t.tokens * 16;
    }
  }
}

// Many tokens, R row blocks.
template <class S, L kLayout, int R>
void product_integer_tiles(const ProductArgs& a, const std::byte* block) {
  const BlockLayout& layout = *a.layout;
  const int64_t stride = a.token_count * 16;
  float* sums = a.work;
  float* tile = sums + kMaxSide * kWorkSums;
  float* scales = tile + kMaxSide * kWorkTile;
  float* offsets = scales + kMaxSide * kWorkScales;
  for (int64_t t = 0; t < R * a.token_count; ++t) S::store(sums + t * 16, S::zero());
  for (int64_t k = 0; k < layout.columns; k += kPanelColumns) {
    const PanelPlace place = place_panel(layout, k / kPanelColumns);
    const int64_t group = k / layout.group;
    for (int r = 0; r < R; ++r) {
      const std::byte* from = block + static_cast<size_t>(r) * layout.block_bytes;
      expand_scales<S>(from + place.scales, layout.scale_type, place.groups, kScaleFactor<kLayout>,
                       scales + r * kScaleStride);
      if (has_offsets<kLayout>())
        expand_scales<S>(from + place.offsets, layout.scale_type, place.groups, 1,
                         offsets + r * kScaleStride);
      unpack_integer<S, kLayout>(from + place.weights, place.columns, tile + r * kTileStride);
    }
    const Panel panel{tile, place.groups, layout.group, scales, offsets};
    float* out = sums;
    for (int64_t i = 0; i < a.token_blocks; ++i) {
      const TokenBlock& t = a.tokens[i];
      const Activations x{t.pairs + k / 2 * t.tokens, t.scales + group * t.tokens,
                          t.sums + group * t.tokens};
      for_tokens<S::kTileTokens>(t.tokens, [&]<int T>() {
        integer_tile<S, T, R, has_offsets<kLayout>()>(panel, x, out, stride);
      });
      out += t.tokens * 16;
    }
  }
}

template <class S, L kLayout>
void product_integer(const ProductArgs& a) {
  const bool direct = takes_direct<S>(a);
  for (int64_t b = 0; b < a.blocks;) {
    const std::byte* block = a.weights + static_cast<size_t>(b) * a.layout->block_bytes;
    const int side = !direct && b + S::kTileSide <= a.blocks ? S::kTileSide : 1;
    if (direct)
      product_integer_direct<S, kLayout>(a, block);
    else if (side == S::kTileSide)
      product_integer_tiles<S, kLayout, S::kTileSide>(a, block);
    else
      product_integer_tiles<S, kLayout, 1>(a, block);
    for (int r = 0; r < side; ++r, ++b)
      write_block<S>(a, b, 0, a.token_count, a.work + r * a.token_count * 16);
  }
}

// f32 values of columns [k, k + columns) of a row block, [columns][16].
template <class S, L kLayout>
void unpack_float(const BlockLayout& layout, const std::byte* block, int64_t k, int64_t columns,
                  float* tile) {
  if constexpr (kLayout == L::kF16) {
    const auto* w = reinterpret_cast<const uint16_t*>(block) + k * 16;
    for (int64_t i = 0; i < columns; ++i) S::store(tile + i * 16, S::load_f16(w + i * 16));
  } else if constexpr (kLayout == L::kBF16) {
    const auto* w = reinterpret_cast<const uint16_t*>(block) + k * 16;
    for (int64_t i = 0; i < columns; i += 2) {
      const auto pair = S::load_i(w + i * 16);
      S::store(tile + i * 16, S::bf16_even(pair));
      S::store(tile + i * 16 + 16, S::bf16_odd(pair));
    }
  } else {
    const PanelPlace place = place_panel(layout, k / kPanelColumns);
    const int64_t scale_size = scale_bytes(layout.scale_type) * 16;
    const int64_t first = k % kPanelColumns;  // column in the panel
    const std::byte* w = block + place.weights;
    float scales[16] = {}, offsets[16] = {};
    for (int64_t i = 0; i < columns; i += layout.group) {
      const int64_t group = (first + i) / layout.group * scale_size;
      expand_scales<S>(block + place.scales + group, layout.scale_type, 1, 1, scales);
      const auto scale = S::load(scales);
      if constexpr (kLayout == L::kFp8) {
        const auto* code = reinterpret_cast<const uint8_t*>(w) + (first + i) * 16;
        for (int64_t j = 0; j < layout.group; ++j)
          S::store(tile + (i + j) * 16, S::mul(scale, S::load_e4m3(code + j * 16)));
      } else {
        expand_scales<S>(block + place.offsets + group, layout.scale_type, 1, 1, offsets);
        const auto offset = S::load(offsets), scale_high = S::mul(scale, S::broadcast(0x1p-16f));
        const auto low = S::broadcast_i(0xffff),
                   high = S::broadcast_i(static_cast<int>(0xffff0000u));
        for (int64_t j = 0; j < layout.group; j += step_columns<kLayout>())
          Step<S, kLayout>::pairs(
              w + (first + i + j) / step_columns<kLayout>() * step_bytes<kLayout>(),
              [&](int pair, typename S::I32 q) MICA_ALWAYS {
                float* to = tile + (i + j + 2 * pair) * 16;
                S::store(to, S::fma(scale, S::to_f32(S::and_i(q, low)), offset));
                S::store(to + 16, S::fma(scale_high, S::to_f32(S::and_i(q, high)), offset));
              });
      }
    }
  }
}

template <class S, L kLayout>
void product_float_block(const ProductArgs& a, const std::byte* block) {
  float* sums = a.work;
  float* unpacked = sums + kWorkSums;
  for (int64_t t = 0; t < a.token_count; ++t) S::store(sums + t * 16, S::zero());
  for (int64_t k = 0; k < a.layout->columns; k += kFloatPanel) {
    const int64_t columns =
        a.layout->columns - k < kFloatPanel ? a.layout->columns - k : kFloatPanel;
    const float* tile = unpacked;
    if constexpr (kLayout == L::kF32)
      tile = reinterpret_cast<const float*>(block) + k * 16;
    else
      unpack_float<S, kLayout>(*a.layout, block, k, columns, unpacked);
    float* out = sums;
    for (int64_t i = 0; i < a.token_blocks; ++i) {
      const TokenBlock& t = a.tokens[i];
      for_tokens<S::kTileTokens>(
          t.tokens, [&]<int T>() { float_tile<S, T>(tile, columns, t.values + k * T, out); });
      out += t.tokens * 16;
    }
  }
}

template <class S, L kLayout>
constexpr bool is_dense() {
  return kLayout == L::kF32 || kLayout == L::kF16 || kLayout == L::kBF16;
}

// Dense weights, few tokens.
template <class S, L kLayout, int T>
void product_direct(const ProductArgs& a, const TokenBlock& tokens, int64_t first_token) {
  constexpr int kSide = T == 1 ? S::kDenseSide : T == 2 ? 2 : 1;  // row blocks side by side
  const size_t stride = a.layout->block_bytes;
  for (int64_t b = 0; b < a.blocks;) {
    const std::byte* w = a.weights + static_cast<size_t>(b) * stride;
    const bool several = kSide > 1 && b + kSide <= a.blocks;
    if (several)
      float_direct<S, kLayout, T, kSide>(w, stride, a.layout->columns, tokens.values, a.work);
    else
      float_direct<S, kLayout, T, 1>(w, stride, a.layout->columns, tokens.values, a.work);
    for (int r = 0; r < (several ? kSide : 1); ++r, ++b)
      write_block<S>(a, b, first_token, T, a.work + r * T * 16);
  }
}

template <class S, L kLayout>
void product_float(const ProductArgs& a) {
  if constexpr (is_dense<S, kLayout>()) {
    if (takes_direct<S>(a)) {
      int64_t first = 0;
      for (int64_t i = 0; i < a.token_blocks; first += a.tokens[i++].tokens)
        for_tokens<S::kDirectTokens>(a.tokens[i].tokens, [&]<int T>() {
          product_direct<S, kLayout, T>(a, a.tokens[i], first);
        });
      return;
    }
  }
  for (int64_t b = 0; b < a.blocks; ++b) {
    product_float_block<S, kLayout>(a, a.weights + static_cast<size_t>(b) * a.layout->block_bytes);
    write_block<S>(a, b, 0, a.token_count, a.work);
  }
}

template <class S, L kLayout>
void product_either(const ProductArgs& a) {
  if (a.layout->integer)
    product_integer<S, kLayout>(a);
  else
    product_float<S, kLayout>(a);
}

template <class S>
void product(const ProductArgs& a) {
  switch (a.layout->layout) {
    case L::kF32: return product_float<S, L::kF32>(a);
    case L::kF16: return product_float<S, L::kF16>(a);
    case L::kBF16: return product_float<S, L::kBF16>(a);
    case L::kFp8: return product_float<S, L::kFp8>(a);
    case L::kFp4: return product_integer<S, L::kFp4>(a);
    case L::kQ2: return product_either<S, L::kQ2>(a);
    case L::kQ3: return product_either<S, L::kQ3>(a);
    case L::kQ4: return product_either<S, L::kQ4>(a);
    case L::kQ5: return product_either<S, L::kQ5>(a);
    case L::kQ6: return product_either<S, L::kQ6>(a);
    case L::kQ8: return product_either<S, L::kQ8>(a);
  }
}

}  // namespace mica::kernels
