// The product kernel of float weights: out[t, n] (+)= sum_k W[n, k] * x[t, k] + bias[n].
//   work       an item is 16 or 32 rows of a target and 8 to 64 tokens. Panel p of its rows goes to
//              warp p % 8, and the sums of the warps are added in order, so that the bits of a row
//              depend neither on the other tokens nor on the kind of item. Blocks stay and go from
//              item to item.
//   limit      bytes of weights up to some 32 tokens: 24 KB a block on the way at any time, through
//              a ring per warp that runs on over the ends of items (2 blocks per multiprocessor:
//              6.3 MB on 132 of them, where 3.35 TB/s times 0.7 us are 2.3 MB). Beyond, the reads
//              of activations from L2: 64 tokens by 32 rows read 2 bytes of them for one of bf16
//              weights, hence two row tiles an item.
//   order      a lane reads only what it copied itself: no barrier but for the sums.
#pragma once

#include <algorithm>

#include "ops/linear/cuda_float.h"

namespace mica::MICA_GPU {

inline constexpr int kProductWarps = 8;
inline constexpr int kProductThreads = kProductWarps * kWarpSize;

// An item of the grid: a target's row tiles from `row_tile` on, by tile `tile` of the tokens.
struct Item {
  int target, row_tile, tile, expert;  // -1: no work
};

template <typename Path>
MICA_DEVICE Item item_at(const ProductArgs& args, int index) {
  Item item;
  const int group = index / args.tiles;  // tiles that read the same weights run side by side
  item.tile = index % args.tiles;
  item.target = 0;
  for (int i = 1; i < kMaxTargets; ++i)
    if (group >= args.targets[i].first_group) item.target = i;
  item.row_tile = (group - args.targets[item.target].first_group) * Path::kRowTiles;
  item.expert = args.experts ? args.experts[item.tile / args.tiles_per_expert] : 0;
  return item;
}

// The row of x that a slot takes, -1 where it is empty.
MICA_DEVICE int64_t input_row(const ProductArgs& args, int64_t slot) {
  if (args.input) return args.input[slot];
  return slot < args.rows ? slot : -1;
}

// Where a row of x begins, in pieces of 8 columns.
MICA_DEVICE uint32_t row_piece(const ProductArgs& args, int64_t slot) {
  const int64_t row = input_row(args, slot);
  return row < 0 ? kNoRow : static_cast<uint32_t>(row) * args.x_stride;
}

// The shared memory of one stage of a warp's ring, in Bytes16: the panels of its row tiles, each
// with the scale word of every lane.
template <typename W>
inline constexpr int kStageTile = (kPanelBytes<W> +
                                   (Format<W>::kScaleBytes > 0 ? 4 * kWarpSize : 0)) /
                                  16;

// Copies this warp's panels, item after item, into its ring.
template <typename Path>
struct Loader {
  using W = typename Path::Weights;
  int index, items, panel;
  const std::byte* codes = nullptr;   // of this lane, of the item's first panel
  const std::byte* scales = nullptr;  // the same
  bool second = false;                // the second row tile exists

  MICA_DEVICE explicit Loader(const ProductArgs& args) {
    items = args.groups * args.tiles;
    index = static_cast<int>(block_index().x);
    panel = warp_index();
    if (panel >= args.panels) index = items;
    find(args);
  }

  // The first item with work from `index` on.
  MICA_DEVICE void find(const ProductArgs& args) {
    for (; index < items; index += static_cast<int>(grid_size().x)) {
      const Item item = item_at<Path>(args, index);
      if (item.expert < 0) continue;
      const ProductTarget& target = args.targets[item.target];
      const auto first = static_cast<size_t>(item.row_tile) * static_cast<size_t>(args.panels);
      const auto expert = static_cast<size_t>(item.expert);
      codes =
          target.codes + expert * target.expert_codes + first * kPanelBytes<W> + lane_index() * 16;
      scales = target.scales + expert * target.expert_scales + first * Format<W>::kScaleBytes +
               lane_index() / 4 * 4;
      second = (item.row_tile + 1) * kTileRows < target.rows;
      return;
    }
  }

