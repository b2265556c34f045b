// Products of float weights in f32, for dtypes that the tensor cores don't multiply as they are.
#include "ops/linear/cuda_float_product.h"

namespace mica::MICA_GPU {
namespace {

// A row tile by 8 tokens. A lane multiplies its 2 rows by 8 columns of every token; limited by the
// shared reads of x, 32 bytes for 16 multiplications.
template <typename W>
struct FmaPath {
  using Weights = W;
  static constexpr int kTokenTiles = 1, kRowTiles = 1, kFragments = 1, kRound = 1;
  static constexpr int kStages = Format<W>::kPieces == 2 ? 4 : 3;

  float sums[2][8];
  float fragment[4];
  uint32_t rows[8];  // where the rows of the tokens begin

  MICA_DEVICE float sum(int, int i) const { return fragment[i]; }

  MICA_DEVICE void start(const ProductArgs& args, int tile) {
    for (int n = 0; n < 8; ++n) {
      rows[n] = row_piece(args, static_cast<int64_t>(tile) * 8 + n);
      sums[0][n] = sums[1][n] = 0;
    }
  }

  MICA_DEVICE void load(const ProductArgs&, int, int) {}

  MICA_DEVICE void multiply(const ProductArgs& args, int panel, const Bytes16* stage, int part) {
    const int lane = lane_index();
    const int piece = panel * (Format<W>::kColumns / 8) + part * 4 + lane % 4;
    if (piece >= args.pieces) return;  // no warp operation follows
    uint32_t scales = 0;
    if constexpr (Format<W>::kScaleBytes > 0)
      scales = reinterpret_cast<const uint32_t*>(stage + kPanelBytes<W> / 16)[lane];
    float w[2][8];
    read_weights<W>(stage + lane, part, scales, w);
    MICA_UNROLL
    for (int n = 0; n < 8; ++n) {
      if (rows[n] == kNoRow) continue;
      const Bytes16* x = args.x + 2 * (static_cast<size_t>(rows[n]) + static_cast<size_t>(piece));
      float low[4], high[4];
      unpack16<float>(load16(x), low);
      unpack16<float>(load16(x + 1), high);
      for (int r = 0; r < 2; ++r) {
        for (int c = 0; c < 4; ++c) sums[r][n] += w[r][c] * low[c];
        for (int c = 0; c < 4; ++c) sums[r][n] += w[r][c + 4] * high[c];
      }
    }
  }

  // Adds the 4 lanes of a row, so that lane t of them is left with tokens 2t and 2t + 1: lanes 2
  // apart exchange halves, then lanes side by side.
  MICA_DEVICE void end() {
    const bool upper = lane_index() & 2, odd = lane_index() & 1;
    for (int r = 0; r < 2; ++r) {
      float half[4];
      for (int n = 0; n < 4; ++n) half[n] = exchange(sums[r][n], sums[r][n + 4], upper, 2);
      for (int n = 0; n < 2; ++n) fragment[2 * r + n] = exchange(half[n], half[n + 2], odd, 1);
    }
  }

  // Gives one value to the lane `lanes` apart and keeps the other, plus what that lane gave for it.
  MICA_DEVICE static float exchange(float low, float high, bool keep_high, int lanes) {
    const float other = as_float(shuffle_xor(kFullWarp, as_bits(keep_high ? low : high), lanes));
    return (keep_high ? high : low) + other;
  }
};

}  // namespace

template <typename W>
void start_fma(gpu::GpuBackend& backend, const gpu::Slots& slots, ProductArgs args) {
  start_product<FmaPath<W>>(backend, slots, args);
}

template void start_fma<float>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);
template void start_fma<bf16>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);
template void start_fma<f16>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);
template void start_fma<Mxfp8>(gpu::GpuBackend&, const gpu::Slots&, ProductArgs);

}  // namespace mica::MICA_GPU
