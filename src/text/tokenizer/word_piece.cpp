// WordPiece (longest match first, BERT) and WordLevel (whole words).
#include "base/error.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

int32_t unknown_id(const Vocab& vocab, const std::string& unk_token) {
  const int32_t id = vocab.find_or(unk_token, -1);
  if (id < 0)
    throw Error(
        ErrorKind::kCheckpoint,
        "[tokenizer] model.unk_token: expected a token of the vocabulary, found '{}' which is "
        "not in it, and the text has an unknown word",
        unk_token);
  return id;
}

class WordPiece : public Model {
 public:
  WordPiece(Vocab words, WordPieceOptions options) : options_(std::move(options)) {
    vocab = std::move(words);
  }

  void tokenize(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const override {
    const size_t before = out.size();
    if (count_chars(word) <= options_.max_input_chars_per_word && split(word, scratch.text, out))
      return;
    out.resize(before);
    out.push_back(unknown_id(vocab, options_.unk_token));
  }

 private:
  static size_t count_chars(std::string_view word) {
    size_t count = 0;
    for (char c : word) count += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    return count;
  }

  bool split(std::string_view word, std::string& token, std::vector<int32_t>& out) const {
    for (size_t start = 0; start < word.size();) {
      size_t end = word.size();
      int32_t id = -1;
      for (; end > start; end = previous_char(word, end)) {
        token.assign(start > 0 ? options_.continuing_subword_prefix : "");
        token.append(word.substr(start, end - start));
        if ((id = vocab.find_or(token, -1)) >= 0) break;
      }
      if (id < 0) return false;
      out.push_back(id);
      start = end;
    }
    return true;
  }

  WordPieceOptions options_;
};

class WordLevel : public Model {
 public:
  WordLevel(Vocab words, std::string unk_token) : unk_token_(std::move(unk_token)) {
    vocab = std::move(words);
  }
  void tokenize(std::string_view word, Scratch&, std::vector<int32_t>& out) const override {
    const int32_t id = vocab.find_or(word, -1);
    out.push_back(id >= 0 ? id : unknown_id(vocab, unk_token_));
  }

 private:
  std::string unk_token_;
};

}  // namespace

std::unique_ptr<Model> make_word_piece(Vocab vocab, WordPieceOptions options) {
  return std::make_unique<WordPiece>(std::move(vocab), std::move(options));
}

std::unique_ptr<Model> make_word_level(Vocab vocab, std::string unk_token) {
  return std::make_unique<WordLevel>(std::move(vocab), std::move(unk_token));
}

}  // namespace mica::tok