  // Starts the copy of the next stage, if there is one.
  MICA_DEVICE void issue(const ProductArgs& args, Bytes16* stage) {
    if (index < items) {
      const int lane = lane_index();
      for (int m = 0; m < Path::kRowTiles; ++m) {
        const int at = m > 0 && second ? panel + args.panels : panel;  // none: the first again
        const std::byte* from = codes + static_cast<size_t>(at) * kPanelBytes<W>;
        Bytes16* to = stage + m * kStageTile<W>;
        for (int i = 0; i < Format<W>::kPieces; ++i)
          cp_async<16>(to + i * kWarpSize + lane, from + i * kPieceBytes);
        if constexpr (Format<W>::kScaleBytes > 0)
          cp_async<4>(reinterpret_cast<uint32_t*>(to + kPanelBytes<W> / 16) + lane,
                      scales + static_cast<size_t>(at) * Format<W>::kScaleBytes);
      }
      panel += kProductWarps;
      if (panel >= args.panels) {
        panel = warp_index();
        index += static_cast<int>(grid_size().x);
        find(args);
      }
    }
    cp_async_commit();
  }
};

MICA_DEVICE void store_value(const ProductTarget& target, int64_t index, float value) {
  const auto put = [&]<typename T>(T* to) {
    if (target.add) value += to_float(*to);
    *to = from_float<T>(value);
  };
  switch (target.out_dtype) {
    case DType::kBF16: return put(static_cast<bf16*>(target.out) + index);
    case DType::kF16: return put(static_cast<f16*>(target.out) + index);
    default: return put(static_cast<float*>(target.out) + index);
  }
}

// Writes 16 rows by 8 tokens, `tile` of the item's row tiles and `token` of its tokens on; the
// elements of a lane as mma has them.
MICA_DEVICE void store_sums(const ProductArgs& args, const Item& item, int tile, int64_t token,
                            const float (&sums)[4]) {
  const ProductTarget& target = args.targets[item.target];
  const int lane = lane_index();
  for (int i = 0; i < 4; ++i) {
    const int row = (item.row_tile + tile) * kTileRows + lane / 4 + 8 * (i / 2);
    const int64_t slot = token + 2 * (lane % 4) + i % 2;
    const int64_t input = input_row(args, slot);
    if (row >= target.rows || input < 0) continue;
    const int64_t output = args.output ? args.output[slot] : input;
    const float bias =
        target.bias ? target.bias[static_cast<int64_t>(item.expert) * target.rows + row] : 0.0f;
    store_value(target, output * target.rows + row, sums[i] + bias);
  }
}

// Adds the sums of the block's warps and writes the item. `scratch` has two halves, which rounds
// take in turn, so that one barrier a round is enough.
template <typename Path>
MICA_DEVICE void finish(const ProductArgs& args, const Item& item, Path& path, Bytes16* scratch,
                        int& half, Where where = Where::here()) {
  constexpr int kRoundBytes16 = Path::kRound * kProductThreads;
  const int warp = warp_index(), lane = lane_index();
  MICA_UNROLL
  for (int first = 0; first < Path::kFragments; first += Path::kRound) {
    Bytes16* sums = scratch + half * kRoundBytes16;
    half ^= 1;
    for (int i = 0; i < Path::kRound; ++i) {
      Bytes16 part;
      for (int j = 0; j < 4; ++j) part.word[j] = as_bits(path.sum(first + i, j));
      store16(sums + (i * kProductWarps + warp) * kWarpSize + lane, part);
    }
    sync_threads(where);
    for (int i = 0; i < Path::kRound; ++i) {
      const int fragment = first + i;
      if (warp != fragment % kProductWarps) continue;
      float sum[4] = {0, 0, 0, 0};
      for (int w = 0; w < kProductWarps; ++w) {
        const Bytes16 part = load16(sums + (i * kProductWarps + w) * kWarpSize + lane);
        for (int j = 0; j < 4; ++j) sum[j] += as_float(part.word[j]);
      }
      const int tile = fragment / Path::kTokenTiles;
      store_sums(
          args, item, tile,
          (static_cast<int64_t>(item.tile) * Path::kTokenTiles + fragment % Path::kTokenTiles) * 8,
          sum);
    }
  }
}

// Blocks of a multiprocessor.
template <typename Path>
inline constexpr int kProductBlocks = Path::kRowTiles == 1 ? 2 : 1;

// A path is how a warp multiplies a panel by the tokens of an item: MmaPath or FmaPath.
template <typename Path>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kProductThreads,
                               kProductBlocks<Path>) void product_kernel(ProductArgs args) {
  using W = typename Path::Weights;
  constexpr int kStage = Path::kRowTiles * kStageTile<W>;
  constexpr int kStages = Path::kStages;
  Shared shared;
  auto* ring = shared.take<Bytes16>(kProductWarps * kStages * kStage);
  auto* scratch = shared.take<Bytes16>(2 * Path::kRound * kProductThreads);
  ring += warp_index() * kStages * kStage;
  // Weights may be read before the wait: kernels that pack never let dependents start early, and
  // all others wait. Experts are a result of the grid before.
  if (args.experts) grid_dependency_wait();
  Loader<Path> loader(args);
  for (int i = 0; i < kStages - 1; ++i) loader.issue(args, ring + i * kStage);
  grid_dependency_wait();
  int stage = 0, half = 0;
  for (int index = static_cast<int>(block_index().x); index < loader.items;
       index += static_cast<int>(grid_size().x)) {
    const Item item = item_at<Path>(args, index);
    if (item.expert < 0) continue;
    Path path;
    path.start(args, item.tile);
    for (int panel = warp_index(); panel < args.panels; panel += kProductWarps) {
      path.load(args, panel, 0);
      cp_async_wait<kStages - 2>();
      loader.issue(args, ring + (stage == 0 ? kStages - 1 : stage - 1) * kStage);
      path.multiply(args, panel, ring + stage * kStage, 0);
      for (int part = 1; part < Format<W>::kColumns / 32; ++part) {
        path.load(args, panel, part);
        path.multiply(args, panel, ring + stage * kStage, part);
      }
      stage = stage == kStages - 1 ? 0 : stage + 1;
    }
    path.end();
    finish(args, item, path, scratch, half);
  }
  grid_dependency_launch();
}

