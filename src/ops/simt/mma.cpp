// Tensor core products and matrix loads, by the fragment layouts of the PTX ISA ("Matrix Fragments
// for mma.m16n8k16", "… mma.m16n8k32", "ldmatrix").
#include <cstring>
#include <string>

#include "base/error.h"
#include "ops/simt/block.h"
#include "tensor/dtype.h"

namespace mica::simt::emu {
namespace {

struct MmaIn {
  const uint32_t *a, *b;
};

float decode_bf16(uint32_t bits) {
  return bf16_to_f32(static_cast<uint16_t>(bits));
}
float decode_f16(uint32_t bits) {
  return f16_to_f32(static_cast<uint16_t>(bits));
}
float decode_e4m3(uint32_t bits) {
  return e4m3_to_f32(static_cast<uint8_t>(bits));
}
int32_t decode_s8(uint32_t bits) {
  return static_cast<int8_t>(bits);
}
int32_t decode_u8(uint32_t bits) {
  return static_cast<uint8_t>(bits);
}

// d = a * b + c for a of 16 x K, b of K x 8; kBits an element, 32 / kBits of them in a register,
// kHalves registers of b and twice as many of a.
template <typename Sum, int kBits, auto kDecodeA, auto kDecodeB = kDecodeA, int kHalves = 2>
void run_mma(WarpCall& call) {
  constexpr int kPer = 32 / kBits;         // elements of a register
  constexpr int kHalf = 4 * kPer;          // columns of a that registers 0 and 1 hold
  constexpr int kDepth = kHalves * kHalf;  // K
  constexpr uint32_t kMask = (1u << kBits) - 1;
  Sum a[16][kDepth], b[kDepth][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* in = static_cast<const MmaIn*>(call.in[static_cast<size_t>(lane)]);
    const int group = lane >> 2, in_group = lane % 4;
    for (int i = 0; i < 2 * kHalves * kPer; ++i) {
      const int row = group + (i / kPer % 2 ? 8 : 0);
      const int column = in_group * kPer + i % kPer + (i < 2 * kPer ? 0 : kHalf);
      a[row][column] = kDecodeA(in->a[i / kPer] >> (i % kPer * kBits) & kMask);
    }
    for (int i = 0; i < kHalves * kPer; ++i) {
      const int row = in_group * kPer + i % kPer + (i < kPer ? 0 : kHalf);
      b[row][group] = kDecodeB(in->b[i / kPer] >> (i % kPer * kBits) & kMask);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    auto* cd = static_cast<uint32_t*>(call.out[static_cast<size_t>(lane)]);
    for (int i = 0; i < 4; ++i) {
      const int row = (lane >> 2) + (i < 2 ? 0 : 8), column = lane % 4 * 2 + (i & 1);
      Sum sum;
      std::memcpy(&sum, &cd[i], sizeof(sum));
      for (int k = 0; k < kDepth; ++k) sum += a[row][k] * b[k][column];
      std::memcpy(&cd[i], &sum, sizeof(sum));
    }
  }
}

constexpr WarpOperation kMma[] = {
    {"mma.m16n8k16.bf16", true, run_mma<float, 16, decode_bf16>},
    {"mma.m16n8k16.f16", true, run_mma<float, 16, decode_f16>},
    {"mma.m16n8k32.s8", true, run_mma<int32_t, 8, decode_s8>},
    {"mma.m16n8k32.e4m3", true, run_mma<float, 8, decode_e4m3>},
    {"mma.m16n8k32.u8.s8", true, run_mma<int32_t, 8, decode_u8, decode_s8>},
    {"mma.m16n8k16.s8", true, run_mma<int32_t, 8, decode_s8, decode_s8, 1>},
};

// Lane 8m + r holds the address of row r of matrix m. A lane receives the 16-bit elements
// (lane / 4, lane % 4 * 2) and the next in the row; transposed, those of the transpose.
template <int kMatrices, bool kTranspose>
void run_ldmatrix(WarpCall& call) {
  for (int m = 0; m < kMatrices; ++m) {
    uint16_t matrix[8][8];
    for (int r = 0; r < 8; ++r) {
      const auto lane = static_cast<size_t>(m * 8 + r);
      const void* row = *static_cast<const void* const*>(call.in[lane]);
      Block& block = Block::current();
      if (reinterpret_cast<uintptr_t>(row) % 16)
        block.fail(call.where[lane], "ldmatrix of a row whose address is no multiple of 16");
      if (!block.shared().contains(row, 16))
        block.fail(call.where[lane],
                   fmt::format("ldmatrix of a row outside of the shared arrays, by lane {}", lane));
      std::memcpy(matrix[r], row, 16);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int row = lane / 4, column = lane % 4 * 2;
      const uint32_t low = kTranspose ? matrix[column][row] : matrix[row][column];
      const uint32_t high = kTranspose ? matrix[column + 1][row] : matrix[row][column + 1];
      static_cast<uint32_t*>(call.out[static_cast<size_t>(lane)])[m] = low | high << 16;
    }
  }
}

constexpr WarpOperation kLdmatrix[3][2] = {
    {{"ldmatrix.x1", true, run_ldmatrix<1, false>},
     {"ldmatrix.x1.trans", true, run_ldmatrix<1, true>}},
    {{"ldmatrix.x2", true, run_ldmatrix<2, false>},
     {"ldmatrix.x2.trans", true, run_ldmatrix<2, true>}},
    {{"ldmatrix.x4", true, run_ldmatrix<4, false>},
     {"ldmatrix.x4.trans", true, run_ldmatrix<4, true>}},
};

}  // namespace

void mma(Mma kind, const uint32_t* a, const uint32_t* b, uint32_t* cd, Where where) {
  const MmaIn in = {a, b};
  Block::current().collective(kMma[static_cast<size_t>(kind)], 0xffffffffu, &in, cd, where);
}

void ldmatrix(int matrices, bool transpose, const void* row, uint32_t* out, Where where) {
  Block::current().collective(kLdmatrix[matrices / 2][transpose], 0xffffffffu, &row, out, where);
}

}  // namespace mica::simt::emu
