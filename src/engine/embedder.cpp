#include "engine/embedder.h"

#include <algorithm>
#include <cmath>

#include "model/encoder.h"

namespace mica {
namespace {

// Texts that are computed together.
constexpr int32_t kMaxTogether = static_cast<int32_t>(kMaxEncoderSequences);

SideWorkOptions side_work(const Model& model, const EmbedderOptions& options) {
  SideWorkOptions work;
  work.name = "embeddings";
  work.piece_tokens = options.piece_tokens;
  work.sequences = kMaxTogether;
  work.cache_layers = model.cache_layers();
  work.adapters = options.adapters;
  work.activation_bytes = [&model](int32_t tokens) {
    // The hidden states, twice, and the rows that are wanted of them.
    const auto size = static_cast<size_t>(tokens * model.config().hidden_size);
    return model.arena_bytes(tokens, 0) + 2 * sizeof(float) * size +
           sizeof(int32_t) * static_cast<size_t>(tokens) + 4 * 256;
  };
  return work;
}

}  // namespace

// A text on its way to its vector.
struct Embedder::Pooled {
  Sequence sequence;
  std::vector<double> sum;
};

Embedder::Embedder(Backend& backend, Model& model, Engine& engine, const EmbedderOptions& options)
    : backend_(backend),
      model_(model),
      options_(options),
      work_(backend, model, engine, side_work(model, options)),
      max_tokens_(options.pooling.max_tokens > 0
                      ? static_cast<int32_t>(
                            std::min<int64_t>(work_.max_tokens(), options.pooling.max_tokens))
                      : work_.max_tokens()) {}

std::vector<std::vector<float>> Embedder::embed(std::span<const std::vector<int32_t>> sequences,
                                                const std::function<bool()>& stop,
                                                int64_t adapter) {
  work_.check(sequences, max_tokens_);
  const SideWork::Use use(work_);
  std::vector<std::vector<float>> vectors;
  while (vectors.size() < sequences.size()) {
    // As many of the next texts as fit one piece.
    std::vector<Pooled> together;
    const int32_t most = work_.piece_tokens();
    int64_t tokens = 0;
    for (size_t s = vectors.size(); s < sequences.size(); ++s) {
      tokens += static_cast<int64_t>(sequences[s].size());
      if (!together.empty() && (tokens > most || together.size() == kMaxTogether)) break;
      Pooled& pooled = together.emplace_back();
      pooled.sequence.tokens = sequences[s];
      pooled.sequence.adapter = adapter;
      pooled.sum.resize(static_cast<size_t>(size()));
    }
    if (!embed_together(together, stop)) return {};
    for (const Pooled& pooled : together) {
      double squares = 0;
      for (const double value : pooled.sum) squares += value * value;
      if (!std::isfinite(squares))
        throw Error(ErrorKind::kCheckpoint,
                    "[embeddings] the hidden states of text {} are no finite numbers",
                    vectors.size());
      const double norm = options_.pooling.normalize && squares > 0 ? std::sqrt(squares) : 1;
      std::vector<float>& vector = vectors.emplace_back();
      for (const double value : pooled.sum) vector.push_back(static_cast<float>(value / norm));
    }
  }
  return vectors;
}

// False when it was stopped. Several texts make one piece; a single one may make more.
bool Embedder::embed_together(std::span<Pooled> pooled, const std::function<bool()>& stop) {
  int32_t tokens = 0, blocks = 0;
  for (Pooled& text : pooled) {
    const int32_t length = text.sequence.length();
    for (int32_t b = 0; b < SideWork::blocks_of(length); ++b)
      text.sequence.blocks.push_back(blocks++);
    text.sequence.state_slot = static_cast<int32_t>(&text - pooled.data());
    tokens += length;
  }
  const bool cut = model_.generates() && pooled.size() == 1;
  const int32_t most = cut ? std::min(tokens, options_.piece_tokens) : tokens;
  const auto turn = work_.turn();
  for (int32_t begin = 0, piece = 0; begin < tokens; begin += piece) {
    if (stop && stop()) return false;
    piece = cut ? std::min(most, work_.piece_tokens()) : tokens;
    std::vector<Slice> slices;
    for (Pooled& text : pooled) {
      const int32_t length = text.sequence.length();
      const int32_t count = pooled.size() > 1 ? length : std::min(piece, length - begin);
      slices.push_back({.sequence = &text.sequence,
                        .begin = begin,
                        .count = count,
                        .rows = begin + count == length ? 1 : 0});
    }
    work_.run(most, blocks, pooled[0].sequence.adapter, [&] { run(slices, pooled); });
  }
  return true;
}

// Rows of the batch whose hidden states the pooling reads.
std::vector<int32_t> Embedder::wanted_rows(std::span<const Slice> slices) const {
  std::vector<int32_t> rows;
  int32_t row = 0;
  for (const Slice& slice : slices) {
    const int32_t first = row;
    row += slice.count;
    switch (options_.pooling.pooling) {
      case Pooling::kMean:
        for (int32_t r = first; r < row; ++r) rows.push_back(r);
        break;
      case Pooling::kCls:
        if (slice.begin == 0) rows.push_back(first);
        break;
      case Pooling::kLast:
        if (slice.samples()) rows.push_back(row - 1);
        break;
    }
  }
  return rows;
}

void Embedder::run(std::span<const Slice> slices, std::span<Pooled> pooled) {
  Batch batch = work_.begin(slices);
  const std::vector<int32_t> rows = wanted_rows(slices);
  batch.logit_rows = work_.arena().take(DType::kI32, {static_cast<int64_t>(rows.size())});
  if (!rows.empty()) backend_.upload(batch.logit_rows.data, rows.data(), batch.logit_rows.bytes());
  const Tensor hidden = model_.hidden(batch, work_.cache(), work_.arena());
  std::vector<std::byte> bytes(hidden.bytes());
  backend_.synchronize();
  if (rows.empty()) return;
  backend_.download(bytes.data(), hidden.data, bytes.size());
  std::vector<float> values(static_cast<size_t>(hidden.elements()));
  to_f32(bytes.data(), hidden.dtype, hidden.elements(), values.data());

  const auto width = static_cast<size_t>(size());
  size_t text = 0;
  int32_t end = slices[0].count;
  for (size_t r = 0; r < rows.size(); ++r) {
    while (rows[r] >= end) end += slices[++text].count;
    std::vector<double>& sum = pooled[text].sum;
    const bool mean = options_.pooling.pooling == Pooling::kMean;
    const double share = mean ? 1.0 / pooled[text].sequence.length() : 1.0;
    for (size_t i = 0; i < width; ++i) sum[i] += share * double{values[r * width + i]};
  }
}

}  // namespace mica
