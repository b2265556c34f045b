// moe_route and moe_combine.
#include <cmath>

#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/vector.h"
#include "ops/moe/moe.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kMaxExperts = 1024;
constexpr int kRouteWarps = 4;  // of a block

struct Route {
  const float* scores;
  int32_t* ids;
  float* weights;
  int tokens, experts, chosen;
  bool over_all;  // the softmax's sum is over all experts, not over the chosen
};

// Integers in the order of scores: 0 for what can't be chosen, 1 for NaN, -0 as 0.
MICA_DEVICE uint32_t key_of(float score) {
  if (score != score) return 1;
  const uint32_t bits = score == 0 ? 0 : as_bits(score);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
// 1 gives a NaN again.
MICA_DEVICE float score_of(uint32_t key) {
  return as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

// Lane j < chosen gets the id and the key of the j-th highest; of equal keys the lowest id wins.
// Key i of a lane is expert lane + 32 i.
template <int kKeys>
MICA_DEVICE void take_highest(uint32_t (&keys)[kKeys], int chosen, int lane, uint32_t& id,
                              uint32_t& key) {
  for (int j = 0; j < chosen; ++j) {
    uint32_t best = 0, own = ~0u;
    MICA_UNROLL
    for (int i = 0; i < kKeys; ++i) best = keys[i] > best ? keys[i] : best;
    best = reduce_max(kFullWarp, best);
    MICA_UNROLL
    for (int i = kKeys - 1; i >= 0; --i)
      if (keys[i] == best) own = static_cast<uint32_t>(lane + kWarpSize * i);
    const uint32_t winner = reduce_min(kFullWarp, own);
    MICA_UNROLL
    for (int i = 0; i < kKeys; ++i)
      if (winner == static_cast<uint32_t>(lane + kWarpSize * i)) keys[i] = 0;
    if (lane == j) {
      id = winner;
      key = best;
    }
  }
}

// A warp a token, whose scores stay in registers. Limit: latency, of one load and then of two
// reductions over the warp for each chosen expert.
template <int kKeys>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kRouteWarps* kWarpSize) void moe_route_kernel(const Route p) {
  const int lane = lane_index();
  const int token = static_cast<int>(block_index().x) * kRouteWarps + warp_index();
  if (token >= p.tokens) return;
  const float* scores = p.scores + static_cast<int64_t>(token) * p.experts;
  grid_dependency_wait();
  uint32_t keys[kKeys];
  MICA_UNROLL
  for (int i = 0; i < kKeys; ++i) {
    const int expert = lane + kWarpSize * i;
    keys[i] = expert < p.experts ? key_of(scores[expert]) : 0;
  }
  uint32_t id = 0, key = 0;
  take_highest(keys, p.chosen, lane, id, key);
  const float highest = as_float(shuffle(kFullWarp, as_bits(score_of(key)), 0));
  const float share = lane < p.chosen ? expf(score_of(key) - highest) : 0.0f;
  float part = share;
  if (p.over_all) {
    part = 0;
    for (int expert = lane; expert < p.experts; expert += kWarpSize)
      part += expf(scores[expert] - highest);
  }
  const float sum = warp_sum(part);
  if (lane < p.chosen) {
    const int64_t at = static_cast<int64_t>(token) * p.chosen + lane;
    p.ids[at] = static_cast<int32_t>(id);
    p.weights[at] = share / sum;
  }
  grid_dependency_launch();
}

template <int kKeys>
void start_route(gpu::Stream& stream, const Route& p) {
  const int blocks = (p.tokens + kRouteWarps - 1) / kRouteWarps;
  launch(stream, {"moe_route", {static_cast<uint32_t>(blocks)}, {kRouteWarps * kWarpSize}},
         moe_route_kernel<kKeys>, p);
}

constexpr int kCombineThreads = 64;  // few, so that one row takes several multiprocessors

template <typename T>
struct Combine {
  const T* x;
  const float* weights;
  T* out;
  int size, chosen;
  int vectors;  // of a row; the rest goes by single elements
  uint32_t pieces;
  bool add;
};

template <int kWidth, typename T>
MICA_DEVICE void combine(const Combine<T>& p, int64_t token, int column) {
  constexpr int kInFlight = 8;
  const T* x = p.x + token * p.chosen * p.size + column;
  const float* weights = p.weights + token * p.chosen;
  T* out = p.out + token * p.size + column;
  float sum[kWidth] = {};
  if (p.add) load_values(out, sum);
  for (int begin = 0; begin < p.chosen; begin += kInFlight) {
    float values[kInFlight][kWidth], weight[kInFlight];
    MICA_UNROLL
    for (int j = 0; j < kInFlight; ++j) {
      if (begin + j >= p.chosen) continue;
      load_values(x + static_cast<int64_t>(begin + j) * p.size, values[j]);
      weight[j] = weights[begin + j];
    }
    MICA_UNROLL
    for (int j = 0; j < kInFlight; ++j) {
      if (begin + j >= p.chosen) continue;
      MICA_UNROLL
      for (int i = 0; i < kWidth; ++i) sum[i] = fmaf(weight[j], values[j][i], sum[i]);
    }
  }
  store_values(out, sum);
}

// Limit: the bytes of x, read once. A thread has 16 bytes of a row of out and eight rows of x in
// flight. Block b has piece b % pieces of token b / pieces.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kCombineThreads) void moe_combine_kernel(const Combine<T> p) {
  const uint32_t token = block_index().x / p.pieces, piece = block_index().x % p.pieces;
  const int index = static_cast<int>(piece * kCombineThreads + thread_index().x);
  grid_dependency_wait();
  if (index < p.vectors)
    combine<kPer16<T>>(p, token, index * kPer16<T>);
  else if (index + p.vectors * (kPer16<T> - 1) < p.size)
    combine<1>(p, token, index + p.vectors * (kPer16<T> - 1));
  grid_dependency_launch();
}

