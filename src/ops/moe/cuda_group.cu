#include <algorithm>

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/moe/cuda_group.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarpSize;

struct Grouping {
  const int32_t* ids;
  int pairs, experts, share, tile, tiles;
  int32_t *input, *output;  // [tiles * tile]
  int32_t* tile_experts;    // [tiles]
};

// The pairs that a warp looks at, whole rows of lanes.
struct PairRange {
  int begin, end;
};
MICA_DEVICE PairRange range_of(const Grouping& p, int warp) {
  const int rows = (p.pairs + kWarpSize - 1) / kWarpSize;
  const int begin = rows * warp / kWarps * kWarpSize, end = rows * (warp + 1) / kWarps * kWarpSize;
  return {begin, end < p.pairs ? end : p.pairs};
}

// Counts the pairs of all experts, and returns those of `expert` in the warp's range.
MICA_DEVICE int count_pairs(const Grouping& p, int expert, uint32_t* counts) {
  const PairRange range = range_of(p, warp_index());
  uint32_t own = 0;
  for (int i = range.begin + lane_index(); i < range.end; i += kWarpSize) {
    const int id = p.ids[i];
    if (id >= 0 && id < p.experts) red_add_shared(&counts[id], 1);
    own += id == expert;
  }
  return static_cast<int>(reduce_add(kFullWarp, own));
}

// Tiles of the experts before `expert`, to all threads. sums: one of each warp.
MICA_DEVICE int tiles_before(const Grouping& p, int expert, const uint32_t* counts,
                             uint32_t* sums) {
  uint32_t tiles = 0;
  for (int e = static_cast<int>(thread_index().x); e < expert; e += kThreads)
    tiles += (counts[e] + static_cast<uint32_t>(p.tile) - 1) / static_cast<uint32_t>(p.tile);
  tiles = reduce_add(kFullWarp, tiles);
  if (lane_index() == 0) sums[warp_index()] = tiles;
  sync_threads();
  uint32_t total = 0;
  for (int w = 0; w < kWarps; ++w) total += sums[w];
  return static_cast<int>(total);
}

// The warp's pairs of the expert into slots from `slot` on, in order.
MICA_DEVICE void place_pairs(const Grouping& p, int expert, int slot) {
  const PairRange range = range_of(p, warp_index());
  const int lane = lane_index();
  for (int row = range.begin; row < range.end; row += kWarpSize) {
    const int pair = row + lane;
    const bool own = pair < range.end && p.ids[pair] == expert;
    const uint32_t found = ballot(kFullWarp, own);
    if (own) {
      const int at = slot + static_cast<int>(count_bits(found & ((1u << lane) - 1)));
      p.input[at] = pair / p.share;
      p.output[at] = pair;
    }
    slot += static_cast<int>(count_bits(found));
  }
}

// One block an expert. Limit: each reads all ids twice, from L2; 16384 pairs are 64 rows of lanes a
// warp.
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void group_kernel(const Grouping p) {
  const int expert = static_cast<int>(block_index().x);
  const int thread = static_cast<int>(thread_index().x);
  Shared shared;
  auto* counts = shared.take<uint32_t>(static_cast<size_t>(p.experts));
  auto* sums = shared.take<uint32_t>(kWarps);
  auto* warp_counts = shared.take<int32_t>(kWarps);
  for (int e = thread; e < p.experts; e += kThreads) counts[e] = 0;
  sync_threads();
  grid_dependency_wait();
  const int own = count_pairs(p, expert, counts);
  if (lane_index() == 0) warp_counts[warp_index()] = own;
  sync_threads();
  const int first = tiles_before(p, expert, counts, sums);
  const auto count = static_cast<int>(counts[expert]);
  const int used = (count + p.tile - 1) / p.tile;

  for (int i = thread; i < used; i += kThreads) p.tile_experts[first + i] = expert;
  for (int i = count + thread; i < used * p.tile; i += kThreads) p.input[first * p.tile + i] = -1;
  if (expert == p.experts - 1)
    for (int i = first + used + thread; i < p.tiles; i += kThreads) p.tile_experts[i] = -1;
  int slot = first * p.tile;
  for (int w = 0; w < warp_index(); ++w) slot += warp_counts[w];
  place_pairs(p, expert, slot);
  grid_dependency_launch();
}

}  // namespace

int64_t PairGroups::tiles() const {
  const int64_t pairs = ids.elements();
  return (pairs + std::min(experts, pairs) * (tile - 1)) / tile;
}

size_t PairGroups::bytes() const {
  return static_cast<size_t>(tiles() * (2 * tile + 1)) * sizeof(int32_t);
}

int pair_tile(int64_t pairs, int64_t experts) {
  // Half as many again as the mean, as experts are not chosen evenly.
  for (int tile : {8, 16, 32})
    if (3 * pairs <= 2 * tile * experts) return tile;
  return 64;
}

gpu::Slots group_pairs(gpu::GpuBackend& backend, const PairGroups& p, std::byte* memory) {
  const int64_t tiles = p.tiles(), pairs = p.ids.elements();
  MICA_CHECK(tiles * p.tile <= INT32_MAX);
  auto* input = reinterpret_cast<int32_t*>(memory);
  int32_t* output = input + tiles * p.tile;
  int32_t* experts = output + tiles * p.tile;
  const Grouping grouping = {.ids = p.ids.as<int32_t>(),
                             .pairs = static_cast<int>(pairs),
                             .experts = static_cast<int>(p.experts),
                             .share = static_cast<int>(p.share),
                             .tile = p.tile,
                             .tiles = static_cast<int>(tiles),
                             .input = input,
                             .output = output,
                             .tile_experts = experts};
  const size_t shared =
      shared_bytes<uint32_t>(static_cast<size_t>(p.experts)) + 2 * shared_bytes<uint32_t>(kWarps);
  launch(backend.stream(), {"group_pairs", {static_cast<uint32_t>(p.experts)}, {kThreads}, shared},
         group_kernel, grouping);
  return {.count = tiles * p.tile,
          .tile = p.tile,
          .rows = pairs,
          .input = input,
          .output = output,
          .experts = experts};
}

}  // namespace mica::MICA_GPU
