#include "engine/side_work.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "model/adapters.h"

namespace mica {
namespace {

// Doubling, so that memory is seldom taken anew.
int32_t grown(int32_t wanted, int32_t least) {
  int64_t size = least;
  while (size < wanted) size *= 2;
  return static_cast<int32_t>(std::min<int64_t>(size, INT32_MAX / SideWork::kBlockSize));
}

int32_t longest_sequence(const Model& model, const Engine& engine) {
  int64_t most = engine.max_context();
  if (model.config().max_position_embeddings > 0)
    most = std::min(most, model.config().max_position_embeddings);
  return static_cast<int32_t>(most);
}

}  // namespace

SideWork::Use::~Use() {
  if (--work_.users_ > 0 || !work_.own_memory_) return;
  try {
    work_.engine_.call([&] {
      if (work_.users_ == 0) work_.give_back();  // a later one may have come
    });
  } catch (const std::exception& error) {
    log_debug("[{}] memory is kept: {}", work_.options_.name, error.what());
  }
}

SideWork::SideWork(Backend& backend, Model& model, Engine& engine, SideWorkOptions options)
    : backend_(backend),
      engine_(engine),
      options_(std::move(options)),
      vocabulary_(static_cast<int32_t>(model.config().vocab_size)),
      max_tokens_(longest_sequence(model, engine)),
      own_memory_(backend.info().own_memory) {
  MICA_CHECK(options_.piece_tokens > 0);
}

int32_t SideWork::piece_tokens() const {
  return std::min(options_.piece_tokens, engine_.prompt_budget());
}

void SideWork::check(std::span<const std::vector<int32_t>> sequences, int32_t most) const {
  const std::string& name = options_.name;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<int32_t>& tokens = sequences[s];
    if (tokens.empty()) throw Error(ErrorKind::kUsage, "[{}] text {} has no tokens", name, s);
    if (tokens.size() > static_cast<size_t>(most))
      throw Error(ErrorKind::kUsage, "[{}] text {} has {} tokens, the model takes {}", name, s,
                  tokens.size(), most);
    for (const int32_t token : tokens)
      if (token < 0 || token >= vocabulary_)
        throw Error(ErrorKind::kUsage, "[{}] text {}: token {} is outside the vocabulary of {}",
                    name, s, token, vocabulary_);
  }
}

void SideWork::run(int32_t tokens, int32_t blocks, int64_t adapter,
                   const std::function<void()>& piece) {
  engine_.call([&] {
    if (!engine_.healthy()) throw Error(ErrorKind::kDevice, engine_.fault());
    check_adapter(adapter);
    reserve(tokens, blocks);
    piece();
  });
}

Batch SideWork::begin(std::span<const Slice> slices) {
  arena_->reset();
  return builder_->build(slices);
}

void SideWork::check_adapter(int64_t adapter) const {
  if (adapter != 0 && (!options_.adapters || options_.adapters->slot(adapter) == 0))
    throw Error(ErrorKind::kUsage, "[{}] the request's adapter is not loaded any more",
                options_.name);
}

void SideWork::reserve(int32_t tokens, int32_t blocks) {
  if (tokens <= tokens_ && blocks <= blocks_) return;
  // Of every piece's sequences one token and one block at least.
  tokens = grown(std::max(tokens, tokens_), std::max(options_.sequences, 64));
  blocks = grown(std::max(blocks, blocks_), std::max(options_.sequences, 8));
  give_back();
  KvPlan plan;
  plan.block_size = kBlockSize;
  plan.blocks = blocks;
  const bool slots = has_states(options_.cache_layers);
  if (slots) plan.state_slots = options_.sequences;
  const size_t adapted =
      options_.adapters ? adapter_arena_bytes(options_.adapters->max_rank(), tokens) : 0;
  arena_ = std::make_unique<Arena>(backend_, options_.activation_bytes(tokens) + adapted);
  memory_ = std::make_unique<KvMemory>(backend_, options_.cache_layers, plan);
  builder_ = std::make_unique<BatchBuilder>(backend_, BatchLimits{.tokens = tokens,
                                                                  .sequences = options_.sequences,
                                                                  .rows = tokens,
                                                                  .blocks_per_sequence = blocks,
                                                                  .block_size = kBlockSize,
                                                                  .state_slots = slots,
                                                                  .adapters = options_.adapters});
  tokens_ = tokens;
  blocks_ = blocks;
}

void SideWork::give_back() {
  backend_.synchronize();
  tokens_ = blocks_ = 0;
  arena_.reset();
  memory_.reset();
  builder_.reset();
}

}  // namespace mica
