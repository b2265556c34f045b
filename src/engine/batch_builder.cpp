#include "engine/batch_builder.h"

#include <algorithm>

#include "base/error.h"
#include "model/adapters.h"

namespace mica {

namespace {

constexpr size_t kAlignment = 16;  // elements: 64 bytes

size_t aligned(int64_t elements) {
  return (static_cast<size_t>(elements) + kAlignment - 1) / kAlignment * kAlignment;
}

size_t capacity(const BatchLimits& limits) {
  const int64_t sequences = limits.sequences;
  return (limits.adapters ? 4 : 3) * aligned(limits.tokens) + aligned(limits.rows) +
         3 * aligned(sequences + 1) + aligned(sequences * limits.blocks_per_sequence);
}

}  // namespace

BatchBuilder::BatchBuilder(Backend& backend, const BatchLimits& limits)
    : backend_(backend),
      limits_(limits),
      host_(capacity(limits)),
      device_(backend.allocate(capacity(limits) * sizeof(int32_t))) {}

// The next part of the image: its host side, and the tensor on the device.
std::span<int32_t> BatchBuilder::take(Tensor& tensor, Shape shape) {
  const auto count = static_cast<size_t>(shape.elements());
  MICA_CHECK_MSG(used_ + count <= host_.size(), "batch of more than {} elements", host_.size());
  const size_t begin = used_;
  used_ += aligned(shape.elements());
  tensor = {static_cast<int32_t*>(device_.data()) + begin, DType::kI32, shape};
  return std::span(host_).subspan(begin, count);
}

const Batch& BatchBuilder::build(std::span<const Slice> slices, const Padding& padding) {
  const auto count = static_cast<int32_t>(slices.size());
  MICA_CHECK(count > 0 && std::max(count, padding.sequences) <= limits_.sequences);
  MICA_CHECK(padding.sequences == 0 || padding.sequences >= count);
  used_ = 0;
  fill_tokens(slices, std::max(0, padding.sequences - count));
  fill_sequences(slices, padding);
  fill_adapters(slices);
  backend_.upload(device_.data(), host_.data(), std::min(used_, host_.size()) * sizeof(int32_t));
  return batch_;
}

void BatchBuilder::fill_tokens(std::span<const Slice> slices, int64_t padding) {
  int64_t tokens = padding, samples = padding;
  for (const Slice& slice : slices) {
    tokens += slice.count;
    samples += slice.rows;
  }
  MICA_CHECK(tokens <= limits_.tokens && samples <= limits_.rows);
  const auto ids = take(batch_.token_ids, {tokens});
  const auto positions = take(batch_.positions, {tokens});
  const auto slots = take(batch_.slots, {tokens});
  const auto rows = take(batch_.logit_rows, {samples});
  const int32_t size = limits_.block_size;
  size_t at = 0, row = 0;
  for (const Slice& slice : slices) {
    const Sequence& sequence = *slice.sequence;
    for (int32_t p = slice.begin; p < slice.begin + slice.count; ++p, ++at) {
      ids[at] = sequence.tokens[static_cast<size_t>(p)];
      positions[at] = p;
      slots[at] = sequence.blocks[static_cast<size_t>(p / size)] * size + p % size;
    }
    for (int32_t back = slice.rows; back > 0; --back) rows[row++] = static_cast<int32_t>(at) - back;
  }
  for (; at < static_cast<size_t>(tokens); ++at) {
    ids[at] = positions[at] = 0;
    slots[at] = -1;
    rows[row++] = static_cast<int32_t>(at);
  }
}

// Padding has no adapter to ask for: batches with one are not recorded.
void BatchBuilder::fill_adapters(std::span<const Slice> slices) {
  batch_.adapters = nullptr;
  batch_.adapter_ids = {};
  if (!uses_adapters(slices)) return;
  MICA_CHECK(limits_.adapters);
  batch_.adapters = limits_.adapters;
  const auto ids = take(batch_.adapter_ids, {batch_.tokens(), 1});
  size_t at = 0;
  for (const Slice& slice : slices) {
    std::fill_n(ids.begin() + static_cast<ptrdiff_t>(at), slice.count,
                limits_.adapters->slot(slice.sequence->adapter));
    at += static_cast<size_t>(slice.count);
  }
  MICA_CHECK(at == ids.size());
}

void BatchBuilder::fill_sequences(std::span<const Slice> slices, const Padding& padding) {
  const auto count = std::max<int64_t>(static_cast<int64_t>(slices.size()), padding.sequences);
  const int32_t size = limits_.block_size;
  // Blocks that the longest sequence of the step has filled by its end.
  int64_t columns = std::max(1, padding.columns);
  for (const Slice& slice : slices)
    columns = std::max<int64_t>(columns, (slice.begin + slice.count + size - 1) / size);
  MICA_CHECK(columns <= limits_.blocks_per_sequence);

  const auto starts = take(batch_.query_start, {count + 1});
  const auto lengths = take(batch_.kv_lengths, {count});
  std::span<int32_t> states;
  if (limits_.state_slots) states = take(batch_.state_slots, {count});
  const auto table = take(batch_.block_table, {count, columns});
  std::ranges::fill(table, 0);
  std::ranges::fill(lengths, 0);
  std::ranges::fill(states, -1);
  starts[0] = 0;
  for (size_t s = 0; s < slices.size(); ++s) {
    const Slice& slice = slices[s];
    starts[s + 1] = starts[s] + slice.count;
    lengths[s] = slice.begin + slice.count;
    const auto filled = static_cast<size_t>((lengths[s] + size - 1) / size);
    std::copy_n(slice.sequence->blocks.begin(), filled,
                table.begin() + static_cast<ptrdiff_t>(s) * columns);
    if (limits_.state_slots) states[s] = slice.sequence->state_slot;
  }
  for (size_t s = slices.size(); s < static_cast<size_t>(count); ++s) starts[s + 1] = starts[s] + 1;
  batch_.host_query_start = starts;
  batch_.host_kv_lengths = lengths;
  if (padding.sequences > 0) {
    bounds_.assign(static_cast<size_t>(count), static_cast<int32_t>(columns) * size);
    batch_.host_kv_lengths = bounds_;
  }
}

}  // namespace mica
