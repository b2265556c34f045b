#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/cuda/ptx_check.h"

namespace mica::MICA_GPU {
namespace {

// The results of a thread, one after another.
struct Results {
  uint32_t* next;
  MICA_DEVICE void put(uint32_t value) { *next++ = value; }
  MICA_DEVICE void put(float value) { *next++ = as_bits(value); }
};

MICA_DEVICE void check_registers(const uint32_t* in, Results& results) {
  results.put(static_cast<uint32_t>(dp4a(in[0], in[1], static_cast<int32_t>(in[2]))));
  results.put(static_cast<uint32_t>(dp4a_us(in[0], in[1], static_cast<int32_t>(in[2]))));
  results.put(lop3<0x96>(in[0], in[1], in[2]));
  results.put(lop3<0xca>(in[0], in[1], in[2]));
  results.put(prmt(in[0], in[1], in[2]));
  const auto low = static_cast<uint16_t>(in[3] & 0xbfff);  // finite
  results.put(to_float(f16{low}));
  results.put(to_float(bf16{low}));
  results.put(static_cast<uint32_t>(from_float<f16>(as_float(in[3] & 0x477fffff)).bits));
  results.put(static_cast<uint32_t>(from_float<bf16>(as_float(in[3] & 0x477fffff)).bits));
}

MICA_DEVICE void check_warp(const uint32_t* in, Results& results) {
  const int lane = lane_index();
  results.put(shuffle(kFullWarp, in[0], static_cast<int>(in[1] & 15), 16));
  results.put(shuffle_up(kFullWarp, in[0], 3, 8));
  results.put(shuffle_down(kFullWarp, in[0], 5));
  results.put(shuffle_xor(kFullWarp, in[0], 9));
  const bool odd = in[0] & 1;
  results.put(ballot(kFullWarp, odd));
  results.put(static_cast<uint32_t>(any(kFullWarp, lane == 3 && odd)));
  results.put(static_cast<uint32_t>(all(kFullWarp, lane != 3 || odd)));
  const uint32_t half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  const auto as_signed = static_cast<int32_t>(in[0]);
  results.put(reduce_add(half, in[0]));
  results.put(reduce_min(kFullWarp, in[0]));
  results.put(reduce_max(kFullWarp, in[0]));
  results.put(reduce_min_signed(kFullWarp, as_signed));
  results.put(reduce_max_signed(kFullWarp, as_signed));
  results.put(reduce_and(half, in[0] | 0xffff));
  results.put(reduce_or(half, in[0] & 0xf0f));
  results.put(reduce_xor(kFullWarp, in[0]));
  sync_warp();
}

template <int kMatrices, bool kTranspose>
MICA_DEVICE void check_ldmatrix(const Bytes16* tile, Results& results) {
  uint32_t d[kMatrices];
  ldmatrix<kMatrices, kTranspose>(d, tile + lane_index() % (8 * kMatrices));
  for (int i = 0; i < kMatrices; ++i) results.put(d[i]);
}

// Small integers, so that every sum is exact.
template <bool kE4m3>
MICA_DEVICE void check_mma(const uint32_t* in, Results& results) {
  uint32_t a[4], b[2];
  const auto fill = [&](uint32_t mask, uint32_t set) {
    for (int i = 0; i < 4; ++i) a[i] = (in[i] & mask) | set;
    for (int i = 0; i < 2; ++i) b[i] = ((in[i] >> 3) & mask) | set;
  };
  float d[4] = {1, 2, 3, 4};
  fill(0x80008000u, 0x3f803f80u);  // 1 and -1
  mma_m16n8k16_bf16(d, a, b);
  fill(0x84008400u, 0x38003800u);  // 0.5, 1 and their negatives
  mma_m16n8k16_f16(d, a, b);
  if constexpr (kE4m3) {
    fill(0x88888888u, 0x30303030u);
    mma_m16n8k32_e4m3(d, a, b);
  }
  for (float value : d) results.put(value);
  int32_t sums[4] = {1, 2, 3, 4};
  fill(0xffffffffu, 0);
  mma_m16n8k32_s8(sums, a, b);
  int32_t next[4];
  mma_m16n8k32_u8s8(next, a, b, sums);
  mma_m16n8k32_s8(sums, a, b, next);
  mma_m16n8k16_s8(sums, a[0], a[1], b[0], sums);
  for (int32_t value : sums) results.put(static_cast<uint32_t>(value));
}

// Into the last words of each thread: how many threads came, and the sum of how many came before
// each; of thread 0 also a wide sum.
MICA_DEVICE void check_atomics(const uint32_t* in, uint32_t* out, uint32_t* sums) {
  constexpr int kWords = gpu::PtxCheck::kWords;
  const int thread = static_cast<int>(thread_index().x);
  auto* wide = reinterpret_cast<uint64_t*>(out + kWords - 2);
  if (thread < 2) sums[thread] = 0;
  if (thread == 0) *wide = 0;
  sync_threads();
  red_add_shared(&sums[1], atom_add_shared(&sums[0], 1));
  red_add(wide, uint64_t{in[0]} << 16);
  sync_threads();
  out[thread * kWords + kWords - 4] = sums[0];
  out[thread * kWords + kWords - 3] = sums[1];
}

template <bool kE4m3>
MICA_KERNEL MICA_LAUNCH_BOUNDS(gpu::PtxCheck::kThreads) void ptx_check_kernel(
    const uint32_t* all_in, uint32_t* out, uint32_t* counters) {
  Shared shared;
  const int thread = static_cast<int>(thread_index().x);
  auto* tile = shared.take<Bytes16>(gpu::PtxCheck::kThreads);
  auto* words = shared.take<uint32_t>(4 * gpu::PtxCheck::kThreads);
  auto* sums = shared.take<uint32_t>(2);
  Results results = {out + thread * gpu::PtxCheck::kWords};
  grid_dependency_wait();
  const Bytes16 v = load16(all_in + thread * 4);
  const uint32_t in[4] = {v.word[0], v.word[1], v.word[2], v.word[3]};
  check_registers(in, results);
  check_warp(in, results);

  cp_async<16>(tile + thread, all_in + thread * 4);
  cp_async_commit();
  cp_async<8>(words + thread * 4, all_in + thread * 4, 5);
  cp_async<4>(words + thread * 4 + 2, all_in + thread * 4, 0);
  cp_async<4>(words + thread * 4 + 3, all_in + thread * 4 + 3);
  cp_async_commit();
  cp_async_wait<1>();
  sync_threads();
  const Bytes16* own = tile + warp_index() * kWarpSize;
  check_ldmatrix<1, false>(own, results);
  check_ldmatrix<2, false>(own, results);
  check_ldmatrix<4, false>(own, results);
  check_ldmatrix<1, true>(own, results);
  check_ldmatrix<2, true>(own, results);
  check_ldmatrix<4, true>(own, results);
  cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) results.put(words[thread * 4 + i]);
  check_mma<kE4m3>(in, results);