template <typename T>
void start_combine(gpu::Stream& stream, const MoeCombineParams& params) {
  Combine<T> p = {params.x.as<T>(), params.weights.as<float>(), params.out.as<T>()};
  p.size = static_cast<int>(params.out.shape[1]);
  p.chosen = static_cast<int>(params.weights.shape[1]);
  p.add = params.add;
  if (p.size % kPer16<T> == 0 && aligned16(p.x) && aligned16(p.out)) p.vectors = p.size / kPer16<T>;
  const int indices = p.size - p.vectors * (kPer16<T> - 1);
  p.pieces = static_cast<uint32_t>((indices + kCombineThreads - 1) / kCombineThreads);
  const int64_t blocks = params.out.shape[0] * p.pieces;
  MICA_CHECK(blocks < int64_t{1} << 31);
  launch(stream, {"moe_combine", {static_cast<uint32_t>(blocks)}, {kCombineThreads}},
         moe_combine_kernel<T>, p);
}

}  // namespace

void moe_route(Backend& backend, const MoeRouteParams& p) {
  const int64_t tokens = p.scores.shape[0], experts = p.scores.shape[1], chosen = p.ids.shape[1];
  MICA_CHECK(chosen >= 1 && chosen <= experts && p.scores.dtype == DType::kF32);
  MICA_CHECK(p.ids.shape == Shape({tokens, chosen}) && p.weights.shape == p.ids.shape);
  MICA_CHECK(p.ids.dtype == DType::kI32 && p.weights.dtype == DType::kF32);
  MICA_CHECK(experts <= kMaxExperts && chosen <= kWarpSize && tokens < int64_t{1} << 31);
  Route route = {p.scores.as<float>(), p.ids.as<int32_t>(), p.weights.as<float>()};
  route.tokens = static_cast<int>(tokens);
  route.experts = static_cast<int>(experts);
  route.chosen = static_cast<int>(chosen);
  // Normalised weights are a softmax over the chosen scores either way.
  route.over_all = p.scoring == MoeRouteParams::Scoring::kSoftmaxThenTopK && !p.normalize;
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  if (experts <= 4 * kWarpSize)
    start_route<4>(stream, route);
  else if (experts <= 8 * kWarpSize)
    start_route<8>(stream, route);
  else if (experts <= 16 * kWarpSize)
    start_route<16>(stream, route);
  else
    start_route<32>(stream, route);
}

void moe_combine(Backend& backend, const MoeCombineParams& p) {
  const int64_t tokens = p.out.shape[0], size = p.out.shape[1], chosen = p.weights.shape[1];
  MICA_CHECK(p.x.shape == Shape({tokens * chosen, size}) && p.weights.shape[0] == tokens);
  MICA_CHECK(p.x.dtype == p.out.dtype && p.weights.dtype == DType::kF32);
  gpu::Stream& stream = gpu::as_gpu(backend).stream();
  switch (p.x.dtype) {
    case DType::kF32: return start_combine<float>(stream, p);
    case DType::kBF16: return start_combine<bf16>(stream, p);
    case DType::kF16: return start_combine<f16>(stream, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
