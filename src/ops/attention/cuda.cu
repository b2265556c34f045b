// Attention on the GPU: how a step is split, and the merge of split rows. The kernels are in
// cuda_mma.h and cuda_f32.cu.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention/attention.h"
#include "ops/attention/cuda_attention.h"
#include "ops/attention/cuda_state.h"
#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/vector.h"

namespace mica::MICA_GPU {
namespace {

// Sequences with at most this many rows go to the narrow kernel.
constexpr int kNarrowRows = 32;
// Positions of a split: in deterministic mode, at its absolute multiples; else the fewest. A state
// of a wide tile has the bytes of some hundred positions.
constexpr int kFixedSplit = 512;
constexpr int kMinSplit = 64, kMinWideSplit = 512;
constexpr int64_t kMaxStates = 64 << 20;  // bytes of scratch memory, in deterministic mode
// Blocks of a multiprocessor that a launch aims at, where so many fit.
constexpr int kBlocks = 2;

constexpr int kMergeThreads = 128;

template <typename T>
MICA_DEVICE void store4(T* to, const float (&values)[4]) {
  if constexpr (sizeof(T) == 4) {
    store16(to, pack16<float>(values));
  } else {
    struct alignas(8) Words {
      uint32_t low, high;
    };
    *reinterpret_cast<Words*>(to) = {pack_pair<T>(values[0], values[1]),
                                     pack_pair<T>(values[2], values[3])};
  }
}

// The states of a split row, in the order of positions, to the row. One warp a row; bytes of the
// states are the limit, kBatch splits are on their way at once.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kMergeThreads) void attention_merge_kernel(AttentionArgs a) {
  constexpr int kBatch = 4, kWarps = kMergeThreads / kWarpSize;
  Shared shared;
  AttentionItem* item = shared.take<AttentionItem>(kWarps) + warp_index();
  grid_dependency_wait();
  const int index = static_cast<int>(block_index().x) * kWarps + warp_index();
  const int row = index % a.state_rows, kv_head = index / a.state_rows % a.kv_heads;
  find_item<true>(a, index / a.state_rows / a.kv_heads, item);
  sync_warp();
  const bool split = item->sequence >= 0 && item->splits > 1;
  const AttentionRow r = split ? row_of(a, *item, kv_head, row) : AttentionRow{};
  if (!r.valid) return;
  // The row's state in the first split, and from one to the next.
  const int64_t first =
      (static_cast<int64_t>(item->state) * a.kv_heads + kv_head) * a.state_rows + row;
  const int64_t step = static_cast<int64_t>(item->state_step) * a.kv_heads * a.state_rows;
  for (int column = lane_index() * 4; column < a.size; column += kWarpSize * 4) {
    float highest = kNothing, sum = 0, out[4] = {};
    for (int i = 0; i < item->splits; i += kBatch) {
      float part_highest[kBatch], part_sum[kBatch];
      Bytes16 part[kBatch] = {};
      MICA_UNROLL
      for (int j = 0; j < kBatch; ++j) {
        const int64_t state = first + (i + j) * step;
        const bool there = i + j < item->splits;
        part_highest[j] = there ? a.norms[2 * state] : kNothing;
        part_sum[j] = there ? a.norms[2 * state + 1] : 0;
        if (there) part[j] = load16(a.states + state * a.size + column);
      }
      MICA_UNROLL
      for (int j = 0; j < kBatch; ++j) {
        if (part_highest[j] == kNothing) continue;  // nothing is written there
        const FoldWeights w = fold_weights(highest, part_highest[j]);
        float values[4];
        unpack16<float>(part[j], values);
        highest = w.highest;
        sum = fold(w, sum, part_sum[j]);
        MICA_UNROLL
        for (int k = 0; k < 4; ++k) out[k] = fold(w, out[k], values[k]);
      }
    }
    const float scale = finish(highest, sum, a.sinks ? a.sinks + r.head : nullptr);
    MICA_UNROLL
    for (int k = 0; k < 4; ++k) out[k] = finished(out[k], scale);
    store4(static_cast<T*>(a.out) + r.offset + column, out);
  }
  grid_dependency_launch();
}

void start_merge(gpu::Stream& stream, const AttentionArgs& a, int64_t row_tiles) {
  constexpr int kWarps = kMergeThreads / kWarpSize;
  const int64_t rows = row_tiles * a.kv_heads * a.state_rows;
  const LaunchConfig config = {"attention_merge",
                               {static_cast<uint32_t>((rows + kWarps - 1) / kWarps)},
                               {kMergeThreads},
                               shared_bytes<AttentionItem>(kWarps)};
  switch (a.activation) {
    case DType::kF32: return launch(stream, config, attention_merge_kernel<float>, a);
    case DType::kBF16: return launch(stream, config, attention_merge_kernel<bf16>, a);
    default: return launch(stream, config, attention_merge_kernel<f16>, a);
  }
}

bool is_activation(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

void check(const AttentionParams& p) {
  const Tensor& keys = p.cache.keys;
  const Batch& batch = *p.batch;
  const KvScheme& scheme = p.cache.scheme;
  MICA_CHECK(is_activation(p.q.dtype) &&
             (scheme.bits > 0 ? keys.dtype == DType::kU8 && is_activation(scheme.dtype)
                              : is_activation(keys.dtype)));
  MICA_CHECK(p.out.dtype == p.q.dtype && p.out.shape == p.q.shape);
  MICA_CHECK(p.cache.holds(p.q.shape[2]));
  MICA_CHECK(p.q.shape[1] % keys.shape[1] == 0 && keys.shape[2] == p.block_size);
  const int64_t size = p.q.shape[2];
  if (size % 8 != 0 || size < 8 || size > 512)
    throw Error(ErrorKind::kDevice, "[attention] head size " + std::to_string(size) +
                                        " on a GPU: multiples of 8 up to 512 are supported");
  if (p.block_size < 8 || p.block_size > 256 || (p.block_size & (p.block_size - 1)) != 0)
    throw Error(ErrorKind::kDevice, "[attention] cache blocks of " + std::to_string(p.block_size) +
                                        " tokens on a GPU: powers of 2 from 8 to 256 are "
                                        "supported");
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  MICA_CHECK(keys.elements() / keys.shape[3] <= kMax && batch.block_table.elements() <= kMax);
  MICA_CHECK(p.scale > 0 && p.softcap >= 0);
  MICA_CHECK(p.sinks.empty() ||
             (p.sinks.dtype == DType::kF32 && p.sinks.elements() == p.q.shape[1]));
  MICA_CHECK(static_cast<int64_t>(batch.host_query_start.size()) == batch.sequences() + 1);
  for (const void* data : {p.q.data, p.out.data, keys.data, p.cache.values.data})
    MICA_CHECK(reinterpret_cast<uintptr_t>(data) % 16 == 0);
}

void set_scheme(AttentionArgs& a, const KvScheme& scheme) {
  if (scheme.bits == 0) return;
  a.cache_keys = a.cache_values = scheme.dtype;
  a.bits = scheme.bits;
  while (1 << a.group_shift < scheme.group) ++a.group_shift;
  MICA_CHECK(1 << a.group_shift == scheme.group && scheme.group >= 16 &&
             a.size % scheme.group == 0);
  a.groups = static_cast<int>(scheme.groups(a.size));
  a.code_bytes = static_cast<int>(scheme.code_bytes(a.size));
  while (16 << a.chunk_shift < a.code_bytes) ++a.chunk_shift;
  while (1 << a.pair_shift < a.groups) ++a.pair_shift;
  a.piece_bytes = scheme.vector_bytes(a.size) << a.block_shift;
}

AttentionArgs make_args(const AttentionParams& p) {
  const Batch& batch = *p.batch;
  AttentionArgs a = {};
  a.q = p.q.data;
  a.out = p.out.data;
  a.keys = p.cache.keys.data;
  a.values = p.cache.values.data;
  a.sinks = p.sinks.as<float>();
  a.activation = p.q.dtype;
  a.cache_keys = p.cache.keys.dtype;
  a.cache_values = p.cache.values.dtype;
  // A step of decode, whose launches depend on nothing but the number of sequences.
  const bool decode = batch.tokens() == batch.sequences() &&
                      std::ranges::adjacent_find(batch.host_query_start, [](int x, int y) {
                        return y - x != 1;
                      }) == batch.host_query_start.end();
  a.query_start = decode ? nullptr : batch.query_start.as<int32_t>();
  a.kv_lengths = batch.kv_lengths.as<int32_t>();
  a.block_table = batch.block_table.as<int32_t>();
  a.sequences = static_cast<int>(batch.sequences());
  a.max_blocks = static_cast<int>(batch.block_table.shape[1]);
  while (1 << a.block_shift < p.block_size) ++a.block_shift;
  a.heads = static_cast<int>(p.q.shape[1]);
  a.kv_heads = static_cast<int>(p.cache.keys.shape[1]);
  a.group = a.heads / a.kv_heads;
  a.size = static_cast<int>(p.q.shape[2]);
  set_scheme(a, p.cache.scheme);
  a.window = p.window > 0 ? static_cast<int>(std::min<int64_t>(p.window, kEndless)) : kEndless;
  a.factor = p.softcap > 0 ? 1 : p.scale * kLog2E;
  a.softcap_in = p.softcap > 0 ? 2 * kLog2E * p.scale / p.softcap : 0;
  a.softcap_out = p.softcap * kLog2E;
  return a;
}

// The row tiles of the sequences that belong to a launch, and the most queries of one.
struct RowTiles {
  int64_t count = 0;
  int queries = 1;
};
RowTiles row_tiles(const AttentionArgs& a, std::span<const int32_t> query_start) {
  RowTiles result;
  for (size_t s = 0; s + 1 < query_start.size(); ++s) {
    const int queries = query_start[s + 1] - query_start[s], rows = queries * a.group;
    if (rows <= a.rows_above || rows > a.rows_upto) continue;
    result.count += (rows + a.tile_rows - 1) / a.tile_rows;
    result.queries = std::max(result.queries, queries);
  }
  return result;
}

// Splits at absolute multiples of a fixed length. A few rows: every split has its block, and their
// states are merged; many: a block takes all splits of its rows and folds their states the same
// way.
void plan_fixed(AttentionArgs& a, const RowTiles& tiles, bool few, int64_t bound) {
  a.aligned = true;
  a.split_tiles = kFixedSplit / a.tile_positions;
  const int64_t seen = int64_t{a.window} + tiles.queries - 1;  // by a sequence's queries
  const int64_t splits = std::min((bound + kFixedSplit - 1) / kFixedSplit,
                                  (seen - 1 + kFixedSplit - 1) / kFixedSplit + 1);
  const int64_t state_bytes = int64_t{a.kv_heads} * a.state_rows * (a.size + 2) * 4;
  a.fold = splits > 1 && (!few || tiles.count * splits * state_bytes > kMaxStates);
  a.items = static_cast<int>(a.fold ? tiles.count : tiles.count * splits);
}

// Splits of a length that the device chooses, in one launch for all. With tiles n_i of positions in
// row tile i, their length is at least sum(n_i) * kv_heads / target, so that all of them are at
// most target / kv_heads + the row tiles.
void plan_even(AttentionArgs& a, const RowTiles& tiles, bool may_split, int min_split,
               int64_t bound) {
  a.items = static_cast<int>(tiles.count);
  a.split_tiles = kEndless;
  if (!may_split || bound <= min_split) return;
  a.split_tiles = 0;
  a.min_split_tiles = min_split / a.tile_positions;
  // Each row tile's last split is shorter: leave blocks for these.
  a.target = static_cast<int>(std::max(a.target - tiles.count * a.kv_heads, int64_t{a.target} / 2));
  a.items += a.target / a.kv_heads;
}

// The blocks that run at once.
int block_target(const gpu::DeviceProperties& device, const AttentionKernel& kernel) {
  const auto fitting = static_cast<int>(device.shared_bytes / kernel.shared_bytes);
  return std::clamp(fitting, 1, kBlocks) * device.multiprocessors;
}

// The sequences with more than `above` rows, at most `upto`.
void start(gpu::GpuBackend& backend, AttentionArgs a, const AttentionKernel& kernel,
           const AttentionParams& p, int above, int upto) {
  a.tile_rows = kernel.tile_rows;
  a.tile_positions = kernel.tile_positions;
  a.rows_above = above;
  a.rows_upto = upto;
  const RowTiles tiles = row_tiles(a, p.batch->host_query_start);
  if (tiles.count == 0) return;
  const bool decode = a.query_start == nullptr, wide = upto > kNarrowRows && kernel.tile_rows > 16;
  a.state_rows = decode ? std::min(a.group, a.tile_rows) : a.tile_rows;
  const int64_t bound = std::max<int64_t>(int64_t{a.max_blocks} << a.block_shift, 1);
  a.target = block_target(backend.properties(), kernel);
  const bool few = tiles.count * a.kv_heads < a.target;
  if (backend.deterministic())
    plan_fixed(a, tiles, few && !wide, bound);
  else  // long sequences among many short ones are split too, where a state is small
    plan_even(a, tiles, few || (!wide && (decode || upto <= kNarrowRows)),
              wide ? kMinWideSplit : kMinSplit, bound);
  const int64_t work = int64_t{a.items} * a.kv_heads;
  MICA_CHECK(work <= std::numeric_limits<int32_t>::max() / 2);
  const bool split = !a.fold && a.items > tiles.count;
  const int64_t blocks = a.fold ? std::min<int64_t>(work, a.target) : work;
  const int64_t states = split ? work * a.state_rows : 0;
  const int64_t folds = a.fold ? blocks * kernel.threads * kernel.fold_floats : 0;
  if (split || a.fold) {
    a.states = reinterpret_cast<float*>(
        backend.scratch(static_cast<size_t>(states * (a.size + 2) + folds) * sizeof(float)));
    a.norms = a.states + states * a.size;
    a.folds = a.norms + states * 2;
  }
  kernel.start(backend.stream(), a, static_cast<uint32_t>(blocks));
  if (split) start_merge(backend.stream(), a, tiles.count);
}

}  // namespace

void attention(Backend& backend, const AttentionParams& p) {
  constexpr int kMany = std::numeric_limits<int>::max();
  gpu::GpuBackend& gpu = gpu::as_gpu(backend);
  check(p);
  if (p.batch->tokens() == 0) return;
  const AttentionArgs a = make_args(p);
  if (a.activation == DType::kF32 || a.cache_keys != a.activation || a.cache_values != a.activation)
    return start(gpu, a, attention_f32(a), p, 0, kMany);
  const bool is_bf16 = a.activation == DType::kBF16;
  const auto kernel = a.bits > 0 ? (is_bf16 ? attention_bf16_quantized : attention_f16_quantized)
                                 : (is_bf16 ? attention_bf16 : attention_f16);
  start(gpu, a, kernel(a, true), p, kNarrowRows, kMany);
  start(gpu, a, kernel(a, false), p, 0, kNarrowRows);
}

}  // namespace mica::MICA_GPU
