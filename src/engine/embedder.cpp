#include "engine/embedder.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "model/adapters.h"
#include "model/encoder.h"

namespace mica {
namespace {

constexpr int32_t kBlockSize = 32;
// Texts that are computed together.
constexpr int32_t kMaxTogether = static_cast<int32_t>(kMaxEncoderSequences);

int32_t blocks_of(int32_t tokens) {
  return (tokens + kBlockSize - 1) / kBlockSize;
}

// Doubling, so that memory is seldom taken anew.
int32_t grown(int32_t wanted, int32_t least) {
  int64_t size = least;
  while (size < wanted) size *= 2;
  return static_cast<int32_t>(std::min<int64_t>(size, INT32_MAX / kBlockSize));
}

int32_t longest_text(const Model& model, const Engine& engine, const PoolingConfig& pooling) {
  int64_t most = engine.max_context();
  if (model.config().max_position_embeddings > 0)
    most = std::min(most, model.config().max_position_embeddings);
  if (pooling.max_tokens > 0) most = std::min(most, pooling.max_tokens);
  return static_cast<int32_t>(most);
}

}  // namespace

// A text on its way to its vector.
struct Embedder::Pooled {
  Sequence sequence;
  std::vector<double> sum;
};

// Somebody embeds; the last one gives the memory back.
class Embedder::Use {
 public:
  explicit Use(Embedder& embedder) : embedder_(embedder) { ++embedder_.users_; }
  ~Use() {
    if (--embedder_.users_ > 0 || !embedder_.own_memory_) return;
    try {
      embedder_.engine_.call([&] {
        if (embedder_.users_ == 0) embedder_.give_back();  // a later one may have come
      });
    } catch (const std::exception& error) {
      log_debug("[embeddings] memory is kept: {}", error.what());
    }
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Embedder& embedder_;
};

Embedder::Embedder(Backend& backend, Model& model, Engine& engine, const EmbedderOptions& options)
    : backend_(backend),
      model_(model),
      engine_(engine),
      options_(options),
      max_tokens_(longest_text(model, engine, options.pooling)),
      own_memory_(backend.info().own_memory) {
  MICA_CHECK(options.piece_tokens > 0);
}

void Embedder::check(std::span<const std::vector<int32_t>> sequences) const {
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<int32_t>& tokens = sequences[s];
    if (tokens.empty()) throw Error(ErrorKind::kUsage, "[embeddings] text {} has no tokens", s);
    if (tokens.size() > static_cast<size_t>(max_tokens_))
      throw Error(ErrorKind::kUsage, "[embeddings] text {} has {} tokens, the model takes {}", s,
                  tokens.size(), max_tokens_);
    for (const int32_t token : tokens)
      if (token < 0 || token >= model_.config().vocab_size)
        throw Error(ErrorKind::kUsage,
                    "[embeddings] text {}: token {} is outside the vocabulary of {}", s, token,
                    model_.config().vocab_size);
  }
}

std::vector<std::vector<float>> Embedder::embed(std::span<const std::vector<int32_t>> sequences,
                                                const std::function<bool()>& stop,
                                                int64_t adapter) {
  check(sequences);
  const Use use(*this);
  std::vector<std::vector<float>> vectors;
  while (vectors.size() < sequences.size()) {
    // As many of the next texts as fit one piece.
    std::vector<Pooled> together;
    const int32_t most = piece_tokens();
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

// Of the next piece: the engine's bound on the time of steps holds for it too.
int32_t Embedder::piece_tokens() const {
  return std::min(options_.piece_tokens, engine_.prompt_budget());
}

// False when it was stopped. Several texts make one piece; a single one may make more.
bool Embedder::embed_together(std::span<Pooled> pooled, const std::function<bool()>& stop) {
  int32_t tokens = 0, blocks = 0;
  for (Pooled& text : pooled) {
    const int32_t length = text.sequence.length();
    for (int32_t b = 0; b < blocks_of(length); ++b) text.sequence.blocks.push_back(blocks++);
    text.sequence.state_slot = static_cast<int32_t>(&text - pooled.data());
    tokens += length;
  }
  const bool cut = model_.generates() && pooled.size() == 1;
  const int32_t most = cut ? std::min(tokens, options_.piece_tokens) : tokens;
  const std::lock_guard lock(turn_);
  for (int32_t begin = 0, piece = 0; begin < tokens; begin += piece) {
    if (stop && stop()) return false;
    piece = cut ? std::min(most, piece_tokens()) : tokens;
    std::vector<Slice> slices;
    for (Pooled& text : pooled) {
      const int32_t length = text.sequence.length();
      const int32_t count = pooled.size() > 1 ? length : std::min(piece, length - begin);
      slices.push_back({.sequence = &text.sequence,
                        .begin = begin,
                        .count = count,
                        .rows = begin + count == length ? 1 : 0});
    }
    engine_.call([&] {
      if (!engine_.healthy()) throw Error(ErrorKind::kDevice, engine_.fault());
      check_adapter(pooled[0].sequence.adapter);
      reserve(most, blocks);
      run(slices, pooled);
    });
  }
  return true;
}

void Embedder::check_adapter(int64_t adapter) const {
  if (adapter != 0 && (!options_.adapters || options_.adapters->slot(adapter) == 0))
    throw Error(ErrorKind::kUsage, "[embeddings] the request's adapter is not loaded any more");
}

void Embedder::reserve(int32_t tokens, int32_t blocks) {
  if (tokens <= tokens_ && blocks <= blocks_) return;
  tokens = grown(std::max(tokens, tokens_), 64);
  blocks = grown(std::max(blocks, blocks_), kMaxTogether);
  give_back();
  const std::vector<CacheSpec> specs = model_.cache_layers();
  KvPlan plan;
  plan.block_size = kBlockSize;
  plan.blocks = blocks;
  const bool slots = has_states(specs);
  if (slots) plan.state_slots = kMaxTogether;
  const size_t rows = 2 * sizeof(float) * static_cast<size_t>(tokens * size()) +
                      sizeof(int32_t) * static_cast<size_t>(tokens) + 4 * 256;
  const size_t adapted =
      options_.adapters ? adapter_arena_bytes(options_.adapters->max_rank(), tokens) : 0;
  arena_ = std::make_unique<Arena>(backend_, model_.arena_bytes(tokens, 0) + rows + adapted);
  memory_ = std::make_unique<KvMemory>(backend_, specs, plan);
  builder_ = std::make_unique<BatchBuilder>(backend_, BatchLimits{.tokens = tokens,
                                                                  .sequences = kMaxTogether,
                                                                  .rows = kMaxTogether,
                                                                  .blocks_per_sequence = blocks,
                                                                  .block_size = kBlockSize,
                                                                  .state_slots = slots,
                                                                  .adapters = options_.adapters});
  tokens_ = tokens;
  blocks_ = blocks;
}

void Embedder::give_back() {
  backend_.synchronize();
  tokens_ = blocks_ = 0;
  arena_.reset();
  memory_.reset();
  builder_.reset();
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
  arena_->reset();
  Batch batch = builder_->build(slices);
  const std::vector<int32_t> rows = wanted_rows(slices);
  batch.logit_rows = arena_->take(DType::kI32, {static_cast<int64_t>(rows.size())});
  if (!rows.empty()) backend_.upload(batch.logit_rows.data, rows.data(), batch.logit_rows.bytes());
  const Tensor hidden = model_.hidden(batch, memory_->cache(), *arena_);
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
