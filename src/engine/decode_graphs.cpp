#include "engine/decode_graphs.h"

#include <algorithm>

#include "base/log.h"

namespace mica {

namespace {

// Batch sizes that are recorded: all small ones, where a padded row costs most, then wider steps.
int32_t padded_sequences(int32_t count, int32_t most) {
  int32_t size = count;
  if (count > 4) size = (count + 3) / 4 * 4;
  if (count > 16) size = (count + 7) / 8 * 8;
  if (count > 64) size = (count + 31) / 32 * 32;
  return std::min(size, most);
}

}  // namespace

DecodeGraphs::DecodeGraphs(Backend& backend, Model& model, const BatchLimits& limits)
    : backend_(backend), model_(model), limits_(limits) {}

bool DecodeGraphs::serves(std::span<const Slice> slices) {
  return std::ranges::all_of(
      slices, [](const Slice& slice) { return slice.count == 1 && slice.samples(); });
}

Padding DecodeGraphs::padding_for(std::span<const Slice> slices) const {
  int32_t longest = 1;
  for (const Slice& slice : slices) longest = std::max(longest, slice.begin + slice.count);
  const int32_t blocks = (longest + limits_.block_size - 1) / limits_.block_size;
  int32_t columns = 8;  // then in powers of two: a long context meets few shapes
  while (columns < blocks) columns *= 2;
  return {padded_sequences(static_cast<int32_t>(slices.size()), limits_.sequences),
          std::min(columns, limits_.blocks_per_sequence)};
}

Tensor DecodeGraphs::run(const Batch& batch, const Padding& padding, KvCache& cache, Arena& arena) {
  const std::pair key(padding.sequences, padding.columns);
  const auto found = shapes_.find(key);
  if (found == shapes_.end()) {
    const Tensor logits = model_.forward(batch, cache, arena);
    shapes_[key].logits = logits;
    return logits;
  }
  Shape& shape = found->second;
  if (!shape.recording) {
    backend_.begin_recording();
    try {
      shape.logits = model_.forward(batch, cache, arena);
    } catch (...) {
      backend_.end_recording();
      throw;
    }
    shape.recording = backend_.end_recording();
    log_debug("[engine] decode step of {} sequences, {} blocks each, recorded", padding.sequences,
              padding.columns);
  }
  backend_.replay(*shape.recording);
  return shape.logits;
}

size_t DecodeGraphs::recorded() const {
  size_t count = 0;
  for (const auto& [key, shape] : shapes_) count += shape.recording ? 1 : 0;
  return count;
}

}  // namespace mica
