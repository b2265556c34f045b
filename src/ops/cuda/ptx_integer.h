// PTX on the registers of one thread: integer dot products, logic, bytes and conversions.
#pragma once

#include <type_traits>

#include "ops/cuda/target.h"
#ifndef __CUDACC__
#include <bit>
#include <cmath>

#include "tensor/dtype.h"
#endif

namespace mica::MICA_GPU {

#ifndef __CUDACC__
// c + the sum over bytes of a * b, a's as A, b's signed.
template <typename A>
int32_t dot_bytes(uint32_t a, uint32_t b, int32_t c) {
  auto sum = static_cast<uint32_t>(c);
  for (int i = 0; i < 4; ++i)
    sum += static_cast<uint32_t>(static_cast<A>(a >> 8 * i & 0xff) *
                                 static_cast<int8_t>(b >> 8 * i & 0xff));
  return static_cast<int32_t>(sum);
}
#endif

// "dp4a": c + the sum over bytes of a * b; all signed.
MICA_DEVICE int32_t dp4a(uint32_t a, uint32_t b, int32_t c) {
#ifdef __CUDACC__
  int32_t d;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#else
  return dot_bytes<int8_t>(a, b, c);
#endif
}

// "dp4a" with unsigned a, signed b.
MICA_DEVICE int32_t dp4a_us(uint32_t a, uint32_t b, int32_t c) {
#ifdef __CUDACC__
  int32_t d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#else
  return dot_bytes<uint8_t>(a, b, c);
#endif
}

// "lop3": any function of three bits; kTable is that function of a = 0xf0, b = 0xcc, c = 0xaa.
template <int kTable>
MICA_DEVICE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c) {
  static_assert(kTable >= 0 && kTable < 256);
#ifdef __CUDACC__
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(kTable));
  return d;
#else
  uint32_t d = 0;
  for (int i = 0; i < 8; ++i)
    if (kTable >> i & 1) d |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return d;
#endif
}

// "prmt", default mode: byte i of the result is byte (selector >> 4i & 7) of b:a, or its sign
// replicated where bit 3 of the selector's digit is set.
MICA_DEVICE uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector) {
#ifdef __CUDACC__
  uint32_t d;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
  return d;
#else
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t d = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t digit = selector >> 4 * i & 0xf;
    uint32_t byte = static_cast<uint32_t>(bytes >> 8 * (digit & 7)) & 0xff;
    if (digit & 8) byte = byte & 0x80 ? 0xff : 0;
    d |= byte << 8 * i;
  }
  return d;
#endif
}

// "popc".
MICA_DEVICE uint32_t count_bits(uint32_t a) {
#ifdef __CUDACC__
  uint32_t d;
  asm("popc.b32 %0, %1;" : "=r"(d) : "r"(a));
  return d;
#else
  return static_cast<uint32_t>(std::popcount(a));
#endif
}

// "mov" between register types.
MICA_DEVICE float as_float(uint32_t bits) {
#ifdef __CUDACC__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
MICA_DEVICE uint32_t as_bits(float value) {
#ifdef __CUDACC__
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

// 16-bit floats as kernels see them: bits, converted by the functions below.
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

MICA_DEVICE float to_float(float value) {
  return value;
}
MICA_DEVICE float to_float(bf16 value) {
  return as_float(static_cast<uint32_t>(value.bits) << 16);
}

// "cvt": exact up, to nearest even down.
MICA_DEVICE float to_float(f16 value) {
#ifdef __CUDACC__
  float d;
  asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(value.bits));
  return d;
#else
  return f16_to_f32(value.bits);
#endif
}

template <typename T>
MICA_DEVICE T from_float(float value);

template <>
MICA_DEVICE float from_float<float>(float value) {
  return value;
}
template <>
MICA_DEVICE bf16 from_float<bf16>(float value) {
#ifdef __CUDACC__
  bf16 d;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(d.bits) : "f"(value));
  return d;
#else
  return {f32_to_bf16(value)};
#endif
}
template <>
MICA_DEVICE f16 from_float<f16>(float value) {
#ifdef __CUDACC__
  f16 d;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(d.bits) : "f"(value));
  return d;
#else
  return {f32_to_f16(value)};
#endif
}

// "cvt" of two floats to a register of T, low in the lower bits.
template <typename T>
MICA_DEVICE uint32_t pack_pair(float low, float high) {
  static_assert(sizeof(T) == 2);
#ifdef __CUDACC__
  uint32_t d;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
#else
  return from_float<T>(low).bits | static_cast<uint32_t>(from_float<T>(high).bits) << 16;
#endif
}

// "ex2.approx.ftz": 2^value within 2^-22 of it; exactly 1 for 0 and 0 for minus infinity.
MICA_DEVICE float exp2_approx(float value) {
#ifdef __CUDACC__
  float d;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(d) : "f"(value));
  return d;
#else
  return std::exp2(value);
#endif
}

#ifndef __CUDACC__
// A product of two bf16 values, rounded once: by way of f32 rounded to odd where it is subnormal
// there, which leaves enough bits below bf16's.
inline uint16_t round_product(double product) {
  auto value = static_cast<float>(product);
  if (static_cast<double>(value) != product && value - value == 0) {
    auto bits = std::bit_cast<uint32_t>(value);
    if (std::abs(static_cast<double>(value)) > std::abs(product)) --bits;
    value = std::bit_cast<float>(bits | 1);
  }
  return f32_to_bf16(value);
}
#endif

// "fma.rn.bf16x2" with -0: both bf16 halves multiplied, subnormal values too.
MICA_DEVICE uint32_t mul_bf16x2(uint32_t a, uint32_t b) {
#ifdef __CUDACC__
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(0x80008000u));
  return d;
#else
  uint32_t d = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const double x = bf16_to_f32(static_cast<uint16_t>(a >> shift));
    const double y = bf16_to_f32(static_cast<uint16_t>(b >> shift));
    d |= static_cast<uint32_t>(round_product(x * y)) << shift;
  }
  return d;
#endif
}

}  // namespace mica::MICA_GPU
