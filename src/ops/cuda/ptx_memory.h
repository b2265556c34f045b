// PTX on memory: loads and stores of several elements, and asynchronous copies.
#pragma once

#include "ops/cuda/target.h"
#ifndef __CUDACC__
#include "ops/simt/emulator.h"
#endif

namespace mica::MICA_GPU {

// 16 and 8 bytes of memory, aligned.
struct alignas(16) Bytes16 {
  uint32_t word[4];
};
struct alignas(8) Bytes8 {
  uint32_t word[2];
};

// The address of an access of several elements at once must be a multiple of its bytes; the
// emulator makes sure.
MICA_DEVICE void check_alignment([[maybe_unused]] const void* address, [[maybe_unused]] int bytes,
                                 [[maybe_unused]] Where where = Where::here()) {
#ifndef __CUDACC__
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) != 0)
    emu::misaligned(bytes, where);
#endif
}

// "ld.v4", "st.v4".
MICA_DEVICE Bytes16 load16(const void* from, Where where = Where::here()) {
  check_alignment(from, 16, where);
#ifdef __CUDACC__
  const uint4 v = *static_cast<const uint4*>(from);
  return {{v.x, v.y, v.z, v.w}};
#else
  return *static_cast<const Bytes16*>(from);
#endif
}
MICA_DEVICE void store16(void* to, const Bytes16& v, Where where = Where::here()) {
  check_alignment(to, 16, where);
#ifdef __CUDACC__
  *static_cast<uint4*>(to) = make_uint4(v.word[0], v.word[1], v.word[2], v.word[3]);
#else
  *static_cast<Bytes16*>(to) = v;
#endif
}

MICA_DEVICE Bytes8 load8(const void* from) {
  return *static_cast<const Bytes8*>(from);
}
MICA_DEVICE uint32_t load4(const void* from) {
  return *static_cast<const uint32_t*>(from);
}

#ifdef __CUDACC__
// "cvta.to.shared".
MICA_DEVICE uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}
#endif

// A place in shared memory whose address a GPU keeps in one register; ordinary pointers into shared
// memory are formed anew in inner loops.
struct SharedPlace {
#ifdef __CUDACC__
  uint32_t at;
#else
  std::byte* at;
#endif
};
MICA_DEVICE SharedPlace operator+(SharedPlace place, int bytes) {
  place.at += bytes;
  return place;
}
MICA_DEVICE SharedPlace shared_place(void* shared) {
#ifdef __CUDACC__
  uint32_t at = shared_address(shared);
  asm volatile("" : "+r"(at));
  return {at};
#else
  return {static_cast<std::byte*>(shared)};
#endif
}

// "ld.shared", aligned to its size.
MICA_DEVICE Bytes16 load16(SharedPlace from) {
#ifdef __CUDACC__
  Bytes16 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "r"(from.at));
  return v;
#else
  return *reinterpret_cast<const Bytes16*>(from.at);
#endif
}
MICA_DEVICE Bytes8 load8(SharedPlace from) {
#ifdef __CUDACC__
  Bytes8 v;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];"
               : "=r"(v.word[0]), "=r"(v.word[1])
               : "r"(from.at));
  return v;
#else
  return *reinterpret_cast<const Bytes8*>(from.at);
#endif
}
MICA_DEVICE uint32_t load4(SharedPlace from) {
#ifdef __CUDACC__
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(from.at));
  return v;
#else
  return *reinterpret_cast<const uint32_t*>(from.at);
#endif
}

// A place in global memory that one thread reads once in the kernel's time: it need not displace
// what L1 holds. "ld.global.nc.L1::no_allocate", aligned to its size; the place must not be written
// while the kernel runs.
struct StreamedPlace {
  const std::byte* at;
};
MICA_DEVICE StreamedPlace operator+(StreamedPlace place, int bytes) {
  return {place.at + bytes};
}
MICA_DEVICE Bytes16 load16(StreamedPlace from) {
#ifdef __CUDACC__
  Bytes16 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(from.at));
  return v;
#else
  return load16(from.at);
#endif
}
MICA_DEVICE Bytes8 load8(StreamedPlace from) {
#ifdef __CUDACC__
  Bytes8 v;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(v.word[0]), "=r"(v.word[1])
               : "l"(from.at));
  return v;
#else
  return load8(from.at);
#endif
}
MICA_DEVICE uint32_t load4(StreamedPlace from) {
#ifdef __CUDACC__
  uint32_t v;
  asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(from.at));
  return v;
#else
  return load4(from.at);
#endif
}

// "cp.async": kBytes (4, 8 or 16) from global to shared memory, both aligned to that; only
// source_bytes of them are read, the rest is zero. They may be read after cp_async_wait by this
// thread, after a barrier beyond that by others.
template <int kBytes>
MICA_DEVICE void cp_async(void* shared, const void* global, int source_bytes = kBytes,
                          [[maybe_unused]] Where where = Where::here()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#ifdef __CUDACC__
  if constexpr (kBytes == 16)  // past L1: the tile has one reader
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(source_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)),
                 "l"(global), "n"(kBytes), "r"(source_bytes)
                 : "memory");
#else
  emu::copy_async(shared, global, kBytes, source_bytes, where);
#endif
}

// All of 16 bytes.
MICA_DEVICE void cp_async16(SharedPlace to, const void* global,
                            [[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to.at), "l"(global) : "memory");
#else
  emu::copy_async(to.at, global, 16, 16, where);
#endif
}

// "cp.async.commit_group": closes this thread's group of copies.
MICA_DEVICE void cp_async_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emu::copy_async_commit();
#endif
}

// "cp.async.wait_group": until at most kGroups of this thread's latest groups are under way.
template <int kGroups>
MICA_DEVICE void cp_async_wait([[maybe_unused]] Where where = Where::here()) {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
#else
  emu::copy_async_wait(kGroups, where);
#endif
}

}  // namespace mica::MICA_GPU
