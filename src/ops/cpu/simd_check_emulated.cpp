// simd_avx512.h over SIMDe's emulation of the intrinsics, for machines without AVX-512, and the
// product kernels at AVX-512's token block widths. Built where SIMDe's headers are installed.
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <cmath>
#include <cstdint>
#include <cstring>

// What SIMDe 0.7 lacks, lane by lane from Intel's intrinsics guide.
namespace {

template <class To, class From, class Out, class In, int kLanes, class Convert>
To convert_lanes(const From& from, Convert&& convert) {
  In in[kLanes];
  Out out[kLanes];
  std::memcpy(in, &from, sizeof in);
  for (int i = 0; i < kLanes; ++i) out[i] = convert(in[i]);
  To to;
  std::memcpy(&to, out, sizeof to);
  return to;
}
simde__m512 emulated_cvtepi32_ps(const simde__m512i& a) {
  return convert_lanes<simde__m512, simde__m512i, float, int32_t, 16>(
      a, [](int32_t x) { return static_cast<float>(x); });
}
simde__m512i emulated_cvtps_epi32(const simde__m512& a) {
  return convert_lanes<simde__m512i, simde__m512, int32_t, float, 16>(
      a, [](float x) { return static_cast<int32_t>(std::lrintf(x)); });
}
simde__m512i emulated_cvtepu16_epi32(const simde__m256i& a) {
  return convert_lanes<simde__m512i, simde__m256i, int32_t, uint16_t, 16>(
      a, [](uint16_t x) { return static_cast<int32_t>(x); });
}
simde__m512i emulated_cvtepu8_epi32(const simde__m128i& a) {
  return convert_lanes<simde__m512i, simde__m128i, int32_t, uint8_t, 16>(
      a, [](uint8_t x) { return static_cast<int32_t>(x); });
}
simde__m512 emulated_cvtph_ps(const simde__m256i& a) {
  return convert_lanes<simde__m512, simde__m256i, float, uint16_t, 16>(a, [](uint16_t x) {
    simde_float32 lane[4];
    simde_mm_storeu_ps(lane, simde_mm_cvtph_ps(simde_mm_set1_epi16(static_cast<int16_t>(x))));
    return lane[0];
  });
}

}  // namespace

#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtph_ps emulated_cvtph_ps
#define asm(...) static_cast<void>(x)  // keep(): an emulated vector fits no register
#define Avx512Simd Avx512Emulated
#include "ops/cpu/simd_avx512.h"
#include "ops/cpu/simd_check.h"
#include "ops/linear/cpu_pack.h"
#include "ops/linear/cpu_product.h"

namespace mica {

const char* check_avx512_emulated() {
  return SimdCheck<Avx512Emulated>::run();
}

extern const LinearKernels kLinearEmulated;
const LinearKernels kLinearEmulated = {Avx512Emulated::kDirectTokens, Avx512Emulated::kTileTokens,
                                       kernels::pack_integer<Avx512Emulated>,
                                       kernels::pack_float<Avx512Emulated>,
                                       kernels::product<Avx512Emulated>};

}  // namespace mica
