// PTX between threads: barriers, shuffles, votes, reductions and dependent launches.
#pragma once

#include "ops/cuda/target.h"
#ifndef __CUDACC__
#include "ops/simt/emulator.h"
#endif

namespace mica::MICA_GPU {

// "bar.sync 0": all threads of the block that have not ended, at one place of the source.
MICA_DEVICE void sync_threads([[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  __syncthreads();
#else
  emu::sync_threads(where);
#endif
}

// "barrier{.cta}": named barriers 1 to 15 over `threads` threads, a multiple of 32; the lanes of a
// warp come together. `barrier_arrive` counts without waiting.
MICA_DEVICE void barrier_sync(int id, int threads, [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emu::barrier(id, threads, true, where);
#endif
}
MICA_DEVICE void barrier_arrive(int id, int threads, [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emu::barrier(id, threads, false, where);
#endif
}

// "bar.warp.sync".
MICA_DEVICE void sync_warp(uint32_t mask = 0xffffffffu,
                           [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile("bar.warp.sync %0;" ::"r"(mask) : "memory");
#else
  emu::sync_warp(mask, where);
#endif
}

// "shfl.sync", in segments of `width` lanes (a power of 2): the value of lane `lane` of the
// segment; of the lane `delta` below or above; of the lane whose number differs by xor. Where that
// lies outside of the segment, the own value.
#ifdef __CUDACC__
#define MICA_SHUFFLE(mode, clamp, lane)                                               \
  uint32_t d;                                                                         \
  asm volatile("shfl.sync." mode ".b32 %0, %1, %2, %3, %4;"                           \
               : "=r"(d)                                                              \
               : "r"(value), "r"(lane), "r"((32 - width) << 8 | (clamp)), "r"(mask)); \
  return d
#else
#define MICA_SHUFFLE(mode, clamp, lane) \
  return emu::shuffle(mode, mask, value, static_cast<uint32_t>(lane), width, where)
#endif
#ifdef __CUDACC__
#define MICA_MODE(ptx, host) ptx
#else
#define MICA_MODE(ptx, host) emu::Shuffle::host
#endif
MICA_DEVICE uint32_t shuffle(uint32_t mask, uint32_t value, int lane, int width = 32,
                             [[maybe_unused]] Where where = Where::here()) {
  MICA_SHUFFLE(MICA_MODE("idx", kIdx), 0x1f, lane);
}
MICA_DEVICE uint32_t shuffle_up(uint32_t mask, uint32_t value, int delta, int width = 32,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_SHUFFLE(MICA_MODE("up", kUp), 0, delta);
}
MICA_DEVICE uint32_t shuffle_down(uint32_t mask, uint32_t value, int delta, int width = 32,
                                  [[maybe_unused]] Where where = Where::here()) {
  MICA_SHUFFLE(MICA_MODE("down", kDown), 0x1f, delta);
}
MICA_DEVICE uint32_t shuffle_xor(uint32_t mask, uint32_t value, int lanes, int width = 32,
                                 [[maybe_unused]] Where where = Where::here()) {
  MICA_SHUFFLE(MICA_MODE("bfly", kXor), 0x1f, lanes);
}
#undef MICA_SHUFFLE
#undef MICA_MODE

// "vote.sync": a bit for each lane of the mask; whether any or all said yes.
MICA_DEVICE uint32_t ballot(uint32_t mask, bool predicate,
                            [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  uint32_t d;
  asm volatile("{ .reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, p, %2; }"
               : "=r"(d)
               : "r"(static_cast<uint32_t>(predicate)), "r"(mask));
  return d;
#else
  return emu::ballot(mask, predicate, where);
#endif
}
MICA_DEVICE bool any(uint32_t mask, bool predicate, Where where = Where::here()) {
  return ballot(mask, predicate, where) != 0;
}
MICA_DEVICE bool all(uint32_t mask, bool predicate, Where where = Where::here()) {
  return ballot(mask, !predicate, where) == 0;
}

// "redux.sync" (sm_80): the reduction over the lanes of the mask, to each of them.
#ifdef __CUDACC__
#define MICA_REDUCE(ptx, host)                                  \
  uint32_t d;                                                   \
  asm volatile("redux.sync." ptx " %0, %1, %2;"                 \
               : "=r"(d)                                        \
               : "r"(static_cast<uint32_t>(value)), "r"(mask)); \
  return d
#else
#define MICA_REDUCE(ptx, host) \
  return emu::reduce(emu::Reduce::host, mask, static_cast<uint32_t>(value), where)
#endif
MICA_DEVICE uint32_t reduce_add(uint32_t mask, uint32_t value,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("add.u32", kAdd);
}
MICA_DEVICE uint32_t reduce_min(uint32_t mask, uint32_t value,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("min.u32", kMin);
}
MICA_DEVICE uint32_t reduce_max(uint32_t mask, uint32_t value,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("max.u32", kMax);
}
MICA_DEVICE uint32_t reduce_min_signed(uint32_t mask, int32_t value,
                                       [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("min.s32", kMinSigned);
}
MICA_DEVICE uint32_t reduce_max_signed(uint32_t mask, int32_t value,
                                       [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("max.s32", kMaxSigned);
}
MICA_DEVICE uint32_t reduce_and(uint32_t mask, uint32_t value,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("and.b32", kAnd);
}
MICA_DEVICE uint32_t reduce_or(uint32_t mask, uint32_t value,
                               [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("or.b32", kOr);
}
MICA_DEVICE uint32_t reduce_xor(uint32_t mask, uint32_t value,
                                [[maybe_unused]] Where where = Where::here()) {
  MICA_REDUCE("xor.b32", kXor);
}
#undef MICA_REDUCE

// "griddepcontrol" (sm_90): waits for the grids that this one depends on; lets dependents start.
// On a GPU of 9.0 or later a kernel can start while earlier ones of its stream run: it touches
// nothing that they write, and writes nothing that they read, before it waits; a block that
// returned without a wait would let later kernels overtake earlier ones. On the emulator grids run
// one after another, and a block of the backend's that never waits is an error.
MICA_DEVICE void grid_dependency_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#elif !defined(__CUDACC__)
  emu::grid_dependency_wait();
#endif
}
MICA_DEVICE void grid_dependency_launch() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace mica::MICA_GPU
