// Element types of tensors, their sizes, names and conversions of single values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mica {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kU32,
  kI16,
  kU16,
  kI8,
  kU8,
  kBool,
  kF64
};

// Bytes per element.
constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kI64:
    case DType::kF64: return 8;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32: return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
    case DType::kU16: return 2;
    default: return 1;
  }
}

// "f32", "bf16", … as messages and mlx use them.
const char* name(DType dtype);

constexpr bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF64;
}

// bfloat16: the upper half of an f32. Conversions are exact up, round-to-nearest-even down.
inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// IEEE binary16, subnormals and infinities included.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

// OCP 8-bit and 4-bit floats of the mx and nv formats (OCP MX specification 1.0).
float e4m3_to_f32(uint8_t bits);    // E4M3FN: no infinities, 0x7f and 0xff are NaN
float e8m0_to_f32(uint8_t bits);    // 2^(bits - 127), bits = 0 gives 2^-127
float e2m1_to_f32(uint8_t nibble);  // 0 .5 1 1.5 2 3 4 6, sign in bit 3

}  // namespace mica