// Starts the kernel for the targets given.
template <typename Path>
void start_product(gpu::GpuBackend& backend, const gpu::Slots& slots, ProductArgs& args) {
  using W = typename Path::Weights;
  int64_t groups = 0;
  for (ProductTarget& target : args.targets) {
    if (target.rows == 0) break;
    target.first_group = static_cast<int>(groups);
    groups += (row_tiles_of(target.rows) + Path::kRowTiles - 1) / Path::kRowTiles;
  }
  const int64_t tiles = slots.count / (8 * Path::kTokenTiles);
  MICA_CHECK(groups * tiles < INT32_MAX / 2);
  args.groups = static_cast<int>(groups);
  args.tiles = static_cast<int>(tiles);
  args.tiles_per_expert = slots.tile / (8 * Path::kTokenTiles);
  // As many blocks as run at once, but no more than need be for as many items each.
  const int64_t items = groups * tiles;
  const int64_t most = backend.properties().multiprocessors * kProductBlocks<Path>;
  const int64_t turns = (items + most - 1) / most;
  const auto blocks = static_cast<uint32_t>((items + turns - 1) / turns);
  constexpr size_t kRing =
      static_cast<size_t>(kProductWarps) * Path::kStages * Path::kRowTiles * kStageTile<W>;
  launch(backend.stream(),
         {"product_float",
          {blocks},
          {kProductThreads},
          shared_bytes<Bytes16>(kRing) + shared_bytes<Bytes16>(2 * Path::kRound * kProductThreads)},
         product_kernel<Path>, args);
}

}  // namespace mica::MICA_GPU
