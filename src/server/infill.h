// Filling in the middle: prompts of models that were trained for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/text_model.h"

namespace mica {

struct InfillTokens {
  int32_t prefix = -1, suffix = -1, middle = -1;
  bool suffix_first = false;
  bool middle_between =
      false;  // the hole's token stands between prefix and suffix, and `end` after
  int32_t end = -1;
  std::vector<int32_t> ends;  // tokens that end what was filled in, beside the model's

  // Of the known families, the one that the vocabulary has.
  static std::optional<InfillTokens> find(const Tokenizer& tokenizer);
  std::vector<int32_t> prompt(const TextModel& text, std::string_view before,
                              std::string_view after) const;
};

}  // namespace mica
