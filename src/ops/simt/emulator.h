// What kernels reach of the emulator: the host bodies of ops/cuda/launch.h and ptx.h. All of it is
// called by a kernel's threads, each of which is a fiber; a fault of the kernel throws Error with
// the kernel, block, thread and line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "ops/cuda/runtime.h"
#include "ops/cuda/target.h"

namespace mica::simt::emu {

struct ThreadPlace {
  Dim3 thread, block, block_size, grid_size;
};
extern constinit thread_local const ThreadPlace* current_place;
inline const ThreadPlace& this_thread() {
  return *current_place;
}

struct Launch {
  const char* name = "";
  Dim3 grid, block;
  size_t shared_bytes = 0;
  bool must_wait = false;  // each block by grid_dependency_wait
};

// Puts a kernel into the stream of a SimtDevice; `body` is called once by every thread.
void enqueue(gpu::Stream& stream, const Launch& launch, std::function<void()> body);

// Array `index` of the block's shared memory, `offset` bytes after its start on a GPU.
void* take_shared(int index, size_t offset, size_t bytes, Where where);

// __syncthreads, and named barriers 1 to 15 over `threads` threads.
void sync_threads(Where where);
void barrier(int id, int threads, bool wait, Where where);
// Lets other threads run: a spin wait needs it.
void yield(Where where);

// Notes that the block waited for earlier grids.
void grid_dependency_wait();

// Warp operations: each rendezvous of the live lanes of the mask is executed once.
void sync_warp(uint32_t mask, Where where);
enum class Shuffle { kIdx, kUp, kDown, kXor };
uint32_t shuffle(Shuffle kind, uint32_t mask, uint32_t value, uint32_t lane, int width,
                 Where where);
uint32_t ballot(uint32_t mask, bool predicate, Where where);
enum class Reduce { kAdd, kMin, kMax, kMinSigned, kMaxSigned, kAnd, kOr, kXor };
uint32_t reduce(Reduce kind, uint32_t mask, uint32_t value, Where where);

// Tensor core products, cd += a * b; registers as in the PTX ISA: 4 of a, 2 of b (kS8Half, which is
// m16n8k16: 2 and 1) and 4 of cd.
enum class Mma { kBf16, kF16, kS8, kE4m3, kU8S8, kS8Half };
void mma(Mma kind, const uint32_t* a, const uint32_t* b, uint32_t* cd, Where where);
// `matrices` 8x8 matrices of 16-bit elements; `row` is this lane's row address.
void ldmatrix(int matrices, bool transpose, const void* row, uint32_t* out, Where where);

// The fault of an access to an address that is no multiple of its bytes.
[[noreturn]] void misaligned(int bytes, Where where);

// Asynchronous copies land at the wait that covers them; until then the target is poisoned.
void copy_async(void* shared, const void* global, int bytes, int source_bytes, Where where);
void copy_async_commit();
void copy_async_wait(int groups_left, Where where);

}  // namespace mica::simt::emu
