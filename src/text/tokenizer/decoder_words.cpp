// Decoders that look at single tokens and their place: WordPiece, BPEDecoder, CTC, and none at all.
#include <optional>

#include "text/tokenizer/decode_stages.h"

namespace mica::tok {
namespace {

// English contractions and punctuation lose the blank before them.
void clean_up(std::string& text) {
  static constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto [from, to] : kRules) replace_all(text, from, to);
}

// A function of token and index.
template <typename Write>
class IndexedStage : public TokenStage {
 public:
  IndexedStage(DecodeStagePtr next, Write write) : TokenStage(std::move(next)), write_(write) {}

 protected:
  void token(std::string& token) override {
    write_(token, index_);
    emit(token);
  }

 private:
  Write write_;
};

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup)
      : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  DecodeStagePtr start(DecodeStagePtr next) const override {
    auto write = [this](std::string& token, size_t index) {
      if (index > 0) raw_bytes(token);
      if (cleanup_) clean_up(token);
    };
    return std::make_unique<IndexedStage<decltype(write)>>(std::move(next), write);
  }
  void raw_bytes(std::string& token) const override {
    if (token.starts_with(prefix_))
      token.erase(0, prefix_.size());
    else
      token.insert(0, " ");
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BlankJoiner : public Decoder {
 public:
  DecodeStagePtr start(DecodeStagePtr next) const override {
    auto write = [](std::string& token, size_t index) {
      if (index > 0) token.insert(0, " ");
    };
    return std::make_unique<IndexedStage<decltype(write)>>(std::move(next), write);
  }
  void raw_bytes(std::string&) const override {}
};

// The suffix is a blank, except in the last token.
class BpeStage : public TokenStage {
 public:
  BpeStage(DecodeStagePtr next, std::string suffix)
      : TokenStage(std::move(next)), suffix_(std::move(suffix)) {}

 protected:
  void token(std::string& token) override {
    if (index_ > 0) write(" ");
    held_ = std::move(token);
  }
  void end_text() override {
    if (index_ > 0) write("");
  }

 private:
  void write(std::string_view replacement) {
    replace_all(held_, suffix_, replacement);
    emit(held_);
  }
  std::string suffix_, held_;
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<BpeStage>(std::move(next), suffix_);
  }
  void raw_bytes(std::string& token) const override { replace_all(token, suffix_, " "); }

 private:
  std::string suffix_;
};

class CtcDecoder : public Decoder {
 public:
  CtcDecoder(std::string pad_token, std::string word_delimiter, bool cleanup)
      : pad_(std::move(pad_token)), delimiter_(std::move(word_delimiter)), cleanup_(cleanup) {}
  DecodeStagePtr start(DecodeStagePtr next) const override;
  void raw_bytes(std::string& token) const override {
    replace_all(token, pad_, "");
    if (!cleanup_) return;
    clean_up(token);
    replace_all(token, delimiter_, " ");
  }

 private:
  std::string pad_, delimiter_;
  bool cleanup_;
};

class CtcStage : public TokenStage {
 public:
  CtcStage(DecodeStagePtr next, const CtcDecoder& decoder)
      : TokenStage(std::move(next)), decoder_(decoder) {}

 protected:
  void token(std::string& token) override {
    if (last_ == token) return;
    last_ = token;
    decoder_.raw_bytes(token);
    if (!token.empty()) emit(token);
  }

 private:
  const CtcDecoder& decoder_;
  std::optional<std::string> last_;
};

DecodeStagePtr CtcDecoder::start(DecodeStagePtr next) const {
  return std::make_unique<CtcStage>(std::move(next), *this);
}

}  // namespace

DecoderPtr make_word_piece_decoder(std::string prefix, bool cleanup) {
  return std::make_unique<WordPieceDecoder>(std::move(prefix), cleanup);
}
DecoderPtr make_bpe_decoder(std::string suffix) {
  return std::make_unique<BpeDecoder>(std::move(suffix));
}
DecoderPtr make_ctc_decoder(std::string pad_token, std::string word_delimiter, bool cleanup) {
  return std::make_unique<CtcDecoder>(std::move(pad_token), std::move(word_delimiter), cleanup);
}
DecoderPtr make_blank_joiner() {
  return std::make_unique<BlankJoiner>();
}

}  // namespace mica::tok
