// Sixteen lanes of i32 or f32 as two AVX2 registers. The same names as simd_portable.h, where each
// is written out. Included only by files compiled with -mavx2 -mfma -mf16c.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mica {

struct Avx2Simd {
  static constexpr int kTileTokens = 6;  // 12 accumulators, 2 weights, 1 activation, 1 product
  static constexpr int kTileSide = 1;    // row blocks side by side, for many tokens
  static constexpr int64_t kPrefetchAhead = 4096;  // bytes; best of 512 to 16384 on Zen 3
  // Dense weights, one token: row blocks side by side, and their prefetch.
  static constexpr int kDenseSide = 4;
  static constexpr int64_t kDenseAhead = 4096;
  static constexpr int kDirectTokens = 4;  // widest block whose weights are unpacked in registers
  static constexpr int kChains = 1;        // independent i32 sums that hide dot()'s latency

  struct I32 {
    __m256i a, b;
  };
  struct F32 {
    __m256 a, b;
  };

  static I32 load_i(const void* p) {
    const auto* q = static_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
  }
  static void store_i(void* p, I32 v) {
    auto* q = static_cast<__m256i*>(p);
    _mm256_storeu_si256(q, v.a);
    _mm256_storeu_si256(q + 1, v.b);
  }
  static I32 broadcast_i(int32_t x) {
    const __m256i v = _mm256_set1_epi32(x);
    return {v, v};
  }
  static I32 and_i(I32 x, I32 y) {
    return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
  }
  static I32 or_i(I32 x, I32 y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
  static I32 add_i(I32 x, I32 y) {
    return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
  }
  static I32 max_u(I32 x, I32 y) {
    return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)};
  }
  template <int N>
  static I32 shift_right16(I32 v) {
    return {_mm256_srli_epi16(v.a, N), _mm256_srli_epi16(v.b, N)};
  }
  template <int N>
  static I32 shift_left16(I32 v) {
    return {_mm256_slli_epi16(v.a, N), _mm256_slli_epi16(v.b, N)};
  }
  template <int N>
  static I32 shift_right_signed16(I32 v) {
    return {_mm256_srai_epi16(v.a, N), _mm256_srai_epi16(v.b, N)};
  }
  // (x, x) pairs in one register are enough: both halves multiply by the same pair.
  static I32 dot(I32 sum, I32 w, I32 x) {
    return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(w.a, x.a)),
            _mm256_add_epi32(sum.b, _mm256_madd_epi16(w.b, x.b))};
  }
  // Keeps a running sum in its registers: without it GCC reorders integer additions and spills.
  static void keep(I32& v) { asm("" : "+x"(v.a), "+x"(v.b)); }
  static I32 table16(const int8_t* table) {
    const __m256i v =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    return {v, v};
  }
  static I32 lookup(I32 table, I32 index) {
    return {_mm256_shuffle_epi8(table.a, index.a), _mm256_shuffle_epi8(table.b, index.b)};
  }

  static F32 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, F32 v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
  static F32 broadcast(float x) {
    const __m256 v = _mm256_set1_ps(x);
    return {v, v};
  }
  static F32 add(F32 x, F32 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static F32 mul(F32 x, F32 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static F32 fma(F32 x, F32 y, F32 z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  static F32 to_f32(I32 v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
  static I32 round(F32 v) { return {_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)}; }
  static I32 bits(F32 v) { return {_mm256_castps_si256(v.a), _mm256_castps_si256(v.b)}; }

  static F32 load_f16(const uint16_t* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
  }
  static F32 load_bf16(const uint16_t* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    return {widen_bf16(_mm_loadu_si128(q)), widen_bf16(_mm_loadu_si128(q + 1))};
  }
  static F32 bf16_even(I32 v) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(v.a, 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(v.b, 16))};
  }
  static F32 bf16_odd(I32 v) {
    const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm256_castsi256_ps(_mm256_and_si256(v.a, mask)),
            _mm256_castsi256_ps(_mm256_and_si256(v.b, mask))};
  }
  static F32 load_e4m3(const uint8_t* p) {
    const auto* q = reinterpret_cast<const __m128i*>(p);
    const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128(q));
    const __m256i magnitude = _mm256_and_si256(v, _mm256_set1_epi16(0x7f));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x80)), 8);
    const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7f)),
                                         _mm256_set1_epi16(0x7e00));
    const __m256i half =
        _mm256_or_si256(nan, _mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7)));
    const __m256 scale = _mm256_set1_ps(256.0f);
    return {_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), scale),
            _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), scale)};
  }
  static F32 load_e8m0(const uint8_t* p) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {widen_e8m0(v), widen_e8m0(_mm_srli_si128(v, 8))};
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  static __m256 widen_bf16(__m128i v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
  }
  // 2^(code - 127); the smallest, code 0, is the subnormal 0x00400000.
  static __m256 widen_e8m0(__m128i v) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtepu8_epi32(v), 23);
    return _mm256_castsi256_ps(_mm256_max_epi32(exponent, _mm256_set1_epi32(0x00400000)));
  }
};

}  // namespace mica
