#include "server/infill.h"

#include <initializer_list>

namespace mica {
namespace {

// The texts of a family's tokens.
struct Family {
  const char *prefix, *suffix, *middle;
  bool suffix_first = false;
  const char* end = nullptr;  // then `middle` is the hole between prefix and suffix
};

const Family kFamilies[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},     // Qwen coder, CodeGemma
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},           // StarCoder, Granite
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},           // SantaCoder
    {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"},              // CodeLlama
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},  // GLM, CodeGeeX
    {"<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581hole\uff5c>",
     false, "<\uff5cfim\u2581end\uff5c>"},  // DeepSeek coder
    {"[PREFIX]", "[SUFFIX]", "", true},     // Codestral
};

const char* const kEnds[] = {
    "<|endoftext|>", "<|fim_pad|>", "<fim_pad>",   "<|file_sep|>", "<|file_separator|>",
    "<|repo_name|>", "<file_sep>",  "\u2581<EOT>", "<EOT>",        "<|cursor|>"};

}  // namespace

std::optional<InfillTokens> InfillTokens::find(const Tokenizer& tokenizer) {
  for (const Family& family : kFamilies) {
    const auto prefix = tokenizer.token_to_id(family.prefix);
    const auto suffix = tokenizer.token_to_id(family.suffix);
    const bool has_middle = *family.middle != 0;
    const auto middle = tokenizer.token_to_id(has_middle ? family.middle : family.prefix);
    if (!prefix || !suffix || !middle) continue;
    InfillTokens out;
    out.prefix = *prefix;
    out.suffix = *suffix;
    out.middle = has_middle ? *middle : -1;
    out.suffix_first = family.suffix_first;
    if (family.end) {
      const auto end = tokenizer.token_to_id(family.end);
      if (!end) continue;
      out.end = *end;
      out.middle_between = true;
    }
    for (const char* text : kEnds)
      if (const auto id = tokenizer.token_to_id(text)) out.ends.push_back(*id);
    return out;
  }
  return std::nullopt;
}

std::vector<int32_t> InfillTokens::prompt(const TextModel& text, std::string_view before,
                                          std::string_view after) const {
  const Tokenizer& tokenizer = text.tokenizer();
  // What every prompt begins with, <s> and the like.
  std::vector<int32_t> out = tokenizer.encode("", /*add_special_tokens=*/true);
  const auto add = [&](int32_t token, std::string_view piece) {
    if (token >= 0) out.push_back(token);
    const auto ids = tokenizer.encode(piece, /*add_special_tokens=*/false);
    out.insert(out.end(), ids.begin(), ids.end());
  };
  if (suffix_first) {
    add(suffix, after);
    add(prefix, before);
  } else {
    add(prefix, before);
    add(middle_between ? middle : suffix, after);
  }
  if (middle_between) add(end, "");
  if (!middle_between && !suffix_first) add(middle, "");
  return out;
}

}  // namespace mica
