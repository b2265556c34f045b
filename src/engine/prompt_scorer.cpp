#include "engine/prompt_scorer.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace mica {
namespace {

constexpr int64_t kLogitBytes = int64_t{64} << 20;  // of a piece

// A power of two, as memory grows by them.
int32_t longest_piece(const Model& model, int32_t most) {
  const int64_t row = model.config().vocab_size * static_cast<int64_t>(sizeof(float));
  const auto rows = static_cast<uint64_t>(std::max<int64_t>(kLogitBytes / row, 16));
  return static_cast<int32_t>(std::min<int64_t>(static_cast<int64_t>(std::bit_floor(rows)), most));
}

SideWorkOptions side_work(const Model& model, const PromptScorerOptions& options, int32_t piece) {
  SideWorkOptions work;
  work.name = "prompt scores";
  work.piece_tokens = piece;
  work.cache_layers = with_quantization(model.cache_layers(), options.kv_quant);
  work.adapters = options.adapters;
  work.activation_bytes = [&model](int32_t tokens) { return model.arena_bytes(tokens, tokens); };
  return work;
}

}  // namespace

PromptScorer::PromptScorer(Backend& backend, Model& model, Engine& engine,
                           const PromptScorerOptions& options)
    : backend_(backend),
      model_(model),
      piece_tokens_(longest_piece(model, options.piece_tokens)),
      work_(backend, model, engine, side_work(model, options, piece_tokens_)) {}

std::vector<std::vector<SampleResult>> PromptScorer::score(
    std::span<const std::vector<int32_t>> sequences, int32_t top, const std::function<bool()>& stop,
    int64_t adapter) {
  if (!model_.generates())
    throw Error(ErrorKind::kUsage,
                "[prompt scores] model type '{}' is an encoder: its tokens see those that follow, "
                "so that they have no log-probabilities",
                model_.config().model_type);
  work_.check(sequences, max_tokens());
  const SideWork::Use use(work_);
  std::vector<std::vector<SampleResult>> scores;
  for (const std::vector<int32_t>& tokens : sequences) {
    Sequence sequence;
    sequence.tokens = tokens;
    sequence.adapter = adapter;
    sequence.state_slot = 0;
    std::vector<SampleResult>& results = scores.emplace_back(tokens.size() - 1);
    if (!score_one(sequence, top, stop, results)) return {};
    for (size_t i = 0; i < results.size(); ++i)
      if (std::isnan(results[i].logprob))
        throw Error(ErrorKind::kCheckpoint,
                    "[prompt scores] the logits of text {} after {} tokens are no numbers",
                    scores.size() - 1, i + 1);
  }
  return scores;
}

// False when it was stopped. Nothing follows the last token, so that it is not computed.
bool PromptScorer::score_one(Sequence& sequence, int32_t top, const std::function<bool()>& stop,
                             std::span<SampleResult> results) {
  const auto tokens = static_cast<int32_t>(results.size());
  const int32_t blocks = SideWork::blocks_of(tokens), most = std::min(tokens, piece_tokens_);
  for (int32_t b = 0; b < blocks; ++b) sequence.blocks.push_back(b);
  const auto turn = work_.turn();
  for (int32_t begin = 0, piece = 0; begin < tokens; begin += piece) {
    if (stop && stop()) return false;
    piece = std::min({most, work_.piece_tokens(), tokens - begin});
    const Slice slice{.sequence = &sequence, .begin = begin, .count = piece, .rows = piece};
    const auto part = results.subspan(static_cast<size_t>(begin), static_cast<size_t>(piece));
    work_.run(most, blocks, sequence.adapter, [&] { run(slice, top, part); });
  }
  return true;
}

void PromptScorer::run(const Slice& slice, int32_t top, std::span<SampleResult> results) {
  const Batch batch = work_.begin({&slice, 1});
  const Tensor logits = model_.forward(batch, work_.cache(), work_.arena());
  const SamplingParams plain;
  std::vector<SampleRow> rows(results.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r].params = &plain;
    rows[r].top_logprobs = top;
    rows[r].given = slice.sequence->tokens[static_cast<size_t>(slice.begin) + r + 1];
  }
  backend_.ops().sample(backend_, {.logits = logits, .rows = rows, .results = results});
}

}  // namespace mica
