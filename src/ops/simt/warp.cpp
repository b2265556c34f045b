// Shuffles, votes, reductions, barriers and asynchronous copies of the emulator.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "ops/simt/block.h"
#include "ops/simt/sanitizers.h"

namespace mica::simt::emu {
namespace {

template <typename T>
const T& input(const WarpCall& call, size_t lane) {
  return *static_cast<const T*>(call.in[lane]);
}

template <typename T>
T& output(const WarpCall& call, size_t lane) {
  return *static_cast<T*>(call.out[lane]);
}

template <typename F>
void for_lanes(const WarpCall& call, F&& f) {
  for (uint32_t left = call.arrived; left != 0; left &= left - 1)
    f(static_cast<size_t>(std::countr_zero(left)));
}

struct ShuffleIn {
  uint32_t value, b, c;
};

// PTX ISA, shfl.sync: `b` is the lane or offset, `c` holds the segment mask and the clamp.
template <Shuffle kKind>
uint32_t source_lane(uint32_t lane, uint32_t b, uint32_t c) {
  const uint32_t bval = b & 0x1f, cval = c & 0x1f, mask = (c >> 8) & 0x1f;
  const uint32_t max_lane = (lane & mask) | (cval & ~mask & 0x1f);
  const uint32_t min_lane = lane & mask;
  uint32_t j = 0;
  bool in_range = false;
  if constexpr (kKind == Shuffle::kUp) {
    j = lane - bval;
    in_range = static_cast<int32_t>(j) >= static_cast<int32_t>(max_lane);
  } else {
    if constexpr (kKind == Shuffle::kDown) j = lane + bval;
    if constexpr (kKind == Shuffle::kXor) j = lane ^ bval;
    if constexpr (kKind == Shuffle::kIdx) j = min_lane | (bval & ~mask & 0x1f);
    in_range = j <= max_lane;
  }
  return in_range ? j : lane;
}

template <Shuffle kKind>
void run_shuffle(WarpCall& call) {
  std::array<uint32_t, 32> result{};
  for_lanes(call, [&](size_t lane) {
    const auto& in = input<ShuffleIn>(call, lane);
    const uint32_t from = source_lane<kKind>(static_cast<uint32_t>(lane), in.b, in.c);
    if (!(call.arrived >> from & 1))
      Block::current().fail(call.where[lane],
                            fmt::format("a shuffle in which lane {} reads lane {}, which takes no "
                                        "part: mask {:08x}, present {:08x}",
                                        lane, from, call.mask, call.arrived));
    result[lane] = input<ShuffleIn>(call, from).value;
  });
  for_lanes(call, [&](size_t lane) { output<uint32_t>(call, lane) = result[lane]; });
}

void run_ballot(WarpCall& call) {
  uint32_t votes = 0;
  for_lanes(call, [&](size_t lane) {
    if (input<bool>(call, lane)) votes |= 1u << lane;
  });
  for_lanes(call, [&](size_t lane) { output<uint32_t>(call, lane) = votes; });
}

template <typename F>
void run_reduce(WarpCall& call, F&& combine) {
  uint32_t result = 0;
  bool first = true;
  for_lanes(call, [&](size_t lane) {
    const uint32_t value = input<uint32_t>(call, lane);
    result = first ? value : combine(result, value);
    first = false;
  });
  for_lanes(call, [&](size_t lane) { output<uint32_t>(call, lane) = result; });
}

int32_t as_signed(uint32_t value) {
  return static_cast<int32_t>(value);
}

constexpr WarpOperation kSyncWarp = {"__syncwarp", false, [](WarpCall&) {}};
constexpr WarpOperation kShuffles[] = {
    {"shfl.sync.idx", false, run_shuffle<Shuffle::kIdx>},
    {"shfl.sync.up", false, run_shuffle<Shuffle::kUp>},
    {"shfl.sync.down", false, run_shuffle<Shuffle::kDown>},
    {"shfl.sync.bfly", false, run_shuffle<Shuffle::kXor>},
};
constexpr WarpOperation kBallot = {"vote.sync", false, run_ballot};
constexpr WarpOperation kReductions[] = {
    {"redux.sync.add", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return a + b; }); }},
    {"redux.sync.min.u32", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return std::min(a, b); }); }},
    {"redux.sync.max.u32", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return std::max(a, b); }); }},
    {"redux.sync.min.s32", false,
     [](WarpCall& c) {
       run_reduce(c, [](uint32_t a, uint32_t b) { return as_signed(a) < as_signed(b) ? a : b; });
     }},
    {"redux.sync.max.s32", false,
     [](WarpCall& c) {
       run_reduce(c, [](uint32_t a, uint32_t b) { return as_signed(a) < as_signed(b) ? b : a; });
     }},
    {"redux.sync.and", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return a & b; }); }},
    {"redux.sync.or", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return a | b; }); }},
    {"redux.sync.xor", false,
     [](WarpCall& c) { run_reduce(c, [](uint32_t a, uint32_t b) { return a ^ b; }); }},
};

