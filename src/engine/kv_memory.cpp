#include "engine/kv_memory.h"

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace mica {

namespace {

constexpr size_t kAlignment = 256;  // of each tensor, bytes
constexpr double kMebibyte = 1024.0 * 1024.0;
constexpr size_t kLeastReserve = size_t{512} << 20;
// For models whose config.json names no limit.
constexpr int64_t kDefaultContext = 4096;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Keys (or values) of one layer in one block.
size_t paged_bytes(const CacheSpec& spec, int32_t block_size) {
  return static_cast<size_t>(spec.kv_heads * spec.vector_bytes() * block_size);
}

// Of all layers: a block, and the state of one sequence.
struct Needs {
  size_t block = 0;
  size_t slot = 0;
};

Needs needs_of(std::span<const CacheSpec> specs, int32_t block_size) {
  Needs needs;
  for (const CacheSpec& spec : specs) {
    if (spec.kind == CacheSpec::Kind::kPaged) {
      needs.block += 2 * paged_bytes(spec, block_size);
    } else {
      needs.slot += aligned(static_cast<size_t>(spec.slot_bytes));
    }
  }
  return needs;
}

int64_t wanted_context(int64_t model_context, const EngineOptions& options) {
  const int64_t limit = model_context > 0 ? model_context : kDefaultContext;
  if (options.max_context <= 0)
    return std::min<int64_t>(limit, std::numeric_limits<int32_t>::max());
  if (options.max_context > limit)
    log_warning(
        "[engine] a context of {} tokens is asked, the model states {}: answers may degrade",
        options.max_context, limit);
  return options.max_context;
}

// ", 8 bits in groups of 64", of the first quantized layer.
std::string scheme_text(std::span<const CacheSpec> specs) {
  for (const CacheSpec& spec : specs)
    if (spec.scheme.bits > 0)
      return fmt::format(", {} bits in groups of {}", spec.scheme.bits, spec.scheme.group);
  return "";
}

// One allocation for all tensors of the layers.
Buffer allocate_cache(Backend& backend, KvCache& cache) {
  std::vector<Tensor*> parts;
  for (KvLayer& layer : cache.layers)
    for (Tensor* part : {&layer.keys, &layer.values})
      if (part->shape.rank() > 0) parts.push_back(part);
  size_t total = 0;
  for (const Tensor* part : parts) total += aligned(part->bytes());
  Buffer buffer = backend.allocate(std::max(total, kAlignment));
  auto* at = static_cast<std::byte*>(buffer.data());
  for (Tensor* part : parts) {
    part->data = at;
    at += aligned(part->bytes());
  }
  return buffer;
}

}  // namespace

std::vector<CacheSpec> cache_layers(const Model& model, const EngineOptions& options) {
  return with_quantization(model.cache_layers(), options.kv_quant);
}

bool has_states(std::span<const CacheSpec> specs) {
  return std::ranges::any_of(
      specs, [](const CacheSpec& spec) { return spec.kind == CacheSpec::Kind::kSlot; });
}

size_t kv_budget(const DeviceInfo& device, size_t activations) {
  if (!device.own_memory) return device.memory_free / 2;
  const size_t taken = activations + std::max(kLeastReserve, device.memory_total / 32);
  return device.memory_free > taken ? device.memory_free - taken : 0;
}

KvPlan plan_kv(std::span<const CacheSpec> specs, int64_t model_context,
               const EngineOptions& options, size_t free_budget) {
  const int64_t block_size = options.block_size;
  const Needs needs = needs_of(specs, options.block_size);
  const int64_t context = wanted_context(model_context, options);
  const int64_t full = (context + block_size - 1) / block_size * options.max_batch_sequences;
  const int64_t most = std::numeric_limits<int32_t>::max() / block_size - 1;  // slots are i32

  const size_t budget = options.kv_bytes > 0 ? options.kv_bytes : free_budget;
  const size_t states = needs.slot * static_cast<size_t>(options.max_batch_sequences);
  const size_t paged = budget > states ? budget - states : 0;
  int64_t blocks = full;
  if (needs.block > 0) {
    const auto fit = static_cast<int64_t>(std::min<size_t>(
        paged / needs.block, static_cast<size_t>(std::numeric_limits<int32_t>::max())));
    blocks = options.kv_bytes > 0 ? fit : std::min(fit, full);
  }
  if (blocks < 1 || states > budget)
    throw Error(
        ErrorKind::kOutOfMemory,
        "[engine] KV cache: {} bytes per block of {} tokens and {} bytes of states wanted, "
        "{} bytes {}; free memory, or choose a smaller model or fewer parallel sequences",
        needs.block, block_size, states, budget,
        options.kv_bytes > 0 ? "given as kv_bytes" : "(the share of the free memory) usable");

  KvPlan plan;
  plan.block_size = options.block_size;
  plan.blocks = static_cast<int32_t>(std::min(blocks, most));
  plan.max_context = static_cast<int32_t>(std::min(context, plan.blocks * block_size));
  plan.state_slots = has_states(specs) ? options.max_batch_sequences : 0;
  plan.block_bytes = needs.block;
  plan.bytes = static_cast<size_t>(plan.blocks) * needs.block + states;
  log_info(
      "[engine] KV cache: {} blocks of {} tokens = {} tokens, {:.1f} MiB, {} bytes a token{}; "
      "context {} tokens",
      plan.blocks, block_size, plan.blocks * block_size,
      static_cast<double>(plan.bytes) / kMebibyte, needs.block / static_cast<size_t>(block_size),
      scheme_text(specs), plan.max_context);
  if (plan.max_context < context)
    log_warning("[engine] the context is {} tokens in place of {}: no more fits into {:.1f} MiB",
                plan.max_context, context, static_cast<double>(budget) / kMebibyte);
  return plan;
}

KvMemory::KvMemory(Backend& backend, std::span<const CacheSpec> specs, const KvPlan& plan) {
  cache_.block_size = plan.block_size;
  cache_.blocks = plan.blocks;
  for (const CacheSpec& spec : specs) {
    KvLayer layer;
    if (spec.kind == CacheSpec::Kind::kSlot) {
      layer.keys = {nullptr, DType::kU8, {plan.state_slots, spec.slot_bytes}};
    } else {
      layer.keys = layer.values = spec.tensor(plan.blocks, plan.block_size);
      layer.scheme = spec.scheme;
    }
    cache_.layers.push_back(layer);
  }
  buffer_ = allocate_cache(backend, cache_);
}

}  // namespace mica
