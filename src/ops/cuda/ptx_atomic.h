// PTX that orders the threads and blocks of a grid: acquire and release, and atomics on global and
// shared memory. Sums of integers are the same in any order.
#pragma once

#include "ops/cuda/ptx_memory.h"

namespace mica::MICA_GPU {

// "ld.acquire", "st.release", "red", "atom" and "fence" at the scope of the GPU. A spin wait must
// read by load_acquire, which lets other threads of the emulator run.
MICA_DEVICE uint32_t load_acquire(const uint32_t* from,
                                  [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  uint32_t d;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(d) : "l"(from) : "memory");
  return d;
#else
  emu::yield(where);
  return __atomic_load_n(from, __ATOMIC_ACQUIRE);
#endif
}
MICA_DEVICE void store_release(uint32_t* to, uint32_t value) {
#ifdef __CUDACC__
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
#else
  __atomic_store_n(to, value, __ATOMIC_RELEASE);
#endif
}
MICA_DEVICE void red_add(uint32_t* to, uint32_t value) {
#ifdef __CUDACC__
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
#else
  __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
#endif
}
MICA_DEVICE void red_add(float* to, float value) {
#ifdef __CUDACC__
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(to), "f"(value) : "memory");
#else
  float old = 0;
  __atomic_load(to, &old, __ATOMIC_RELAXED);
  for (;;) {
    float sum = old + value;
    if (__atomic_compare_exchange(to, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
  }
#endif
}
// The value before, as the last block of a split sum asks for it.
MICA_DEVICE uint32_t atom_add(uint32_t* to, uint32_t value,
                              [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  uint32_t d;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(d)
               : "l"(to), "r"(value)
               : "memory");
  return d;
#else
  emu::yield(where);
  return __atomic_fetch_add(to, value, __ATOMIC_ACQ_REL);
#endif
}
MICA_DEVICE void fence() {
#ifdef __CUDACC__
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
#elif !defined(__SANITIZE_THREAD__)
  __atomic_thread_fence(__ATOMIC_ACQ_REL);
#endif
}
// "red.global.add.u64".
MICA_DEVICE void red_add(uint64_t* to, uint64_t value) {
#ifdef __CUDACC__
  asm volatile("red.relaxed.gpu.global.add.u64 [%0], %1;" ::"l"(to), "l"(value) : "memory");
#else
  __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
#endif
}

// "red.shared" and "atom.shared", the latter with the value before. 32 bits are native; 64 bits are
// a loop of compare-and-swap on all GPUs so far. On the emulator a block has one OS thread.
MICA_DEVICE void red_add_shared(uint32_t* to, uint32_t value) {
#ifdef __CUDACC__
  asm volatile("red.relaxed.cta.shared.add.u32 [%0], %1;" ::"r"(shared_address(to)), "r"(value)
               : "memory");
#else
  *to += value;
#endif
}
MICA_DEVICE uint32_t atom_add_shared(uint32_t* to, uint32_t value) {
#ifdef __CUDACC__
  uint32_t d;
  asm volatile("atom.relaxed.cta.shared.add.u32 %0, [%1], %2;"
               : "=r"(d)
               : "r"(shared_address(to)), "r"(value)
               : "memory");
  return d;
#else
  const uint32_t before = *to;
  *to += value;
  return before;
#endif
}

}  // namespace mica::MICA_GPU
