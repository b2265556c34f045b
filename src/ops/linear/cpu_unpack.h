// Weights out of their packed layouts (cpu_layout.h), one step at a time.
#pragma once

#include "ops/linear/cpu_layout.h"

#define MICA_ALWAYS __attribute__((always_inline))  // after a lambda's parameters

namespace mica::kernels {

using L = CpuLayout;

// Columns of one step, and its bytes for 16 rows.
template <L kLayout>
constexpr int step_columns() {
  return kLayout == L::kFp4 ? 16 : 32;
}
MICA_INLINE constexpr int layout_bits(L layout) {
  switch (layout) {
    case L::kF32: return 32;
    case L::kF16:
    case L::kBF16: return 16;
    case L::kFp8:
    case L::kQ8: return 8;
    case L::kQ2: return 2;
    case L::kQ3: return 3;
    case L::kQ4:
    case L::kFp4: return 4;
    case L::kQ5: return 5;
    case L::kQ6: return 6;
  }
  return 0;
}
template <L kLayout>
constexpr int64_t step_bytes() {
  return step_columns<kLayout>() * layout_bits(kLayout) * kBlockRows / 8;
}

// Both halves of every lane moved by N bits: right for N > 0, left for N < 0.
template <class S, int N>
MICA_INLINE typename S::I32 moved(typename S::I32 v) {
  if constexpr (N > 0)
    return S::template shift_right16<N>(v);
  else if constexpr (N < 0)
    return S::template shift_left16<-N>(v);
  else
    return v;
}

template <class S>
MICA_INLINE typename S::I32 both_halves(int bits) {
  return S::broadcast_i(bits | (bits << 16));
}

// Field J of `Bits` bits of both halves, left where `To` says.
template <class S, int Bits, int J, int To>
MICA_INLINE typename S::I32 field(typename S::I32 v) {
  if constexpr (To == 0 && Bits * (J + 1) == 16)
    return moved<S, Bits * J>(v);
  else
    return S::and_i(moved<S, Bits * J - To>(v), both_halves<S>(((1 << Bits) - 1) << To));
}

// Calls use(p, w) for the step's pairs p in order, w the pair's 16-bit integers for 16 rows.
template <class S, L kLayout>
struct Step;

template <class S>
struct Step<S, L::kQ4> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      auto v = S::load_i(p + 64 * i);
      S::keep(v);  // loaded once, not by each shift
      use(4 * i, field<S, 4, 0, 0>(v));
      use(4 * i + 1, field<S, 4, 1, 0>(v));
      use(4 * i + 2, field<S, 4, 2, 0>(v));
      use(4 * i + 3, field<S, 4, 3, 0>(v));
    }
  }
};

template <class S>
struct Step<S, L::kQ2> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      auto v = S::load_i(p + 64 * i);
      S::keep(v);
      use(8 * i, field<S, 2, 0, 0>(v));
      use(8 * i + 1, field<S, 2, 1, 0>(v));
      use(8 * i + 2, field<S, 2, 2, 0>(v));
      use(8 * i + 3, field<S, 2, 3, 0>(v));
      use(8 * i + 4, field<S, 2, 4, 0>(v));
      use(8 * i + 5, field<S, 2, 5, 0>(v));
      use(8 * i + 6, field<S, 2, 6, 0>(v));
      use(8 * i + 7, field<S, 2, 7, 0>(v));
    }
  }
};

template <class S>
struct Step<S, L::kQ8> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      auto v = S::load_i(p + 64 * i);
      S::keep(v);
      use(2 * i, field<S, 8, 0, 0>(v));
      use(2 * i + 1, field<S, 8, 1, 0>(v));
    }
  }
};

template <class S>
struct Step<S, L::kQ3> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
    const auto low0 = S::load_i(p), low1 = S::load_i(p + 64), high = S::load_i(p + 128);
    eight<0>(low0, high, use);
    eight<8>(low1, high, use);
  }

 private:
  template <int P, class Use>
  static MICA_INLINE void eight(typename S::I32 low, typename S::I32 high, Use&& use) {
    use(P, S::or_i(field<S, 2, 0, 0>(low), field<S, 1, P, 2>(high)));
    use(P + 1, S::or_i(field<S, 2, 1, 0>(low), field<S, 1, P + 1, 2>(high)));
    use(P + 2, S::or_i(field<S, 2, 2, 0>(low), field<S, 1, P + 2, 2>(high)));
    use(P + 3, S::or_i(field<S, 2, 3, 0>(low), field<S, 1, P + 3, 2>(high)));
    use(P + 4, S::or_i(field<S, 2, 4, 0>(low), field<S, 1, P + 4, 2>(high)));
    use(P + 5, S::or_i(field<S, 2, 5, 0>(low), field<S, 1, P + 5, 2>(high)));
    use(P + 6, S::or_i(field<S, 2, 6, 0>(low), field<S, 1, P + 6, 2>(high)));
    use(P + 7, S::or_i(field<S, 2, 7, 0>(low), field<S, 1, P + 7, 2>(high)));
  }
};

