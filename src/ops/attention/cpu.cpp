#include <algorithm>
#include <bit>

#include "ops/attention/attention.h"
#include "ops/attention/kernel.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/pick.h"

namespace mica::cpu {
namespace {

using kernels::AttentionCall;
using kernels::AttentionJob;

kernels::CacheType cache_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return kernels::CacheType::kF32;
    case DType::kBF16: return kernels::CacheType::kBF16;
    case DType::kF16: return kernels::CacheType::kF16;
    default: MICA_CHECK_MSG(false, "cache of {}", name(dtype));
  }
  return {};
}

kernels::CacheCodes codes_of(const KvScheme& scheme, int64_t size) {
  if (scheme.bits == 0) return {};
  return {.bits = scheme.bits,
          .group_shift = std::countr_zero(static_cast<unsigned>(scheme.group)),
          .groups = scheme.groups(size),
          .code_bytes = scheme.code_bytes(size),
          .vector_bytes = scheme.vector_bytes(size)};
}

AttentionCall make_call(const AttentionParams& p) {
  MICA_CHECK(p.q.dtype == DType::kF32 && p.out.dtype == DType::kF32 && p.out.shape == p.q.shape);
  MICA_CHECK(p.cache.keys.dtype == p.cache.values.dtype && p.block_size > 0);
  MICA_CHECK(p.cache.keys.shape[2] == p.block_size && p.cache.holds(p.q.shape[2]));
  MICA_CHECK(p.q.shape[1] % p.cache.keys.shape[1] == 0);
  return {.q = p.q.as<float>(),
          .out = p.out.as<float>(),
          .keys = p.cache.keys.data,
          .values = p.cache.values.data,
          .type = cache_type(p.cache.scheme.bits > 0 ? p.cache.scheme.dtype : p.cache.keys.dtype),
          .codes = codes_of(p.cache.scheme, p.q.shape[2]),
          .heads = p.q.shape[1],
          .kv_heads = p.cache.keys.shape[1],
          .head_dim = p.q.shape[2],
          .block_size = p.block_size,
          .scale = p.scale,
          .softcap = p.softcap,
          .window = p.window,
          .sinks = p.sinks.empty() ? nullptr : p.sinks.as<float>()};
}

// Calls visit(job) for every row tile of every kv head of every sequence, the job over all of its
// ranges.
template <typename Visit>
void for_each_tile(const AttentionParams& p, const AttentionCall& call, Visit&& visit) {
  const Batch& batch = *p.batch;
  const int32_t* starts = batch.query_start.as<int32_t>();
  const int64_t ratio = call.heads / call.kv_heads, max_blocks = batch.block_table.shape[1];
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int32_t* positions = batch.positions.as<int32_t>() + starts[s];
    const int64_t rows = (starts[s + 1] - starts[s]) * ratio;
    for (int64_t row = 0; row < rows; row += kernels::kRowTile) {
      const int64_t end = std::min(rows, row + kernels::kRowTile);
      int64_t lowest = positions[row / ratio], highest = lowest;
      for (int64_t t = row / ratio; t <= (end - 1) / ratio; ++t) {
        lowest = std::min<int64_t>(lowest, positions[t]);
        highest = std::max<int64_t>(highest, positions[t]);
      }
      if (p.window > 0) lowest = std::max<int64_t>(0, lowest + 1 - p.window);
      if (p.window <= 0) lowest = 0;
      for (int64_t g = 0; g < call.kv_heads; ++g)
        visit(AttentionJob{.blocks = batch.block_table.as<int32_t>() + s * max_blocks,
                           .positions = positions,
                           .first_token = starts[s],
                           .kv_head = g,
                           .row_begin = row,
                           .row_end = end,
                           .split_begin = lowest / kernels::kSplit,
                           .split_end = highest / kernels::kSplit + 1,
                           .partial = nullptr});
    }
  }
}

int64_t splits(const AttentionJob& job) {
  return job.split_end - job.split_begin;
}

}  // namespace

void attention(Backend& backend, const AttentionParams& p) {
  const AttentionCall call = make_call(p);
  const auto attend = pick_kernel(backend, &kernels::portable::attend, &kernels::avx2::attend,
                                  &kernels::avx512::attend);
  const auto merge = pick_kernel(backend, &kernels::portable::merge_partials,
                                 &kernels::avx2::merge_partials, &kernels::avx512::merge_partials);
  ThreadPool& pool = cpu_threads(backend);
  const auto threads = static_cast<size_t>(pool.size());
  size_t tiles = 0, pieces = 0;
  for_each_tile(p, call, [&](const AttentionJob& job) {
    ++tiles;
    pieces += static_cast<size_t>(splits(job));
  });
  // Few tiles: their ranges are shared among the threads and merged afterwards.
  const bool split = threads > 1 && tiles < 4 * threads && pieces > tiles;
  const size_t jobs = split ? pieces : tiles;
  const auto per_thread = static_cast<size_t>(kernels::scratch_floats(call.head_dim));
  const auto per_state = static_cast<size_t>(kernels::state_floats(call.head_dim));
  auto* scratch = static_cast<float*>(
      cpu_scratch(backend, (per_thread * threads + (split ? pieces * per_state : 0)) * 4 +
                               (jobs + tiles) * sizeof(AttentionJob)));
  float* partials = scratch + per_thread * threads;
  auto* job_list = reinterpret_cast<AttentionJob*>(partials + (split ? pieces * per_state : 0));
  AttentionJob* tile_list = job_list + jobs;
  size_t job_count = 0, tile_count = 0;
  for_each_tile(p, call, [&](AttentionJob job) {
    tile_list[tile_count++] = job;
    if (split) tile_list[tile_count - 1].partial = partials + job_count * per_state;
    if (!split) job_list[job_count++] = job;
    for (int64_t i = job.split_begin; split && i < job.split_end; ++i) {
      AttentionJob piece = job;
      piece.split_begin = i;
      piece.split_end = i + 1;
      piece.partial = partials + job_count * per_state;
      job_list[job_count++] = piece;
    }
  });
  // Later tiles see more positions: the longest jobs first.
  pool.parallel_for(static_cast<int64_t>(jobs), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i)
      attend(call, job_list[static_cast<int64_t>(jobs) - 1 - i],
             scratch + static_cast<size_t>(thread) * per_thread);
  });
  if (!split) return;
  pool.parallel_for(static_cast<int64_t>(tiles), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i)
      merge(call, tile_list[i], tile_list[i].partial, splits(tile_list[i]),
            scratch + static_cast<size_t>(thread) * per_thread);
  });
}

}  // namespace mica::cpu
