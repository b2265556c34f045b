// Starting kernels, and the names that kernels use for their place in the grid and for shared
// memory. Kernel sources include this and ptx.h, and nothing of CUDA's own headers.
#pragma once

#include <tuple>
#include <utility>

#include "ops/cuda/runtime.h"
#include "ops/cuda/target.h"
#ifndef __CUDACC__
#include "ops/simt/emulator.h"
#endif

namespace mica::MICA_GPU {

inline constexpr int kWarpSize = 32;
inline constexpr uint32_t kFullWarp = 0xffffffffu;

struct LaunchConfig {
  const char* name;         // of the kernel, in messages
  Dim3 grid;                // blocks
  Dim3 block;               // threads
  size_t shared_bytes = 0;  // dynamic shared memory of a block: the sum of its shared_bytes<T>(n)
};

#ifdef __CUDACC__

MICA_DEVICE Dim3 thread_index() {
  return {threadIdx.x, threadIdx.y, threadIdx.z};
}
MICA_DEVICE Dim3 block_index() {
  return {blockIdx.x, blockIdx.y, blockIdx.z};
}
MICA_DEVICE Dim3 block_size() {
  return {blockDim.x, blockDim.y, blockDim.z};
}
MICA_DEVICE Dim3 grid_size() {
  return {gridDim.x, gridDim.y, gridDim.z};
}

extern __shared__ __align__(128) unsigned char mica_dynamic_shared[];

#else

inline Dim3 thread_index() {
  return emu::this_thread().thread;
}
inline Dim3 block_index() {
  return emu::this_thread().block;
}
inline Dim3 block_size() {
  return emu::this_thread().block_size;
}
inline Dim3 grid_size() {
  return emu::this_thread().grid_size;
}

#endif

// The lane of this thread in its warp, for blocks whose x is a multiple of the warp or that have
// one dimension.
MICA_DEVICE int lane_index() {
  return static_cast<int>(thread_index().x % kWarpSize);
}
MICA_DEVICE int warp_index() {
  return static_cast<int>(thread_index().x / kWarpSize);
}

// Bytes that Shared::take<T>(count) uses of a launch's shared_bytes.
template <typename T>
MICA_HOST_DEVICE constexpr size_t shared_bytes(size_t count) {
  return (count * sizeof(T) + 15) / 16 * 16;
}

// Carves arrays out of a block's dynamic shared memory; every thread takes the same arrays in the
// same order. On the emulator each array starts poisoned and lies between guard zones.
class Shared {
 public:
  template <typename T>
  MICA_DEVICE T* take(size_t count, [[maybe_unused]] Where where = Where::here()) {
    static_assert(alignof(T) <= 16);
#ifdef __CUDACC__
    T* array = reinterpret_cast<T*>(mica_dynamic_shared + used_);
#else
    T* array = static_cast<T*>(emu::take_shared(arrays_++, used_, count * sizeof(T), where));
#endif
    used_ += shared_bytes<T>(count);
    return array;
  }

 private:
  size_t used_ = 0;
#ifndef __CUDACC__
  int arrays_ = 0;
#endif
};

#ifdef __CUDACC__

// The launch itself, in ops/cuda/native/launch.cu; `parameters` are pointers to the kernel's.
void start_kernel(gpu::Stream& stream, const LaunchConfig& config, const void* kernel,
                  void** parameters);

template <typename... Parameters, typename... Arguments>
void launch(gpu::Stream& stream, const LaunchConfig& config, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  if (config.grid.count() == 0) return;
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  std::apply(
      [&](auto&... value) {
        void* parameters[] = {&value..., nullptr};  // never of size 0
        start_kernel(stream, config, reinterpret_cast<const void*>(kernel), parameters);
      },
      values);
}

#else

template <typename... Parameters, typename... Arguments>
void launch(gpu::Stream& stream, const LaunchConfig& config, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  if (config.grid.count() == 0) return;
  // Arguments are copied now, as a launch does.
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  emu::enqueue(stream, {config.name, config.grid, config.block, config.shared_bytes},
               [kernel, values] { std::apply(kernel, values); });
}

#endif

}  // namespace mica::MICA_GPU
