// What makes one kernel source compile both by nvcc for a GPU and by a host compiler for the
// emulator in ops/simt. Kernels and their entry functions live in `namespace mica::MICA_GPU`, so
// that both copies can be linked into one program.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define MICA_GPU cuda
#define MICA_KERNEL __global__
#define MICA_LAUNCH_BOUNDS(...) __launch_bounds__(__VA_ARGS__)  // threads, blocks at once
#define MICA_DEVICE __device__ __forceinline__
#define MICA_HOST_DEVICE __host__ __device__ __forceinline__
#define MICA_UNROLL _Pragma("unroll")    // the next loop, wholly: its arrays stay in registers
#define MICA_ROLLED _Pragma("unroll 1")  // the next loop, not at all: its body is large
#else
#define MICA_GPU simt
#define MICA_KERNEL
#define MICA_LAUNCH_BOUNDS(...)
#define MICA_DEVICE inline
#define MICA_HOST_DEVICE inline
#define MICA_UNROLL
#define MICA_ROLLED
#endif

namespace mica::gpu {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  constexpr uint64_t count() const { return uint64_t{x} * y * z; }
};

}  // namespace mica::gpu

namespace mica::MICA_GPU {

using gpu::Dim3;

// The place of a call in a kernel, for the emulator's messages: a last parameter
// `Where where = Where::here()`. Empty on a GPU.
#ifdef __CUDACC__
struct Where {
  MICA_HOST_DEVICE static constexpr Where here() { return {}; }
};
#else
struct Where {
  const char* file = "";
  int line = 0;
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};
#endif

}  // namespace mica::MICA_GPU
