// Normalizers: text to text, before it is cut into words.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mica::tok {

struct NormalText {
  std::string text;
  // Bytes at the front that stem from the first character of the input; 0 when it was removed or
  // the text is a later part of the input. Metaspace's `first` asks for it.
  size_t zero_length = 0;
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalText& text) const = 0;  // valid UTF-8 in and out
};
using NormalizerPtr = std::unique_ptr<Normalizer>;

enum class NormalForm { kNfc = 0, kNfd = 1, kNfkc = 2, kNfkd = 3 };
struct BertNormalizerOptions {
  bool clean_text = true, handle_chinese_chars = true, strip_accents = true, lowercase = true;
};

NormalizerPtr make_normal_form(NormalForm form);
NormalizerPtr make_lowercase();
NormalizerPtr make_prepend(std::string prefix);
NormalizerPtr make_strip_normalizer(bool left, bool right);
NormalizerPtr make_strip_accents();
NormalizerPtr make_nmt();
NormalizerPtr make_byte_level_normalizer();
NormalizerPtr make_bert_normalizer(BertNormalizerOptions options);
// Throws Error(kCheckpoint) for a bad regular expression.
NormalizerPtr make_replace_normalizer(std::string pattern, bool is_regex, std::string content);
// `charsmap`: u32 size of a double-array trie, the trie, strings that end in NUL (SentencePiece).
// Throws Error(kCheckpoint) when it is cut off.
NormalizerPtr make_precompiled(std::string charsmap);
NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> parts);

}  // namespace mica::tok