void land(const PendingCopy& copy) {
  if (copy.source_bytes > 0)
    std::memcpy(copy.to, copy.use_early ? copy.early.data() : copy.from,
                static_cast<size_t>(copy.source_bytes));
  std::memset(static_cast<std::byte*>(copy.to) + copy.source_bytes, 0,
              static_cast<size_t>(copy.bytes - copy.source_bytes));
}

bool aligned(const void* address, int bytes) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0;
}

}  // namespace

void* take_shared(int index, size_t offset, size_t bytes, Where where) {
  Block& block = Block::current();
  std::string fault;
  void* array = block.shared().take(index, offset, bytes, where, &fault);
  if (!array) block.fail(where, fault);
  return array;
}

void sync_threads(Where where) {
  Block::current().sync_threads(where);
}

void barrier(int id, int threads, bool wait, Where where) {
  Block::current().barrier(id, threads, wait, where);
}

void yield(Where where) {
  Block::current().yield(where);
}

void grid_dependency_wait() {
  Block::current().note_wait();
}

void sync_warp(uint32_t mask, Where where) {
  Block::current().collective(kSyncWarp, mask, nullptr, nullptr, where);
}

uint32_t shuffle(Shuffle kind, uint32_t mask, uint32_t value, uint32_t lane, int width,
                 Where where) {
  Block& block = Block::current();
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<uint32_t>(width)))
    block.fail(where, fmt::format("a shuffle of width {}: expected a power of 2 up to 32", width));
  const uint32_t clamp = kind == Shuffle::kUp ? 0 : 0x1f;
  const ShuffleIn in = {value, lane, static_cast<uint32_t>(32 - width) << 8 | clamp};
  uint32_t out = 0;
  block.collective(kShuffles[static_cast<size_t>(kind)], mask, &in, &out, where);
  return out;
}

uint32_t ballot(uint32_t mask, bool predicate, Where where) {
  uint32_t out = 0;
  Block::current().collective(kBallot, mask, &predicate, &out, where);
  return out;
}

uint32_t reduce(Reduce kind, uint32_t mask, uint32_t value, Where where) {
  uint32_t out = 0;
  Block::current().collective(kReductions[static_cast<size_t>(kind)], mask, &value, &out, where);
  return out;
}

void misaligned(int bytes, Where where) {
  Block::current().fail(
      where, fmt::format("an access of {} bytes at an address that is no multiple of it", bytes));
}

void copy_async(void* shared, const void* global, int bytes, int source_bytes, Where where) {
  Block& block = Block::current();
  if (!block.shared().contains(shared, static_cast<size_t>(bytes)))
    block.fail(where, fmt::format("cp.async of {} bytes into no array of shared memory", bytes));
  if (!aligned(shared, bytes) || !aligned(global, bytes))
    block.fail(where, fmt::format("cp.async of {} bytes between addresses that are no multiples of "
                                  "it",
                                  bytes));
  if (source_bytes < 0 || source_bytes > bytes)
    block.fail(where, fmt::format("cp.async of {} bytes from {}", bytes, source_bytes));
  Thread& thread = block.thread();
  thread.where = where;
  PendingCopy copy = {shared, global, bytes, source_bytes, thread.copy_group, {}, false};
  // The source may be read at any time until the wait.
  copy.use_early = block.order() == Order::kRandom && block.random().next() % 2 == 0;
  if (copy.use_early && source_bytes > 0)
    std::memcpy(copy.early.data(), global, static_cast<size_t>(source_bytes));
  fill_unwritten(shared, static_cast<size_t>(bytes));
  thread.copies.push_back(copy);
}

void copy_async_commit() {
  ++Block::current().thread().copy_group;
}

void copy_async_wait(int groups_left, Where where) {
  Block& block = Block::current();
  block.yield(where);
  Thread& thread = block.thread();
  const auto stay = std::stable_partition(
      thread.copies.begin(), thread.copies.end(),
      [&](const PendingCopy& copy) { return copy.group < thread.copy_group - groups_left; });
  std::for_each(thread.copies.begin(), stay, land);
  thread.copies.erase(thread.copies.begin(), stay);
}

}  // namespace mica::simt::emu
