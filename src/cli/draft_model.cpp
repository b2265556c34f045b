#include "cli/draft_model.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <string_view>

namespace mica {
namespace {

// Words, digits, code, other scripts and white space: what tokenizers split in their own ways.
constexpr std::array<std::string_view, 6> kSamples = {
    "The quick brown fox jumps over the lazy dog.",
    "  indented\n\n\ttabs  and   spaces ",
    "for (int i = 0; i < 1234567; ++i) { sum += x[i] * 3.14159; }",
    "Ünïcödé, 東京, Привет, مرحبا, 🙂",
    "don't DON'T I'll we've",
    "https://example.org/a_b?c=1&d=%20#e",
};

[[noreturn]] void other_tokens(const SpeculationFlags& flags, const ModelFlags& target,
                               const std::string& difference) {
  throw Error(ErrorKind::kUsage,
              "--draft-model: expected the tokens of '{}', found others in '{}': {}; a draft model "
              "is a smaller one of the same family",
              target.model, flags.draft_model, difference);
}

// The same ids must mean the same texts: size, samples, and single tokens spread over all ids.
void check_tokens(const SpeculationFlags& flags, const ModelFlags& target_flags,
                  const Tokenizer& target, const Tokenizer& draft) {
  if (target.vocab_size() != draft.vocab_size())
    other_tokens(flags, target_flags,
                 fmt::format("vocabularies of {} and {}", target.vocab_size(), draft.vocab_size()));
  for (const std::string_view sample : kSamples)
    if (target.encode(sample, /*add_special_tokens=*/false) !=
        draft.encode(sample, /*add_special_tokens=*/false))
      other_tokens(flags, target_flags, fmt::format("they split \"{}\" in two ways", sample));
  const int32_t stride = std::max(1, target.vocab_size() / 1000);
  for (int32_t id = 0; id < target.vocab_size(); id += stride)
    if (target.id_to_token(id) != draft.id_to_token(id))
      other_tokens(flags, target_flags,
                   fmt::format("token {} is '{}' and '{}'", id, target.id_to_token(id),
                               draft.id_to_token(id)));
}

}  // namespace

void add_speculation_flags(CLI::App& command, SpeculationFlags& flags) {
  command.add_option("--draft-model", flags.draft_model,
                     "A smaller model of the same tokens, which guesses tokens ahead");
  command
      .add_option("--num-draft-tokens", flags.options.draft_tokens,
                  "Tokens that are guessed ahead in a step")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_flag("--ngram-speculation", flags.options.ngrams,
                   "Guess tokens from what followed the same tokens before");
}

DraftModel load_draft_model(const SpeculationFlags& flags, const ModelFlags& target_flags,
                            const LoadedModel& target) {
  DraftModel draft{.model = nullptr, .options = flags.options};
  if (flags.draft_model.empty()) return draft;
  if (!target.model->generates())
    throw Error(ErrorKind::kUsage,
                "--draft-model: '{}' is an encoder, it generates no text that could be guessed",
                target_flags.model);
  ModelFlags own = target_flags;
  own.model = flags.draft_model;
  own.chat_template.clear();
  LoadedParts parts = load_onto(*target.backend, own);
  if (!parts.model->generates())
    throw Error(ErrorKind::kUsage, "--draft-model: '{}' is an encoder, it generates no text",
                flags.draft_model);
  check_tokens(flags, target_flags, target.text->tokenizer(), parts.text->tokenizer());
  draft.model = std::move(parts.model);
  draft.options.draft_model = draft.model.get();
  return draft;
}

}  // namespace mica