  if (warp_index() == 0) {
    words[thread] = in[0];
    barrier_arrive(1, 64);
    barrier_sync(2, 64);
  } else {
    barrier_sync(1, 64);
    results.put(words[thread - kWarpSize]);
    barrier_sync(2, 64);
  }
  red_add(&counters[0], in[0]);
  red_add(reinterpret_cast<float*>(&counters[1]), static_cast<float>(thread));
  fence();
  const uint32_t arrived = atom_add(&counters[2], 1);
  if (arrived == gpu::PtxCheck::kThreads - 1) store_release(&counters[3], counters[0]);
  sync_threads();
  results.put(load_acquire(&counters[3]));
  const float low = as_float(in[3] & 0x477fffff), high = as_float(in[2] & 0x477fffff);
  results.put(pack_pair<bf16>(low, high));
  results.put(pack_pair<f16>(low, high));
  // Powers that bf16 holds, since the last bits are the GPU's own.
  results.put(to_float(from_float<bf16>(exp2_approx(static_cast<float>(in[0] % 64) - 32))));
  results.put(to_float(from_float<bf16>(reciprocal_approx(static_cast<float>(1 << in[0] % 31)))));
  results.put(multiply_rounded(low, high));
  results.put(mul_bf16x2(in[0] & 0xbfffbfffu, in[1] & 0xbfffbfffu));  // finite
  results.put(mul_bf16x2(in[2] & 0x8fff8fffu, in[3] & 0xbfffbfffu));  // mostly subnormal
  check_atomics(in, out, sums);
  results.put(count_bits(in[0]));
  if (thread == 0) words[0] = 0;
  sync_threads();
  red_add_shared(words, in[3]);
  sync_threads();
  results.put(words[0]);
  sync_threads();
  const SharedPlace place = shared_place(words) + thread * 16;
  cp_async16(place, all_in + thread * 4);
  cp_async_commit();
  cp_async_wait<0>();
  results.put(load16(place).word[3] ^ load8(place + 8).word[0] ^ load4(place + 4));
  const StreamedPlace streamed = {reinterpret_cast<const std::byte*>(all_in + thread * 4)};
  results.put(load16(streamed).word[2] ^ load8(streamed + 8).word[1] ^ load4(streamed + 4));
  grid_dependency_launch();
}

}  // namespace

void ptx_check(gpu::Stream& stream, const PtxCheck& p) {
  const LaunchConfig config = {
      "ptx_check",
      {1},
      {PtxCheck::kThreads},
      2 * shared_bytes<Bytes16>(PtxCheck::kThreads) + shared_bytes<uint32_t>(2)};
  if (p.e4m3)
    launch(stream, config, ptx_check_kernel<true>, p.in, p.out, p.counters);
  else
    launch(stream, config, ptx_check_kernel<false>, p.in, p.out, p.counters);
}

}  // namespace mica::MICA_GPU
