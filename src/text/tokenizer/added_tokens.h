// Tokens besides the model's vocabulary, found in the text before anything else happens to it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"

namespace mica::tok {

struct AddedToken {
  std::string content;
  bool single_word = false;  // only between characters that are not of words
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = true;    // is looked for in normalized text
  bool special = false;
  bool operator==(const AddedToken&) const = default;
};

// Finds the leftmost-longest of a set of words.
class WordFinder {
 public:
  void add(std::string_view word, int32_t id);
  bool empty() const { return nodes_.size() == 1; }
  struct Found {
    size_t begin, end;
    int32_t id;
  };
  std::optional<Found> find(std::string_view text, size_t from) const;

 private:
  struct Node {
    std::vector<std::pair<uint8_t, uint32_t>> edges;
    int32_t id = -1;
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> first_{};
};

// A stretch of text, or an added token when id >= 0.
struct TokenSplit {
  size_t begin, end;
  int32_t id;
};

class AddedVocabulary {
 public:
  // Known contents keep their id; others get the next free one. A token that is already here with
  // the same flags changes nothing, other flags replace the old ones.
  void add(const std::vector<AddedToken>& tokens, const Model& model, const Normalizer* normalizer);

  std::optional<int32_t> id(std::string_view content) const;
  const AddedToken* token(int32_t id) const;
  const std::map<int32_t, AddedToken>& tokens() const { return tokens_; }
  // The text of a token when decoding: normalized for tokens that are looked for in such text.
  const std::string* text(int32_t id) const;
  bool is_special_text(std::string_view text) const;
  int32_t id_limit() const { return tokens_.empty() ? 0 : tokens_.rbegin()->first + 1; }

  std::vector<TokenSplit> split_raw(std::string_view text) const { return split(text, raw_); }
  std::vector<TokenSplit> split_normalized(std::string_view text) const {
    return split(text, normalized_);
  }
  bool has_normalized() const { return !normalized_.empty(); }
  // Special tokens in the text are text (`split_special_tokens` of tokenizer_config.json).
  void ignore_special_tokens() { ignore_special_ = true; }

 private:
  std::vector<TokenSplit> split(std::string_view text, const WordFinder& finder) const;
  void rebuild_finders();

  std::map<std::string, int32_t, std::less<>> ids_;
  std::map<int32_t, AddedToken> tokens_;
  std::map<int32_t, std::string> normalized_texts_;  // where they differ from the content
  std::map<std::string, bool, std::less<>> special_;
  WordFinder raw_, normalized_;
  bool ignore_special_ = false;
};

}  // namespace mica::tok
