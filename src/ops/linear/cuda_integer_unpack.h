// Weights of cuda_integer.h as registers of a kernel: codes as fragments, scales as f32.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/linear/cuda_integer.h"

namespace mica::MICA_GPU {

using gpu::IntegerFormat;

// 2^(code - 127); the lowest one is subnormal, the highest is not finite.
MICA_DEVICE float e8m0_scale(uint32_t code) {
  const uint32_t bits = code << 23;
  return as_float(bits > 0x00400000u ? bits : 0x00400000u);
}

// As f16, subnormal values too, the exponent is 8 too low; 0x7f and 0xff are NaN.
MICA_DEVICE float e4m3_scale(uint32_t code) {
  const uint32_t magnitude = code & 0x7f;
  if (magnitude == 0x7f) return as_float(0x7fc00000u);
  return 256 * to_float(f16{static_cast<uint16_t>((code & 0x80) << 8 | magnitude << 7)});
}

template <IntegerFormat kFormat>
inline constexpr bool kAffine = kFormat < IntegerFormat::kMxfp4;

// Of a code. In order of the formats.
inline constexpr int kFormatBits[] = {2, 3, 4, 5, 6, 8, 4, 4};
template <IntegerFormat kFormat>
inline constexpr int kBitsOf = kFormatBits[static_cast<int>(kFormat)];

// The codes of a unit as the A registers of mma.m16n8k32: [columns 0-31, 32-63][register].
using Fragment = uint32_t[2][4];

// Field kField of kBits bits of every byte, moved to bit kTo.
template <int kBits, int kField, int kTo>
MICA_DEVICE uint32_t field_of(uint32_t word) {
  constexpr uint32_t kMask = (((1u << kBits) - 1) << kTo) * 0x01010101u;
  constexpr int kShift = kField * kBits - kTo;
  if constexpr (kShift > 0) return word >> kShift & kMask;
  if constexpr (kShift < 0) return word << -kShift & kMask;
  return word & kMask;
}

// Adds a lane's words of a plane to the registers, above kTo bits that are there.
template <int kBits, int kTo>
MICA_DEVICE void add_plane(const uint32_t (&words)[kBits], Fragment& a) {
  constexpr int kFields = 8 / kBits;
  const auto add = [&]<int kRegister>(uint32_t& out) {
    const uint32_t bits = field_of<kBits, kRegister % kFields, kTo>(words[kRegister / kFields]);
    out = kTo == 0 ? bits : out | bits;
  };
  add.template operator()<0>(a[0][0]);
  add.template operator()<1>(a[0][1]);
  add.template operator()<2>(a[0][2]);
  add.template operator()<3>(a[0][3]);
  add.template operator()<4>(a[1][0]);
  add.template operator()<5>(a[1][1]);
  add.template operator()<6>(a[1][2]);
  add.template operator()<7>(a[1][3]);
}

// A lane's words of a plane, at its place there. Place: an ordinary pointer to bytes or
// SharedPlace.
template <typename Place>
MICA_DEVICE void load_plane(Place own, uint32_t (&words)[8]) {
  const Bytes16 low = load16(own), high = load16(own + 512);
  for (int i = 0; i < 4; ++i) words[i] = low.word[i];
  for (int i = 0; i < 4; ++i) words[4 + i] = high.word[i];
}
template <typename Place>
MICA_DEVICE void load_plane(Place own, uint32_t (&words)[4]) {
  const Bytes16 v = load16(own);
  for (int i = 0; i < 4; ++i) words[i] = v.word[i];
}
template <typename Place>
MICA_DEVICE void load_plane(Place own, uint32_t (&words)[2]) {
  const Bytes8 v = load8(own);
  words[0] = v.word[0];
  words[1] = v.word[1];
}
template <typename Place>
MICA_DEVICE void load_plane(Place own, uint32_t (&words)[1]) {
  words[0] = load4(own);
}

// Four E2M1 codes, the low nibbles of `selector`, times two as signed bytes: 0 1 2 3 4 6 8 12.
MICA_DEVICE uint32_t twice_e2m1(uint32_t selector, uint32_t signs) {
  const uint32_t positive = prmt(0x03020100u, 0x0c080604u, selector);
  const uint32_t negative = prmt(0xfdfeff00u, 0xf4f8fafcu, selector);
  return prmt(positive, negative, signs);  // byte i of the first, or of the second
}

MICA_DEVICE void unpack_e2m1(const uint32_t (&words)[4], Fragment& a) {
  MICA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const uint32_t selectors = words[i] & 0x77777777u;
    const uint32_t signs = (words[i] >> 1 & 0x44444444u) | 0x32103210u;
    uint32_t* out = &a[i / 2][i % 2 * 2];
    out[0] = twice_e2m1(selectors, signs);
    out[1] = twice_e2m1(selectors >> 16, signs >> 16);
  }
}

