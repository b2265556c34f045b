// Sixteen lanes of i32 or f32 as one AVX-512 register. The same names as simd_portable.h, where
// each is written out. Included only by files compiled with -mavx512{f,bw,dq,vl,vnni}.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mica {

struct Avx512Simd {
  static constexpr int kTileTokens = 12;  // 12 accumulators hide the 4-5 cycles of vpdpwssd
  static constexpr int kTileSide = 2;     // row blocks side by side, for many tokens
  static constexpr int64_t kPrefetchAhead = 2048;  // bytes; best of 512 to 16384 on Zen 4
  // Dense weights, one token: row blocks side by side, and their prefetch; four blocks 2048 ahead
  // were 15 % slower.
  static constexpr int kDenseSide = 2;
  static constexpr int64_t kDenseAhead = 1024;
  static constexpr int kDirectTokens = 8;  // widest block whose weights are unpacked in registers
  static constexpr int kChains = 4;        // independent i32 sums that hide dot()'s latency

  struct I32 {
    __m512i v;
  };
  struct F32 {
    __m512 v;
  };

  static I32 load_i(const void* p) { return {_mm512_loadu_si512(p)}; }
  static void store_i(void* p, I32 x) { _mm512_storeu_si512(p, x.v); }
  static I32 broadcast_i(int32_t x) { return {_mm512_set1_epi32(x)}; }
  static I32 and_i(I32 x, I32 y) { return {_mm512_and_si512(x.v, y.v)}; }
  static I32 or_i(I32 x, I32 y) { return {_mm512_or_si512(x.v, y.v)}; }
  static I32 add_i(I32 x, I32 y) { return {_mm512_add_epi32(x.v, y.v)}; }
  static I32 max_u(I32 x, I32 y) { return {_mm512_max_epu32(x.v, y.v)}; }
  template <int N>
  static I32 shift_right16(I32 x) {
    return {_mm512_srli_epi16(x.v, N)};
  }
  template <int N>
  static I32 shift_left16(I32 x) {
    return {_mm512_slli_epi16(x.v, N)};
  }
  template <int N>
  static I32 shift_right_signed16(I32 x) {
    return {_mm512_srai_epi16(x.v, N)};
  }
  static I32 dot(I32 sum, I32 w, I32 x) { return {_mm512_dpwssd_epi32(sum.v, w.v, x.v)}; }
  static void keep(I32& x) { asm("" : "+v"(x.v)); }
  static I32 table16(const int8_t* table) {
    return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)))};
  }
  static I32 lookup(I32 table, I32 index) { return {_mm512_shuffle_epi8(table.v, index.v)}; }

  static F32 zero() { return {_mm512_setzero_ps()}; }
  static F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static void store(float* p, F32 x) { _mm512_storeu_ps(p, x.v); }
  static F32 broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static F32 add(F32 x, F32 y) { return {_mm512_add_ps(x.v, y.v)}; }
  static F32 mul(F32 x, F32 y) { return {_mm512_mul_ps(x.v, y.v)}; }
  static F32 fma(F32 x, F32 y, F32 z) { return {_mm512_fmadd_ps(x.v, y.v, z.v)}; }
  static F32 to_f32(I32 x) { return {_mm512_cvtepi32_ps(x.v)}; }
  static I32 round(F32 x) { return {_mm512_cvtps_epi32(x.v)}; }
  static I32 bits(F32 x) { return {_mm512_castps_si512(x.v)}; }

  static F32 load_f16(const uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static F32 load_bf16(const uint16_t* p) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16))};
  }
  static F32 bf16_even(I32 x) { return {_mm512_castsi512_ps(_mm512_slli_epi32(x.v, 16))}; }
  static F32 bf16_odd(I32 x) {
    const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm512_castsi512_ps(_mm512_and_si512(x.v, mask))};
  }
  static F32 load_e4m3(const uint8_t* p) {
    const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i magnitude = _mm256_and_si256(v, _mm256_set1_epi16(0x7f));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x80)), 8);
    const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7f)),
                                         _mm256_set1_epi16(0x7e00));
    const __m256i half =
        _mm256_or_si256(nan, _mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7)));
    return {_mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0f))};
  }
  static F32 load_e8m0(const uint8_t* p) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m512i exponent = _mm512_slli_epi32(_mm512_cvtepu8_epi32(v), 23);
    return {_mm512_castsi512_ps(_mm512_max_epi32(exponent, _mm512_set1_epi32(0x00400000)))};
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace mica
