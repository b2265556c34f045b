// Vectors for the kernels that are compiled once per instruction set (ops/CMakeLists.txt): the
// compiler's vector extensions, MICA_LANES floats wide, in the namespace MICA_ISA.
//
// A kernel file includes nothing that defines inline functions outside its own namespace: the
// linker would be free to keep the copy that was compiled for a newer processor.
#pragma once

#include <cstdint>
#include <cstring>

// Everything here is internal to its translation unit.
#define MICA_VEC static inline __attribute__((always_inline))

namespace mica::kernels::MICA_ISA {

constexpr int kLanes = MICA_LANES;

template <int N>
struct Vec;
template <>
struct Vec<4> {
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  typedef uint32_t U __attribute__((vector_size(16)));
  typedef uint16_t H __attribute__((vector_size(8)));
  typedef uint8_t B __attribute__((vector_size(4)));
  typedef uint8_t HalfB __attribute__((vector_size(2)));  // half as many
  typedef uint16_t HalfH __attribute__((vector_size(4)));
};
template <>
struct Vec<8> {
  typedef float F __attribute__((vector_size(32)));
  typedef int32_t I __attribute__((vector_size(32)));
  typedef uint32_t U __attribute__((vector_size(32)));
  typedef uint16_t H __attribute__((vector_size(16)));
  typedef uint8_t B __attribute__((vector_size(8)));
  typedef uint8_t HalfB __attribute__((vector_size(4)));  // half as many
  typedef uint16_t HalfH __attribute__((vector_size(8)));
};
template <>
struct Vec<16> {
  typedef float F __attribute__((vector_size(64)));
  typedef int32_t I __attribute__((vector_size(64)));
  typedef uint32_t U __attribute__((vector_size(64)));
  typedef uint16_t H __attribute__((vector_size(32)));
  typedef uint8_t B __attribute__((vector_size(16)));
  typedef uint8_t HalfB __attribute__((vector_size(8)));  // half as many
  typedef uint16_t HalfH __attribute__((vector_size(16)));
};

using F = Vec<kLanes>::F;

// Elements of the cache.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

template <typename To, typename From>
MICA_VEC To bits_as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <int N = kLanes>
MICA_VEC typename Vec<N>::F splat(float value) {
  return typename Vec<N>::F{} + value;
}

template <int N = kLanes>
MICA_VEC typename Vec<N>::F load(const float* from) {
  typename Vec<N>::F to;
  std::memcpy(&to, from, sizeof to);
  return to;
}

// N numbers of 8 or 16 bits as 32-bit integers. GCC 12 makes two to twenty instructions of a
// conversion that x86 has as one.
template <int N>
MICA_VEC typename Vec<N>::U load_integers(const uint8_t* from) {
#ifdef __AVX2__
  if constexpr (N >= 8) {
    typename Vec<N>::U wide;
    asm("vpmovzxbd %1, %0" : "=v"(wide) : "m"(*reinterpret_cast<const uint8_t(*)[N]>(from)));
    return wide;
  }
#endif
  typename Vec<N>::B narrow;
  std::memcpy(&narrow, from, sizeof narrow);
  return __builtin_convertvector(__builtin_convertvector(narrow, typename Vec<N>::H),
                                 typename Vec<N>::U);
}
template <int N>
MICA_VEC typename Vec<N>::U load_integers(const uint16_t* from) {
#ifdef __AVX2__
  if constexpr (N >= 8) {
    typename Vec<N>::U wide;
    asm("vpmovzxwd %1, %0" : "=v"(wide) : "m"(*reinterpret_cast<const uint16_t(*)[N]>(from)));
    return wide;
  }
#endif
  typename Vec<N>::H narrow;
  std::memcpy(&narrow, from, sizeof narrow);
  return __builtin_convertvector(narrow, typename Vec<N>::U);
}

template <int N = kLanes>
MICA_VEC typename Vec<N>::F load(const Bf16* from) {
  return bits_as<typename Vec<N>::F>(load_integers<N>(&from->bits) << 16);
}

// Exponent rebased by a product with 2^112, which also normalises subnormals.
template <int N = kLanes>
MICA_VEC typename Vec<N>::F load(const F16* from) {
  using U = typename Vec<N>::U;
  const U wide = load_integers<N>(&from->bits);
  const U magnitude = (wide & 0x7fff) << 13;
  const auto scaled = bits_as<typename Vec<N>::F>(magnitude) * 0x1p112f;
  const U special = (U)((wide & 0x7c00) == 0x7c00) & 0x7f800000u;  // infinities and NaN
  const U sign = (wide & 0x8000) << 16;
  return bits_as<typename Vec<N>::F>(bits_as<U>(scaled) | special | sign);
}

// N numbers of 4 bits, the first in the lowest bits, as integers.
MICA_VEC Vec<4>::U load_nibbles(const uint8_t* from, Vec<4>::U) {
  uint16_t word;
  std::memcpy(&word, from, sizeof word);
  return (Vec<4>::U{} + word) >> Vec<4>::U{0, 4, 8, 12} & 15u;
}
MICA_VEC Vec<8>::U load_nibbles(const uint8_t* from, Vec<8>::U) {
  uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return (Vec<8>::U{} + word) >> Vec<8>::U{0, 4, 8, 12, 16, 20, 24, 28} & 15u;
}
MICA_VEC Vec<16>::U load_nibbles(const uint8_t* from, Vec<16>::U) {
  using U = Vec<16>::U;
  uint32_t words[2];
  std::memcpy(words, from, sizeof words);
  const U low = U{} + words[0], high = U{} + words[1];
  const Vec<16>::I upper = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
  const U shifts = {0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28};
  return (upper ? high : low) >> shifts & 15u;
}

// Codes of kBits (8 or 4) bits as floats.
template <int kBits, int N = kLanes>
MICA_VEC typename Vec<N>::F load_codes(const uint8_t* from) {
  typename Vec<N>::U codes;
  if constexpr (kBits == 8)
    codes = load_integers<N>(from);
  else
    codes = load_nibbles(from, typename Vec<N>::U{});
  return __builtin_convertvector(bits_as<typename Vec<N>::I>(codes), typename Vec<N>::F);
}

// The other way: integers within the bits.
template <int kBits, int N = kLanes>
MICA_VEC void store_codes(uint8_t* to, typename Vec<N>::F values) {
  const auto wide_codes =
      bits_as<typename Vec<N>::U>(__builtin_convertvector(values, typename Vec<N>::I));
  const auto codes = __builtin_convertvector(
      __builtin_convertvector(wide_codes, typename Vec<N>::H), typename Vec<N>::B);
  if constexpr (kBits == 8) {
    std::memcpy(to, &codes, sizeof codes);
  } else {
    const auto wide = bits_as<typename Vec<N>::HalfH>(codes);
    const auto pairs = __builtin_convertvector(wide | wide >> 4, typename Vec<N>::HalfB);
    std::memcpy(to, &pairs, sizeof pairs);
  }
}

template <typename V>
MICA_VEC void store(float* to, const V& value) {
  std::memcpy(to, &value, sizeof value);
}

// Sums and maxima of all lanes, by halves: the order is fixed.
MICA_VEC float sum(Vec<4>::F v) {
  return (v[0] + v[2]) + (v[1] + v[3]);
}
MICA_VEC float highest(Vec<4>::F v) {
  const float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}
template <typename Half, typename Whole>
MICA_VEC Half lower_half(const Whole& v) {
  Half half;
  std::memcpy(&half, &v, sizeof half);
  return half;
}
template <typename Half, typename Whole>
MICA_VEC Half upper_half(const Whole& v) {
  Half half;
  std::memcpy(&half, reinterpret_cast<const char*>(&v) + sizeof half, sizeof half);
  return half;
}
template <typename V>
MICA_VEC V larger(const V& a, const V& b) {
  return a > b ? a : b;
}
MICA_VEC float sum(Vec<8>::F v) {
  return sum(lower_half<Vec<4>::F>(v) + upper_half<Vec<4>::F>(v));
}
MICA_VEC float sum(Vec<16>::F v) {
  return sum(lower_half<Vec<8>::F>(v) + upper_half<Vec<8>::F>(v));
}
MICA_VEC float highest(Vec<8>::F v) {
  return highest(larger(lower_half<Vec<4>::F>(v), upper_half<Vec<4>::F>(v)));
}
MICA_VEC float highest(Vec<16>::F v) {
  return highest(larger(lower_half<Vec<8>::F>(v), upper_half<Vec<8>::F>(v)));
}

// exp(x): relative error below 1.2e-7 (2 ulp) for -87.3 <= x <= 88.3; below it 0 (NaN too), above
// it infinity. exp(0) is exactly 1. Cody-Waite reduction, Taylor polynomial of degree 7.
template <int N = kLanes>
MICA_VEC typename Vec<N>::F exp(typename Vec<N>::F x) {
  using V = typename Vec<N>::F;
  using I = typename Vec<N>::I;
  constexpr float kLowest = -87.3f, kHighest = 88.3f;
  const V low = splat<N>(kLowest), high = splat<N>(kHighest);
  const V c = x > low ? (x < high ? x : high) : low;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const V magic = splat<N>(12582912.0f);
  const V shifted = c * 1.44269504088896341f + magic;
  const V n = shifted - magic;
  V r = c - n * 0.693145751953125f;        // ln 2, upper 15 bits: the product is exact
  r = r - n * 1.42860682030941723212e-6f;  // ln 2, the rest
  V poly = splat<N>(1.0f / 5040);
  poly = poly * r + 1.0f / 720;
  poly = poly * r + 1.0f / 120;
  poly = poly * r + 1.0f / 24;
  poly = poly * r + 1.0f / 6;
  poly = poly * r + 0.5f;
  poly = poly * r + 1.0f;
  poly = poly * r + 1.0f;
  const I exponent = bits_as<I>(shifted) - bits_as<I>(magic);
  const V scale = bits_as<V>((exponent + 127) << 23);
  const V result = x > low ? poly * scale : V{};
  return x > high ? splat<N>(__builtin_inff()) : result;
}

MICA_VEC float exp_of(float x) {
  return exp<4>(splat<4>(x))[0];
}

// tanh(x), relative error below 4e-7: odd Taylor-like series for |x| < 0.3, else by exp.
template <int N = kLanes>
MICA_VEC typename Vec<N>::F tanh(typename Vec<N>::F x) {
  using V = typename Vec<N>::F;
  const V size = x < 0.0f ? -x : x;
  const V e = exp<N>(size * -2.0f);
  const V far = (1.0f - e) / (1.0f + e);
  const V square = size * size;
  V near = splat<N>(-1382.0f / 155925);  // series of tanh: 1 - x^2/3 + 2x^4/15 - 17x^6/315 …
  near = near * square + 62.0f / 2835;
  near = near * square - 17.0f / 315;
  near = near * square + 2.0f / 15;
  near = near * square - 1.0f / 3;
  near = near * square * size + size;
  const V result = size < 0.3f ? near : far;
  const V odd = x < 0.0f ? -result : result;
  return x == x ? odd : x;
}

}  // namespace mica::kernels::MICA_ISA