// A lane's codes of a unit as they lie in memory.
template <IntegerFormat kFormat>
struct CodeWords {
  static constexpr int kBits = kBitsOf<kFormat>;
  static constexpr int kLower = kBits == 8 ? 8 : kBits >= 4 ? 4 : 2;
  static constexpr int kUpper = kBits - kLower;  // 0 = one plane
  // Bytes from lane to lane in the lower plane, and from a lane's place there to its other one.
  static constexpr int kLaneStep = kLower == 2 ? 8 : 16;
  static constexpr int kUpperStep = 4 * kUpper - kLaneStep;
  uint32_t lower[kLower];
  uint32_t upper[kUpper ? kUpper : 1];
};

// own: the unit's codes + lane * kLaneStep.
template <IntegerFormat kFormat, typename Place>
MICA_DEVICE void load_codes(Place own, int lane, CodeWords<kFormat>& words) {
  using Words = CodeWords<kFormat>;
  load_plane(own, words.lower);
  if constexpr (Words::kUpper > 0)
    load_plane(own + (128 * Words::kLower + lane * Words::kUpperStep), words.upper);
}

template <IntegerFormat kFormat>
MICA_DEVICE void unpack_codes(const CodeWords<kFormat>& words, Fragment& a) {
  using Words = CodeWords<kFormat>;
  if constexpr (!kAffine<kFormat>) {
    unpack_e2m1(words.lower, a);
  } else {
    add_plane<Words::kLower, 0>(words.lower, a);
    if constexpr (Words::kUpper > 0) add_plane<Words::kUpper, Words::kLower>(words.upper, a);
  }
}

// Of a lane's rows g and g + 8.
struct RowScales {
  float scale[2], offset[2];
};

// How the scales of affine weights lie.
struct ScaleKind {
  bool halves;  // groups of 32 columns: two of a unit
  DType type;

  // Of a lane, which has rows g and g + 8.
  MICA_DEVICE int bytes() const { return (type == DType::kF32 ? 16 : 8) << halves; }
};

// The kinds that are worth a loop of their own, which then has no branches on them.
enum class ScaleCase { kWhole16, kHalves16, kF32 };

// The kind, as far as the compiler shall know it.
template <ScaleCase kCase>
MICA_DEVICE ScaleKind known(ScaleKind kind) {
  if constexpr (kCase == ScaleCase::kF32) return {kind.halves, DType::kF32};
  return {kCase == ScaleCase::kHalves16, kind.type == DType::kF16 ? DType::kF16 : DType::kBF16};
}

// Calls f.operator()<kCase>() for the layout's kind.
template <IntegerFormat kFormat, typename F>
MICA_DEVICE void with_scale_case(const gpu::IntegerLayout& l, F&& f) {
  if constexpr (!kAffine<kFormat>)
    f.template operator()<ScaleCase::kHalves16>();
  else if (l.scale_type == DType::kF32)
    f.template operator()<ScaleCase::kF32>();
  else if (l.group == 32)
    f.template operator()<ScaleCase::kHalves16>();
  else
    f.template operator()<ScaleCase::kWhole16>();
}

// A lane's scales of a unit as they lie in memory: the first 16 bytes, which are all but for groups
// of 32 with scales in f32.
struct ScaleWords {
  uint32_t word[4];
};

// scales: the lane's place.
template <IntegerFormat kFormat, typename Place>
MICA_DEVICE void load_scales(Place scales, ScaleKind kind, ScaleWords& words) {
  if constexpr (kFormat == IntegerFormat::kMxfp4) {
    words.word[0] = load4(scales);
  } else if (kFormat == IntegerFormat::kNvfp4 || (kind.type != DType::kF32 && !kind.halves)) {
    const Bytes8 v = load8(scales);
    for (int i = 0; i < 2; ++i) words.word[i] = v.word[i];
  } else {
    const Bytes16 v = load16(scales);
    for (int i = 0; i < 4; ++i) words.word[i] = v.word[i];
  }
}

