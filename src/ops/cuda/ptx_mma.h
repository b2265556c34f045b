// PTX of the tensor cores: "Warp-level Matrix Instructions", mma and ldmatrix.
#pragma once

#include "ops/cuda/ptx_memory.h"
#include "ops/cuda/target.h"
#ifndef __CUDACC__
#include <cstring>
#endif

namespace mica::MICA_GPU {

// "mma.m16n8k16" with bf16 or f16: d[16, 8] += a[16, 16] * b[16, 8] in f32. With g = lane / 4 and
// t = lane % 4, register i of a holds row g + 8 (i % 2), columns 2t + 8 (i / 2) and the next;
// register i of b rows 2t + 8i and the next, column g; element i of d row g + 8 (i / 2), column
// 2t + i % 2. Lower columns (rows of b) lie in the lower bits.
#ifdef __CUDACC__
#define MICA_MMA(ptx, host, constraint)                                                          \
  asm volatile(                                                                                  \
      "mma.sync.aligned." ptx " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
      : "+" constraint(d[0]), "+" constraint(d[1]), "+" constraint(d[2]), "+" constraint(d[3])   \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
// The same with sums that start from c, which may be d: a register of constants serves many.
#define MICA_MMA_FROM(ptx, host)                                                              \
  asm volatile("mma.sync.aligned." ptx                                                        \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"         \
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(c[0]), \
                 "r"(c[1]), "r"(c[2]), "r"(c[3]))
#else
#define MICA_MMA_FROM(ptx, host)               \
  uint32_t bits[4];                            \
  std::memcpy(bits, c, sizeof(bits));          \
  emu::mma(emu::Mma::host, a, b, bits, where); \
  std::memcpy(d, bits, sizeof(bits))
#define MICA_MMA(ptx, host, constraint)        \
  uint32_t bits[4];                            \
  std::memcpy(bits, d, sizeof(bits));          \
  emu::mma(emu::Mma::host, a, b, bits, where); \
  std::memcpy(d, bits, sizeof(bits))
#endif
MICA_DEVICE void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                   [[maybe_unused]] Where where = Where::here()) {
  MICA_MMA("m16n8k16.row.col.f32.bf16.bf16.f32", kBf16, "f");
}
MICA_DEVICE void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                  [[maybe_unused]] Where where = Where::here()) {
  MICA_MMA("m16n8k16.row.col.f32.f16.f16.f32", kF16, "f");
}

// "mma.m16n8k32" with s8 (exact sums in s32) or e4m3 (sm_89; in f32): register i of a holds row
// g + 8 (i % 2), columns 4t + 16 (i / 2) and the next three; register i of b rows 4t + 16i and the
// next three, column g; d as above.
MICA_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                 [[maybe_unused]] Where where = Where::here()) {
  MICA_MMA("m16n8k32.row.col.s32.s8.s8.s32", kS8, "r");
}
MICA_DEVICE void mma_m16n8k32_e4m3(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                   [[maybe_unused]] Where where = Where::here()) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890
  asm volatile("trap;");
#else
  MICA_MMA("m16n8k32.row.col.f32.e4m3.e4m3.f32", kE4m3, "f");
#endif
}

// d = a * b + c with exact sums in s32, by the layout above: unsigned a, or signed.
MICA_DEVICE void mma_m16n8k32_u8s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                   const int32_t (&c)[4],
                                   [[maybe_unused]] Where where = Where::here()) {
  MICA_MMA_FROM("m16n8k32.row.col.s32.u8.s8.s32", kU8S8);
}
MICA_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                 const int32_t (&c)[4],
                                 [[maybe_unused]] Where where = Where::here()) {
  MICA_MMA_FROM("m16n8k32.row.col.s32.s8.s8.s32", kS8);
}

// "mma.m16n8k16" with s8: register i of a holds row g + 8i, columns 4t and the next three; b rows
// 4t and the next three, column g; d as above.
MICA_DEVICE void mma_m16n8k16_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b,
                                 const int32_t (&c)[4],
                                 [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%7, %8, %9, %10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a0), "r"(a1), "r"(b), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
#else
  const uint32_t a[2] = {a0, a1};
  uint32_t bits[4];
  std::memcpy(bits, c, sizeof(bits));
  emu::mma(emu::Mma::kS8Half, a, &b, bits, where);
  std::memcpy(d, bits, sizeof(bits));
#endif
}
#undef MICA_MMA
#undef MICA_MMA_FROM

// "ldmatrix": 1, 2 or 4 matrices of 8 x 8 16-bit elements from shared memory. Lane 8m + r gives the
// 16-byte aligned address of row r of matrix m (lanes beyond give any valid one); register m
// receives elements 2 (lane % 4) and the next of row lane / 4, with kTranspose of column lane / 4.
template <int kMatrices, bool kTranspose = false>
MICA_DEVICE void ldmatrix(uint32_t (&d)[kMatrices], const void* row,
                          [[maybe_unused]] Where where = Where::here()) {
  static_assert(kMatrices == 1 || kMatrices == 2 || kMatrices == 4);
#ifdef __CUDACC__
  const uint32_t from = shared_address(row);
  if constexpr (kMatrices == 1 && !kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(d[0])
                 : "r"(from)
                 : "memory");
  if constexpr (kMatrices == 1 && kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(d[0])
                 : "r"(from)
                 : "memory");
  if constexpr (kMatrices == 2 && !kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(d[0]), "=r"(d[1])
                 : "r"(from)
                 : "memory");
  if constexpr (kMatrices == 2 && kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(d[0]), "=r"(d[1])
                 : "r"(from)
                 : "memory");
  if constexpr (kMatrices == 4 && !kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(from)
                 : "memory");
  if constexpr (kMatrices == 4 && kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(from)
                 : "memory");
#else
  emu::ldmatrix(kMatrices, kTranspose, row, d, where);
#endif
}

}  // namespace mica::MICA_GPU