template <class S>
struct Step<S, L::kQ5> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
    const auto high = S::load_i(p + 256);
    four<0>(S::load_i(p), high, use);
    four<4>(S::load_i(p + 64), high, use);
    four<8>(S::load_i(p + 128), high, use);
    four<12>(S::load_i(p + 192), high, use);
  }

 private:
  template <int P, class Use>
  static MICA_INLINE void four(typename S::I32 low, typename S::I32 high, Use&& use) {
    use(P, S::or_i(field<S, 4, 0, 0>(low), field<S, 1, P, 4>(high)));
    use(P + 1, S::or_i(field<S, 4, 1, 0>(low), field<S, 1, P + 1, 4>(high)));
    use(P + 2, S::or_i(field<S, 4, 2, 0>(low), field<S, 1, P + 2, 4>(high)));
    use(P + 3, S::or_i(field<S, 4, 3, 0>(low), field<S, 1, P + 3, 4>(high)));
  }
};

template <class S>
struct Step<S, L::kQ6> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
    const auto high0 = S::load_i(p + 256), high1 = S::load_i(p + 320);
    four<0, 0>(S::load_i(p), high0, use);
    four<4, 4>(S::load_i(p + 64), high0, use);
    four<8, 0>(S::load_i(p + 128), high1, use);
    four<12, 4>(S::load_i(p + 192), high1, use);
  }

 private:
  template <int P, int J, class Use>
  static MICA_INLINE void four(typename S::I32 low, typename S::I32 high, Use&& use) {
    use(P, S::or_i(field<S, 4, 0, 0>(low), field<S, 2, J, 4>(high)));
    use(P + 1, S::or_i(field<S, 4, 1, 0>(low), field<S, 2, J + 1, 4>(high)));
    use(P + 2, S::or_i(field<S, 4, 2, 0>(low), field<S, 2, J + 2, 4>(high)));
    use(P + 3, S::or_i(field<S, 4, 3, 0>(low), field<S, 2, J + 3, 4>(high)));
  }
};

// E2M1 values times two, by code.
constexpr int8_t kTwiceE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

template <class S>
struct Step<S, L::kFp4> {
  template <class Use>
  static MICA_INLINE void pairs(const std::byte* p, Use&& use) {
    const auto table = S::table16(kTwiceE2m1);
    const auto mask = S::broadcast_i(0x0f0f0f0f);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const auto v = S::load_i(p + 64 * i);
      const auto a = S::lookup(table, S::and_i(v, mask));
      const auto b = S::lookup(table, S::and_i(S::template shift_right16<4>(v), mask));
      use(4 * i, low_bytes(a));
      use(4 * i + 1, S::template shift_right_signed16<8>(a));
      use(4 * i + 2, low_bytes(b));
      use(4 * i + 3, S::template shift_right_signed16<8>(b));
    }
  }

 private:
  static MICA_INLINE typename S::I32 low_bytes(typename S::I32 v) {
    return S::template shift_right_signed16<8>(S::template shift_left16<8>(v));
  }
};

// Scales (or offsets) of group g of a row block as f32, times `factor` (of 8-bit ones).
template <class S>
MICA_INLINE typename S::F32 load_scale(const std::byte* from, ScaleType type, int64_t g,
                                       float factor) {
  const auto* half = reinterpret_cast<const uint16_t*>(from) + 16 * g;
  const auto* code = reinterpret_cast<const uint8_t*>(from) + 16 * g;
  switch (type) {
    case ScaleType::kBF16: return S::load_bf16(half);
    case ScaleType::kF16: return S::load_f16(half);
    case ScaleType::kE8M0: return S::mul(S::broadcast(factor), S::load_e8m0(code));
    case ScaleType::kE4M3: return S::mul(S::broadcast(factor), S::load_e4m3(code));
    case ScaleType::kF32: return S::load(reinterpret_cast<const float*>(from) + 16 * g);
    case ScaleType::kNone: break;
  }
  return S::zero();
}

// The same of `groups` groups, [groups][16].
template <class S>
inline void expand_scales(const std::byte* from, ScaleType type, int64_t groups, float factor,
                          float* out) {
  for (int64_t g = 0; g < groups; ++g) S::store(out + 16 * g, load_scale<S>(from, type, g, factor));
}

}  // namespace mica::kernels
