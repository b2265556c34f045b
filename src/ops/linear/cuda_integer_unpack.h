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

struct alignas(8) Bytes8 {
  uint32_t word[2];
};

MICA_DEVICE void load_plane(const std::byte* plane, int lane, uint32_t (&words)[8]) {
  const Bytes16 low = load16(plane + lane * 16), high = load16(plane + 512 + lane * 16);
  for (int i = 0; i < 4; ++i) words[i] = low.word[i];
  for (int i = 0; i < 4; ++i) words[4 + i] = high.word[i];
}
MICA_DEVICE void load_plane(const std::byte* plane, int lane, uint32_t (&words)[4]) {
  const Bytes16 v = load16(plane + lane * 16);
  for (int i = 0; i < 4; ++i) words[i] = v.word[i];
}
MICA_DEVICE void load_plane(const std::byte* plane, int lane, uint32_t (&words)[2]) {
  const Bytes8 v = *reinterpret_cast<const Bytes8*>(plane + lane * 8);
  words[0] = v.word[0];
  words[1] = v.word[1];
}
MICA_DEVICE void load_plane(const std::byte* plane, int lane, uint32_t (&words)[1]) {
  words[0] = *reinterpret_cast<const uint32_t*>(plane + lane * 4);
}

template <int kBits, int kTo>
MICA_DEVICE void take_plane(const std::byte* plane, int lane, Fragment& a) {
  uint32_t words[kBits];
  load_plane(plane, lane, words);
  add_plane<kBits, kTo>(words, a);
}

// Four E2M1 codes, the low nibbles of `selector`, times two as signed bytes: 0 1 2 3 4 6 8 12.
MICA_DEVICE uint32_t twice_e2m1(uint32_t selector, uint32_t signs) {
  const uint32_t positive = prmt(0x03020100u, 0x0c080604u, selector);
  const uint32_t negative = prmt(0xfdfeff00u, 0xf4f8fafcu, selector);
  return prmt(positive, negative, signs);  // byte i of the first, or of the second
}

MICA_DEVICE void take_e2m1(const std::byte* codes, int lane, Fragment& a) {
  const Bytes16 v = load16(codes + lane * 16);
  for (int i = 0; i < 4; ++i) {
    const uint32_t selectors = v.word[i] & 0x77777777u;
    const uint32_t signs = (v.word[i] >> 1 & 0x44444444u) | 0x32103210u;
    uint32_t* out = &a[i / 2][i % 2 * 2];
    out[0] = twice_e2m1(selectors, signs);
    out[1] = twice_e2m1(selectors >> 16, signs >> 16);
  }
}

// A lane's codes of a unit.
template <IntegerFormat kFormat>
MICA_DEVICE void take_codes(const std::byte* codes, int lane, Fragment& a) {
  constexpr int kBits = kBitsOf<kFormat>;
  if constexpr (!kAffine<kFormat>) {
    take_e2m1(codes, lane, a);
  } else {
    constexpr int kLower = kBits == 8 ? 8 : kBits >= 4 ? 4 : 2;
    take_plane<kLower, 0>(codes, lane, a);
    if constexpr (kBits > kLower) take_plane<kBits - kLower, kLower>(codes + 128 * kLower, lane, a);
  }
}

// Of a lane's rows g and g + 8.
struct RowScales {
  float scale[2], offset[2];
};

// From the pairs of g, [o] {scale, offset}.
MICA_DEVICE RowScales affine_scales(const std::byte* scales, int g, DType dtype) {
  if (dtype == DType::kF32) {
    const Bytes16 v = load16(scales + g * 16);
    return {{as_float(v.word[0]), as_float(v.word[2])}, {as_float(v.word[1]), as_float(v.word[3])}};
  }
  const Bytes8 v = *reinterpret_cast<const Bytes8*>(scales + g * 8);
  const auto low = [&](int o) { return static_cast<uint16_t>(v.word[o]); };
  const auto high = [&](int o) { return static_cast<uint16_t>(v.word[o] >> 16); };
  if (dtype == DType::kF16)
    return {{to_float(f16{low(0)}), to_float(f16{low(1)})},
            {to_float(f16{high(0)}), to_float(f16{high(1)})}};
  return {{to_float(bf16{low(0)}), to_float(bf16{low(1)})},
          {to_float(bf16{high(0)}), to_float(bf16{high(1)})}};
}

// The scales of a unit as a lane keeps them.
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

template <IntegerFormat kFormat>
MICA_DEVICE UnitScales<kFormat> take_scales(const std::byte* scales, int g, bool halves,
                                            DType dtype) {
  UnitScales<kFormat> result;
  if constexpr (kFormat == IntegerFormat::kMxfp4) {
    result.codes = *reinterpret_cast<const uint32_t*>(scales + g * 4);
  } else if constexpr (kFormat == IntegerFormat::kNvfp4) {
    const Bytes8 codes = *reinterpret_cast<const Bytes8*>(scales + g * 8);
    result.codes[0] = codes.word[0];
    result.codes[1] = codes.word[1];
  } else {
    result.group[0] = affine_scales(scales, g, dtype);
    if (halves)
      result.group[1] = affine_scales(scales + (dtype == DType::kF32 ? 128 : 64), g, dtype);
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
