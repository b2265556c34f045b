// Dense bf16 weights by vdpbf16ps: activations rounded to bf16, products exact, sums in f32.
//
//   order   acc = acc + x[2p + 1] * w[2p + 1], then + x[2p] * w[2p], pair by pair (Intel SDM vol.
//   2,
//           VDPBF16PS), whatever the number of tokens. Subnormals count as zero.
#include "ops/cpu/simd_avx512.h"
#include "ops/linear/cpu_product.h"

namespace mica {
namespace {

using kernels::for_tokens;
using S = Avx512Simd;

constexpr int kTokens = S::kTileTokens;

// T tokens times R row blocks, `stride` bytes apart, over `pairs` pairs of columns. Adds to
// sums [R][token_count][16]; x [pairs][T].
template <int T, int R>
void dot_tile(const std::byte* weights, size_t stride, int64_t pairs, const int32_t* x, float* sums,
              int64_t sums_stride) {
  __m512 acc[R][T];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) acc[r][t] = _mm512_loadu_ps(sums + r * sums_stride + t * 16);
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh w[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const std::byte* from = weights + static_cast<size_t>(r) * stride + p * 64;
      w[r] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
      if constexpr (T <= 2) S::prefetch(from + S::kDenseAhead);
    }
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) {
      const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[p * T + t]));
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        acc[r][t] = _mm512_dpbf16_ps(acc[r][t], w[r], pair);
        asm("" : "+v"(acc[r][t]));  // stays in its register
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) _mm512_storeu_ps(sums + r * sums_stride + t * 16, acc[r][t]);
}

// R row blocks, all tokens.
template <int R>
void product_blocks(const ProductArgs& a, const std::byte* block) {
  const size_t stride = a.layout->block_bytes;
  const int64_t sums_stride = a.token_count * 16;
  // One token block reads the weights once from front to back; more share a panel in the cache.
  const int64_t panel = a.token_blocks == 1 ? a.layout->columns : kPanelColumns;
  for (int64_t i = 0; i < R * sums_stride; i += 16) S::store(a.work + i, S::zero());
  for (int64_t k = 0; k < a.layout->columns; k += panel) {
    const int64_t left = a.layout->columns - k, columns = left < panel ? left : panel;
    float* out = a.work;
    for (int64_t i = 0; i < a.token_blocks; ++i) {
      const TokenBlock& t = a.tokens[i];
      for_tokens<kTokens>(t.tokens, [&]<int T>() {
        dot_tile<T, R>(block + k * 32, stride, columns / 2, t.pairs + k / 2 * T, out, sums_stride);
      });
      out += t.tokens * 16;
    }
  }
}

template <int R>
int64_t product_rows(const ProductArgs& a, int64_t b) {
  product_blocks<R>(a, a.weights + static_cast<size_t>(b) * a.layout->block_bytes);
  for (int r = 0; r < R; ++r)
    kernels::write_block<S>(a, b + r, 0, a.token_count, a.work + r * a.token_count * 16);
  return b + R;
}

void product_bf16(const ProductArgs& a) {
  for (int64_t b = 0; b < a.blocks;) {
    if (b + kMaxSide <= a.blocks)
      b = product_rows<kMaxSide>(a, b);
    else
      b = product_rows<1>(a, b);
  }
}

// Interleaves rows [K] rounded to bf16 (nearest even); columns up to `padded` are zeros.
void pack_bf16(const float* const* rows, int tokens, int64_t columns, int64_t padded,
               int32_t* pairs) {
  for (int t = 0; t < tokens; ++t) {
    for (int64_t k = 0; k < padded; k += 16) {
      const int64_t count = columns - k < 16 ? columns - k : 16;
      const auto mask = static_cast<__mmask16>((1u << count) - 1u);
      const __m512 x = _mm512_maskz_loadu_ps(mask, rows[t] + k);
      alignas(32) int32_t pair[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(pair),
                         reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
      for (int64_t j = 0; j < 8 && k + 2 * j < padded; ++j)
        pairs[(k / 2 + j) * tokens + t] = pair[j];
    }
  }
}

}  // namespace

LinearKernels with_bf16_dot(LinearKernels kernels) {
  kernels.pack_bf16 = pack_bf16;
  kernels.product_bf16 = product_bf16;
  return kernels;
}

}  // namespace mica
