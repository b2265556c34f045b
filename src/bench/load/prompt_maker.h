// Texts of an exact number of tokens, all different: what a speed test sends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/text_model.h"

namespace mica {

class PromptMaker {
 public:
  // Collects the tokenizer's words: tokens that stay one token wherever they stand. `text` outlives
  // this; null = no tokenizer is known, and lengths are estimates of one token a word. Throws
  // Error(kUsage) for a tokenizer that has fewer than 16 such words.
  explicit PromptMaker(const TextModel* text);

  bool exact() const { return text_ != nullptr; }

  // A text that the tokenizer, without special tokens, makes `tokens` ids of; another text for
  // another key, and different from its first words on. It begins with `before`, which counts.
  // Throws Error(kUsage) when the tokenizer does not allow it.
  std::string text(int64_t tokens, uint64_t key, const std::string& before = "") const;

  // The same for the text of a user such that the rendered chat, with `system` before it, has
  // `tokens` ids. Throws Error(kUsage) when the template alone has more.
  std::string user_text(int64_t tokens, uint64_t key, const std::string& system = "",
                        const std::string& before = "") const;

  // Ids of a text, without special tokens; its words where no tokenizer is known.
  int64_t tokens(const std::string& text) const;

  // Ids that the chat template makes of one message of a user; -1 without a tokenizer.
  int64_t rendered_tokens(const std::string& user, const std::string& system) const;

 private:
  std::string words(int64_t count, uint64_t key) const;

  const TextModel* text_;
  std::vector<std::string> words_;   // with the space before them
  std::vector<std::string> starts_;  // of these, what may begin a text
};

}  // namespace mica
