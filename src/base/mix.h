#pragma once

#include <cstdint>

// Before a function that kernels call too.
#ifdef __CUDACC__
#define MICA_ALSO_DEVICE __host__ __device__
#else
#define MICA_ALSO_DEVICE
#endif

namespace mica {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
MICA_ALSO_DEVICE constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Number `index` of SplitMix64's sequence that starts at `seed`.
MICA_ALSO_DEVICE constexpr uint64_t random_word(uint64_t seed, uint64_t index) {
  return mix64(seed + (index + 1) * 0x9e3779b97f4a7c15u);
}

}  // namespace mica
