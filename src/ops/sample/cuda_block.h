// Integer reductions over a block in which the order of threads does not matter. All are called by
// every thread of a one-dimensional block of full warps, and give every thread the result.
#pragma once

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU::sampling {

// Shared memory of the functions below; free again when they return.
inline constexpr int kScratch = 40;  // 64-bit words: one a warp, and kSlot
inline constexpr int kSlot = 32;

MICA_DEVICE int thread_id() {
  return static_cast<int>(thread_index().x);
}
MICA_DEVICE int thread_count() {
  return static_cast<int>(block_size().x);
}

// To every lane of the warp. Pieces of 27 bits, whose sum over 32 lanes fits 32.
MICA_DEVICE uint64_t warp_sum(uint64_t value, Where where = Where::here()) {
  constexpr uint64_t kPiece = (1u << 27) - 1;
  const uint32_t low = reduce_add(kFullWarp, static_cast<uint32_t>(value & kPiece), where);
  const uint32_t middle = reduce_add(kFullWarp, static_cast<uint32_t>(value >> 27 & kPiece), where);
  const uint32_t high = reduce_add(kFullWarp, static_cast<uint32_t>(value >> 54), where);
  return low + (uint64_t{middle} << 27) + (uint64_t{high} << 54);
}

MICA_DEVICE uint64_t block_sum(uint64_t value, uint64_t* scratch, Where where = Where::here()) {
  value = warp_sum(value, where);
  if (lane_index() == 0) scratch[warp_index()] = value;
  sync_threads(where);
  uint64_t sum = 0;
  for (int warp = 0; warp < thread_count() / kWarpSize; ++warp) sum += scratch[warp];
  sync_threads(where);
  return sum;
}

MICA_DEVICE uint64_t block_min(uint64_t value, uint64_t* scratch, Where where = Where::here()) {
  const auto own = static_cast<uint32_t>(value >> 32);
  const uint32_t high = reduce_min(kFullWarp, own, where);
  const uint32_t low =
      reduce_min(kFullWarp, own == high ? static_cast<uint32_t>(value) : ~0u, where);
  if (lane_index() == 0) scratch[warp_index()] = uint64_t{high} << 32 | low;
  sync_threads(where);
  uint64_t least = scratch[0];
  for (int warp = 1; warp < thread_count() / kWarpSize; ++warp)
    least = scratch[warp] < least ? scratch[warp] : least;
  sync_threads(where);
  return least;
}

// The sum over the threads before this one.
MICA_DEVICE uint64_t block_prefix(uint64_t value, uint64_t* scratch, Where where = Where::here()) {
  uint64_t sum = value;
  for (int lanes = 1; lanes < kWarpSize; lanes *= 2) {
    const uint32_t low = shuffle_up(kFullWarp, static_cast<uint32_t>(sum), lanes, 32, where);
    const uint32_t high = shuffle_up(kFullWarp, static_cast<uint32_t>(sum >> 32), lanes, 32, where);
    if (lane_index() >= lanes) sum += uint64_t{high} << 32 | low;
  }
  if (lane_index() == kWarpSize - 1) scratch[warp_index()] = sum;
  sync_threads(where);
  sum -= value;
  for (int warp = 0; warp < warp_index(); ++warp) sum += scratch[warp];
  sync_threads(where);
  return sum;
}

// Adds to a 64-bit sum in two words of shared memory; 32-bit atomics are the native ones.
MICA_DEVICE void add_shared(uint32_t* low, uint32_t* high, uint64_t value) {
  const auto part = static_cast<uint32_t>(value);
  const uint32_t before = atom_add_shared(low, part);
  const uint32_t more = static_cast<uint32_t>(value >> 32) + (before + part < part);
  if (more != 0) red_add_shared(high, more);
}

struct Found {
  int index;
  uint64_t rest;  // of the target, from that value on
};

// The first of `count` values at which their running sum reaches `target`, 1 or more; `count` where
// it never does. value(i) is called twice for some.
template <typename Value>
MICA_DEVICE Found find_first(int count, uint64_t target, Value&& value, uint64_t* scratch,
                             Where where = Where::here()) {
  const int each = (count + thread_count() - 1) / thread_count();
  const int begin = thread_id() * each < count ? thread_id() * each : count;
  const int end = begin + each < count ? begin + each : count;
  if (thread_id() == 0) {
    scratch[kSlot] = static_cast<uint64_t>(count);
    scratch[kSlot + 1] = 1;
  }
  uint64_t own = 0;
  for (int i = begin; i < end; ++i) own += value(i);
  uint64_t before = block_prefix(own, scratch, where);
  if (before < target && target - before <= own) {
    int i = begin;
    for (uint64_t next = value(i); before + next < target; next = value(++i)) before += next;
    scratch[kSlot] = static_cast<uint64_t>(i);
    scratch[kSlot + 1] = target - before;
  }
  sync_threads(where);
  const Found found = {static_cast<int>(scratch[kSlot]), scratch[kSlot + 1]};
  sync_threads(where);
  return found;
}

// Whether this is the last of a row's blocks to come here. What the others wrote before is visible
// then: the barriers order it with the first thread's atomic, which acquires and releases.
MICA_DEVICE bool is_last_block(uint32_t* ticket, int blocks, uint64_t* scratch,
                               Where where = Where::here()) {
  sync_threads(where);
  if (thread_id() == 0)
    scratch[kSlot] = atom_add(ticket, 1, where) == static_cast<uint32_t>(blocks - 1);
  sync_threads(where);
  const bool last = scratch[kSlot] != 0;
  sync_threads(where);
  return last;
}

}  // namespace mica::MICA_GPU::sampling
