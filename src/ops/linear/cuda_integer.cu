// Products of the integer family: which kernels, in what tiles, and the memory between them.
#include <algorithm>
#include <vector>

#include "ops/linear/cuda_integer.h"

namespace mica::MICA_GPU {
namespace {

using gpu::IntegerFormat;
using gpu::SlotTiles;

// One launch: targets of one format.
struct Group {
  IntegerFormat format;
  Product product;
};

// Slots of a tile for a product without experts: 8 and 16 go through the same kernel, which skips
// the second eight.
int tile_for(int64_t rows) {
  return rows <= kFewSlots      ? kFewSlots
         : rows <= 8            ? 8
         : rows <= kStreamSlots ? kStreamSlots
                                : kTileSlots;
}

SlotTiles tiles_of(const gpu::Slots& slots) {
  SlotTiles result = {.input = slots.input, .output = slots.output, .experts = slots.experts};
  const bool plain = !slots.input && !slots.experts;
  result.size = plain ? tile_for(slots.rows) : std::min(slots.tile, kTileSlots);
  result.used = result.stride = result.size;
  result.expert_stride = slots.tile;
  result.rows = static_cast<int>(slots.rows);
  const int64_t count = plain ? slots.rows : slots.count;
  result.tiles = static_cast<int>((count + result.size - 1) / result.size);
  return result;
}

void start(gpu::Stream& stream, const Group& group) {
  const Product& p = group.product;
  switch (group.format) {
    case IntegerFormat::kQ2: return start_product<IntegerFormat::kQ2>(stream, p);
    case IntegerFormat::kQ3: return start_product<IntegerFormat::kQ3>(stream, p);
    case IntegerFormat::kQ4: return start_product<IntegerFormat::kQ4>(stream, p);
    case IntegerFormat::kQ5: return start_product<IntegerFormat::kQ5>(stream, p);
    case IntegerFormat::kQ6: return start_product<IntegerFormat::kQ6>(stream, p);
    case IntegerFormat::kQ8: return start_product<IntegerFormat::kQ8>(stream, p);
    case IntegerFormat::kMxfp4: return start_product<IntegerFormat::kMxfp4>(stream, p);
    case IntegerFormat::kNvfp4: return start_product<IntegerFormat::kNvfp4>(stream, p);
  }
}

ProductTarget target_for(const LinearTarget& target) {
  const gpu::GpuLinear& weights = gpu::as_gpu(target.weights);
  return {.layout = gpu::integer_layout(weights),
          .weights = weights.codes,
          .expert_bytes = weights.expert_codes,
          .bias = weights.bias,
          .out = target.out.data,
          .out_type = target.out.dtype,
          .add = target.add};
}

void add_target(const ProductTarget& target, int slots, std::vector<Group>& groups) {
  const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
    return group.format == target.layout.format && group.product.targets < kMaxTargets;
  });
  Group& group =
      found != groups.end() ? *found : groups.emplace_back(Group{target.layout.format, {}});
  Product& p = group.product;
  ProductTarget& place = p.target[p.targets++];
  place = target;
  place.first_block = p.row_blocks;
  p.row_blocks += (target.layout.rows + block_rows(slots) - 1) / block_rows(slots);
}

// Parts of K for blocks of many slots: as many as give every multiprocessor two blocks, each with
// at least two chunks.
int parts_of(const Product& p, int multiprocessors) {
  const int blocks = p.row_blocks * p.slots.tiles, chunks = p.target[0].layout.chunks();
  int parts = 1;
  while (parts < gpu::kSegments && blocks * parts <= multiprocessors && chunks >= 4 * parts)
    parts *= 2;
  return parts;
}

std::vector<Group> groups_of(gpu::GpuBackend& backend, const SlotTiles& slots, int units,
                             std::span<const LinearTarget> targets) {
  std::vector<Group> groups;
  for (const LinearTarget& target : targets) add_target(target_for(target), slots.size, groups);
  for (Group& group : groups) {
    Product& p = group.product;
    p.slots = slots;
    p.units = units;
    if (slots.size > kStreamSlots) p.parts = parts_of(p, backend.properties().multiprocessors);
    // Two blocks of 100 KB SMs with two stages, and of larger ones with three.
    p.stages = backend.properties().shared_bytes > 128 * 1024 ? 3 : 2;
  }
  return groups;
}

size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// Gives the groups their memory in the backend's scratch.
QuantizeParams place_scratch(gpu::GpuBackend& backend, const Tensor& x, const SlotTiles& slots,
                             int units, std::vector<Group>& groups) {
  size_t items = 0, most = 0;
  for (const Group& group : groups) {
    if (group.product.parts == 1) continue;
    const auto own = static_cast<size_t>(group.product.row_blocks * slots.tiles);
    items += own;
    most = std::max(most, own);
  }
  const size_t activations = aligned(static_cast<size_t>(slots.tiles) * slots.tile_bytes(units) +
                                     gpu::kSpareUnits * slots.unit_bytes());
  const size_t partials = most * gpu::kSegments * kTileFloats * sizeof(float);
  std::byte* scratch = backend.scratch(activations + partials + items * sizeof(uint32_t));
  auto* counters = reinterpret_cast<uint32_t*>(scratch + activations + partials);
  QuantizeParams quantize = {.x = x, .slots = slots, .units = units, .out = scratch};
  quantize.zeros = counters;
  quantize.zero_count = static_cast<int>(items);
  for (Group& group : groups) {
    group.product.activations = scratch;
    group.product.partials = reinterpret_cast<float*>(scratch + activations);
    group.product.counters = counters;
    if (group.product.parts > 1) counters += group.product.row_blocks * slots.tiles;
  }
  return quantize;
}

void multiply_tiles(gpu::GpuBackend& backend, const Tensor& x, const SlotTiles& slots,
                    std::span<const LinearTarget> targets) {
  MICA_CHECK(reinterpret_cast<uintptr_t>(x.data) % 16 == 0);
  const auto units = static_cast<int>((x.shape[1] + gpu::kUnit - 1) / gpu::kUnit);
  std::vector<Group> groups = groups_of(backend, slots, units, targets);
  QuantizeParams quantize = place_scratch(backend, x, slots, units, groups);
  quantize_slots(backend.stream(), quantize);
  for (const Group& group : groups) start(backend.stream(), group);
  if (x.dtype != DType::kF32) return;

  // Activations of f32 want more than 16 bits: what these left over goes the same way.
  quantize.rest = true;
  quantize_slots(backend.stream(), quantize);
  for (Group& group : groups) {
    for (int i = 0; i < group.product.targets; ++i) {
      group.product.target[i].add = true;
      group.product.target[i].bias = nullptr;
    }
    start(backend.stream(), group);
  }
}

}  // namespace

void multiply_integer(gpu::GpuBackend& backend, const Tensor& x, const gpu::Slots& slots,
                      std::span<const LinearTarget> targets) {
  if (slots.count > 0) multiply_tiles(backend, x, tiles_of(slots), targets);
}

void multiply_pairs_integer(gpu::GpuBackend& backend, const Tensor& x, const Tensor& ids,
                            std::span<const LinearTarget> targets) {
  const int64_t pairs = ids.elements();
  const SlotTiles slots = {.experts = ids.as<int32_t>(),
                           .tiles = static_cast<int>(pairs),
                           .size = kFewSlots,
                           .used = 1,
                           .stride = 1,
                           .expert_stride = 1,
                           .rows = static_cast<int>(pairs),
                           .share = static_cast<int>(pairs / x.shape[0])};
  if (pairs > 0) multiply_tiles(backend, x, slots, targets);
}

}  // namespace mica::MICA_GPU
