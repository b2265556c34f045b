// Sixteen lanes of i32 or f32 in plain C++: the meaning of every primitive. The other simd_*.h have
// the same names over their registers, and simd_test.cpp compares them with this file.
//
// Kernels take the struct as a template parameter and are compiled once per instruction set with
// that set's flags; these headers use no inline functions of other headers, which the linker could
// otherwise merge across sets.
#pragma once

#include <cstdint>
#include <cstring>

namespace mica {

struct PortableSimd {
  static constexpr int kTileTokens = 4;
  static constexpr int kTileSide = 1;              // row blocks side by side, for many tokens
  static constexpr int64_t kPrefetchAhead = 4096;  // bytes
  // Dense weights, one token: row blocks side by side, and their prefetch.
  static constexpr int kDenseSide = 4;
  static constexpr int64_t kDenseAhead = 4096;
  static constexpr int kDirectTokens = 2;
  static constexpr int kChains = 1;

  // GCC's and clang's vector extension, which compile to whatever the target has.
  using Words = int32_t __attribute__((vector_size(64)));
  using Unsigned = uint32_t __attribute__((vector_size(64)));
  using Halves = uint16_t __attribute__((vector_size(64)));
  using SignedHalves = int16_t __attribute__((vector_size(64)));
  using Floats = float __attribute__((vector_size(64)));

  struct I32 {
    Words v;
  };
  struct F32 {
    Floats v;
  };

  static I32 load_i(const void* p) {
    I32 x;
    std::memcpy(&x.v, p, 64);
    return x;
  }
  static void store_i(void* p, const I32& x) { std::memcpy(p, &x.v, 64); }
  static I32 broadcast_i(int32_t x) { return {Words{} + x}; }
  static I32 and_i(const I32& x, const I32& y) { return {x.v & y.v}; }
  static I32 or_i(const I32& x, const I32& y) { return {x.v | y.v}; }
  static I32 add_i(const I32& x, const I32& y) { return {(Words)((Unsigned)x.v + (Unsigned)y.v)}; }
  static I32 max_u(const I32& x, const I32& y) {  // unsigned
    return {(Unsigned)x.v > (Unsigned)y.v ? x.v : y.v};
  }
  // Shifts of the 32 halves of 16 bits.
  template <int N>
  static I32 shift_right16(const I32& x) {
    return {(Words)((Halves)x.v >> N)};
  }
  template <int N>
  static I32 shift_left16(const I32& x) {
    return {(Words)((Halves)x.v << N)};
  }
  template <int N>
  static I32 shift_right_signed16(const I32& x) {
    return {(Words)((SignedHalves)x.v >> N)};
  }
  // sum + w.low * x.low + w.high * x.high over signed halves of each lane.
  static I32 dot(const I32& sum, const I32& w, const I32& x) {
    const Words low = low_half(w.v) * low_half(x.v), high = (w.v >> 16) * (x.v >> 16);
    return {(Words)((Unsigned)sum.v + (Unsigned)low + (Unsigned)high)};
  }
  static void keep(I32&) {}  // a hint: this running sum should stay in registers
  // Byte table of 16 entries, and its lookup by bytes 0 to 15.
  static I32 table16(const int8_t* table) {
    int8_t four[64];
    for (int i = 0; i < 64; ++i) four[i] = table[i & 15];
    return load_i(four);
  }
  static I32 lookup(const I32& table, const I32& index) {
    uint8_t in[64], entries[64], out[64];
    std::memcpy(in, &index, 64);
    std::memcpy(entries, &table, 64);
    for (int i = 0; i < 64; ++i) out[i] = entries[in[i] & 15];
    return load_i(out);
  }

  static F32 zero() { return {Floats{}}; }
  static F32 load(const float* p) {
    F32 x;
    std::memcpy(&x.v, p, 64);
    return x;
  }
  static void store(float* p, const F32& x) { std::memcpy(p, &x.v, 64); }
  static F32 broadcast(float x) { return {Floats{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}}; }
  static F32 add(const F32& x, const F32& y) { return {x.v + y.v}; }
  static F32 mul(const F32& x, const F32& y) { return {x.v * y.v}; }
  // x * y + z, rounded once where the processor can (here: twice).
  static F32 fma(const F32& x, const F32& y, const F32& z) { return {x.v * y.v + z.v}; }
  static F32 to_f32(const I32& x) { return {__builtin_convertvector(x.v, Floats)}; }
  // To nearest, ties to even; |x| < 2^22. With 1.5 * 2^23 added the mantissa is the integer.
  static I32 round(const F32& x) { return {(Words)(x.v + 12582912.0f) - 0x4b400000}; }
  static I32 bits(const F32& x) { return {(Words)x.v}; }

  static F32 load_f16(const uint16_t* p) {
    return each([&](int i) { return half_to_f32(p[i]); });
  }
  static F32 load_bf16(const uint16_t* p) {
    return each([&](int i) { return from_bits(uint32_t{p[i]} << 16); });
  }
  // The low and the high half of each lane as bf16.
  static F32 bf16_even(const I32& x) { return {(Floats)((Unsigned)x.v << 16)}; }
  static F32 bf16_odd(const I32& x) { return {(Floats)((Unsigned)x.v & 0xffff0000u)}; }
  // E4M3 has f16's shape with a smaller exponent: moved into place, it is the value / 256.
  static F32 load_e4m3(const uint8_t* p) {
    return each([&](int i) {
      const uint32_t magnitude = p[i] & 0x7fu;
      const uint32_t nan = magnitude == 0x7fu ? 0x7e00u : 0u;
      return 256.0f *
             half_to_f32(static_cast<uint16_t>(nan | ((p[i] & 0x80u) << 8) | (magnitude << 7)));
    });
  }
  // E8M0: 2^(code - 127); the smallest, code 0, is the subnormal 0x00400000.
  static F32 load_e8m0(const uint8_t* p) {
    return each([&](int i) { return from_bits(p[i] == 0 ? 0x00400000u : uint32_t{p[i]} << 23); });
  }
  static void prefetch(const void*) {}

 private:
  template <typename F>
  static F32 each(F&& f) {
    float lane[16];
    for (int i = 0; i < 16; ++i) lane[i] = f(i);
    return load(lane);
  }
  static Words low_half(const Words& v) { return (Words)((Unsigned)v << 16) >> 16; }
  static float from_bits(uint32_t x) {
    float v;
    std::memcpy(&v, &x, 4);
    return v;
  }
  static float half_to_f32(uint16_t h) {
    const uint32_t sign = (h & 0x8000u) << 16, magnitude = h & 0x7fffu;
    if (magnitude >= 0x7c00u) return from_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    // As f32 bits the value is 2^-112 times too small; the product is exact, subnormals included.
    const float value = from_bits(magnitude << 13) * 0x1p112f;
    return (h & 0x8000u) != 0 ? -value : value;
  }
};

}  // namespace mica
