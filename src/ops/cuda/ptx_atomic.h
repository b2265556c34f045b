// PTX atomics on integers beside those of ptx_memory.h: wide sums in global memory, and shared
// memory. Sums of integers are the same in any order.
#pragma once

#include "ops/cuda/target.h"

namespace mica::MICA_GPU {

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
  asm volatile("red.relaxed.cta.shared.add.u32 [%0], %1;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "r"(value)
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
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))), "r"(value)
               : "memory");
  return d;
#else
  const uint32_t before = *to;
  *to += value;
  return before;
#endif
}

}  // namespace mica::MICA_GPU