template <IntegerFormat kFormat>
MICA_DEVICE int scale_bytes_of(ScaleKind kind) {
  return kFormat == IntegerFormat::kMxfp4 ? 4 : kFormat == IntegerFormat::kNvfp4 ? 8 : kind.bytes();
}

// Two pairs of a scale and an offset in 16 bits each, or in f32.
MICA_DEVICE RowScales scales_from16(uint32_t first, uint32_t second, DType type) {
  const auto low = [](uint32_t word) { return static_cast<uint16_t>(word); };
  const auto high = [](uint32_t word) { return static_cast<uint16_t>(word >> 16); };
  if (type == DType::kF16)
    return {{to_float(f16{low(first)}), to_float(f16{low(second)})},
            {to_float(f16{high(first)}), to_float(f16{high(second)})}};
  return {{to_float(bf16{low(first)}), to_float(bf16{low(second)})},
          {to_float(bf16{high(first)}), to_float(bf16{high(second)})}};
}
MICA_DEVICE RowScales scales_from32(const uint32_t (&word)[4]) {
  return {{as_float(word[0]), as_float(word[2])}, {as_float(word[1]), as_float(word[3])}};
}

// The scales of a unit as sums take them.
template <IntegerFormat kFormat>
struct UnitScales {
  RowScales group[2];  // the second with groups of 32
};
template <>
struct UnitScales<IntegerFormat::kMxfp4> {
  uint32_t codes;  // [o][group]
};
template <>
struct UnitScales<IntegerFormat::kNvfp4> {
  uint32_t codes[2];  // [o][group]
};

// words, which were loaded from `scales`.
template <IntegerFormat kFormat, typename Place>
MICA_DEVICE UnitScales<kFormat> unpack_scales(const ScaleWords& words, Place scales,
                                              ScaleKind kind) {
  UnitScales<kFormat> result;
  if constexpr (kFormat == IntegerFormat::kMxfp4) {
    result.codes = words.word[0];
  } else if constexpr (kFormat == IntegerFormat::kNvfp4) {
    result.codes[0] = words.word[0];
    result.codes[1] = words.word[1];
  } else if (kind.type == DType::kF32) {
    result.group[0] = scales_from32(words.word);
    if (kind.halves) result.group[1] = scales_from32(load16(scales + 16).word);
  } else {
    result.group[0] = scales_from16(words.word[0], words.word[1], kind.type);
    if (kind.halves) result.group[1] = scales_from16(words.word[2], words.word[3], kind.type);
  }
  return result;
}

// By what a unit's sums of codes and scales are too small: E2M1 codes are twice the values, E4M3
// scales are read as f16, whose exponent is 8 higher.
template <IntegerFormat kFormat>
inline constexpr float kSumFactor = kFormat == IntegerFormat::kMxfp4   ? 0.5f
                                    : kFormat == IntegerFormat::kNvfp4 ? 128.0f
                                                                       : 1.0f;

// Of group `i` of a unit. E4M3 codes that are NaN, which no quantizer writes, count as 480.
template <IntegerFormat kFormat>
MICA_DEVICE RowScales scales_of(const UnitScales<kFormat>& scales, int i) {
  if constexpr (kFormat == IntegerFormat::kMxfp4) {
    const uint32_t codes = scales.codes >> 8 * i;
    return {{e8m0_scale(codes & 0xff), e8m0_scale(codes >> 16 & 0xff)}, {}};
  } else if constexpr (kFormat == IntegerFormat::kNvfp4) {
    // Byte i of both words into the upper bytes of two 16-bit halves.
    const uint32_t codes = prmt(scales.codes[0], scales.codes[1], 0x4000u + 0x1010u * i);
    const uint32_t halves = (codes & 0x80008000u) | (codes >> 1 & 0x3f803f80u);
    return {{to_float(f16{static_cast<uint16_t>(halves)}),
             to_float(f16{static_cast<uint16_t>(halves >> 16)})},
            {}};
  } else {
    return scales.group[i];
  }
}

}  // namespace mica::MICA_GPU
