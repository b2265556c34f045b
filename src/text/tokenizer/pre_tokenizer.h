// Pre-tokenizers: cut text into the words that the model sees one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mica::tok {

struct Piece {
  uint32_t begin, end;
};

// Words as ranges of one text. Stages that change the text put their own in `owned`.
struct PieceList {
  std::string_view text;
  std::string owned;
  size_t zero_length = 0;  // see NormalText
  std::vector<Piece> pieces;

  std::string_view operator[](const Piece& p) const {
    return text.substr(p.begin, p.end - p.begin);
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(PieceList& list) const = 0;
  // The last stage: leave the bytes as they are when the model takes raw bytes.
  virtual bool set_raw_bytes() { return false; }
};
using PreTokenizerPtr = std::unique_ptr<PreTokenizer>;

// What happens to the matches of a pattern.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme { kFirst, kNever, kAlways };

PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex);
// Throws Error(kCheckpoint) for a bad regular expression.
PreTokenizerPtr make_split(std::string pattern, bool is_regex, SplitBehavior behavior, bool invert);
PreTokenizerPtr make_metaspace(char32_t replacement, PrependScheme scheme, bool split);
PreTokenizerPtr make_digits(bool individual);
PreTokenizerPtr make_punctuation(SplitBehavior behavior);
PreTokenizerPtr make_whitespace();
PreTokenizerPtr make_whitespace_split();
PreTokenizerPtr make_bert_pre_tokenizer();
PreTokenizerPtr make_unicode_scripts();
PreTokenizerPtr make_char_delimiter(char32_t delimiter);
PreTokenizerPtr make_fixed_length(size_t chars);
PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> parts);

}  // namespace mica::tok
