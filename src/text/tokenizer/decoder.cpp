#include "text/tokenizer/decoder.h"

#include <optional>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/decode_stages.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

class TextSink : public DecodeStage {
 public:
  explicit TextSink(std::string& out) : out_(out) {}
  void add(std::string_view fragment, bool) override { out_.append(fragment); }
  void finish() override {}

 private:
  std::string& out_;
};

// Collects the fragments of a token for a stage that needs to see all of it.
class CollectStage : public LinkedStage {
 public:
  using LinkedStage::LinkedStage;
  void add(std::string_view fragment, bool begins) override {
    if (begins) end_token();
    open_ = true;
    token_.append(fragment);
  }
  void finish() override {
    end_token();
    next_->finish();
  }

 private:
  void end_token() {
    if (open_) next_->add(token_, true);
    open_ = false;
    token_.clear();
  }
  std::string token_;
  bool open_ = false;
};

// ---- ByteLevel

class ByteLevelStage : public TokenStage {
 public:
  using TokenStage::TokenStage;

 protected:
  void token(std::string& token) override {
    if (!ByteAlphabet::get().append_bytes(pending_, token)) pending_.append(token);
    write(true);
  }
  void end_text() override { write(false); }

 private:
  void write(bool more) {
    std::string text;
    pending_.erase(0, append_lossy(text, pending_, more));
    if (more && text.empty()) return;
    next_->add(text, !begun_);
    begun_ = true;
  }
  std::string pending_;
  bool begun_ = false;
};

class ByteLevelDecoder : public Decoder {
 public:
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<ByteLevelStage>(std::move(next));
  }
  void raw_bytes(std::string& token) const override {
    std::string bytes;
    if (ByteAlphabet::get().append_bytes(bytes, token)) token = std::move(bytes);
  }
};

// ---- ByteFallback

// The byte behind <0xAB>; like the reference it takes a plus sign for the first digit.
std::optional<uint8_t> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (size_t i = 3; i < 5; i++) {
    const char c = token[i];
    if (i == 3 && c == '+') continue;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<uint8_t>(value);
}

// A run of byte tokens is text when all of it is valid UTF-8, else one U+FFFD for each byte. Only
// the end of the run tells.
class ByteFallbackStage : public TokenStage {
 public:
  using TokenStage::TokenStage;

 protected:
  void token(std::string& token) override {
    if (std::optional<uint8_t> byte = fallback_byte(token)) {
      run_.push_back(static_cast<char>(*byte));
      return;
    }
    end_text();
    emit(token);
  }
  void end_text() override {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      emit(run_);
    } else {
      for (size_t i = 0; i < run_.size(); i++) emit(kReplacementCharacter);
    }
    run_.clear();
  }

 private:
  std::string run_;
};

class ByteFallbackDecoder : public Decoder {
 public:
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<ByteFallbackStage>(std::move(next));
  }
  void raw_bytes(std::string& token) const override {
    if (std::optional<uint8_t> byte = fallback_byte(token))
      token.assign(1, static_cast<char>(*byte));
  }
};

// ---- Fuse

class FuseStage : public LinkedStage {
 public:
  using LinkedStage::LinkedStage;
  void add(std::string_view fragment, bool) override {
    next_->add(fragment, !begun_);
    begun_ = true;
  }
  void finish() override {
    if (!begun_) next_->add("", true);
    next_->finish();
  }

 private:
  bool begun_ = false;
};

class FuseDecoder : public Decoder {
 public:
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<FuseStage>(std::move(next));
  }
  void raw_bytes(std::string&) const override {}
};

// ---- Replace

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(std::string pattern, bool is_regex, std::string content)
      : content_(std::move(content)) {
    if (is_regex || pattern.empty())
      regex_.emplace(pattern);
    else
      literal_ = std::move(pattern);
  }
  DecodeStagePtr start(DecodeStagePtr next) const override;
  void raw_bytes(std::string& token) const override { replace(token); }
  void replace(std::string& token) const {
    if (!regex_) return replace_all(token, literal_, content_);
    std::string out;
    size_t done = 0;
    if (!token.empty())
      regex_->each_match(token, [&](size_t begin, size_t end) {
        out.append(token, done, begin - done);
        out += content_;
        done = end;
      });
    out.append(token, done);
    token = std::move(out);
  }

 private:
  std::string literal_, content_;
  std::optional<Regex> regex_;
};

class ReplaceStage : public TokenStage {
 public:
  ReplaceStage(DecodeStagePtr next, const ReplaceDecoder& decoder)
      : TokenStage(std::move(next)), decoder_(decoder) {}

 protected:
  void token(std::string& token) override {
    decoder_.replace(token);
    emit(token);
  }

 private:
  const ReplaceDecoder& decoder_;
};

DecodeStagePtr ReplaceDecoder::start(DecodeStagePtr next) const {
  return std::make_unique<ReplaceStage>(std::move(next), *this);
}

// ---- Strip

// Takes up to `start` times `content` from the front of a token and up to `stop` from its end.
class StripStage : public LinkedStage {
 public:
  StripStage(DecodeStagePtr next, std::string content, size_t start, size_t stop)
      : LinkedStage(std::move(next)), content_(std::move(content)), start_(start), stop_(stop) {}

  void add(std::string_view fragment, bool begins) override {
    if (begins) held_ = removed_ = 0, in_front_ = true, fresh_ = true;
    std::string out;
    for (size_t at = 0; at < fragment.size();) {
      const std::string_view c = fragment.substr(at, utf8_length(fragment[at]));
      at += c.size();
      if (in_front_ && c == content_ && removed_ < start_) {
        removed_++;
        continue;
      }
      in_front_ = false;
      if (c == content_) {
        if (held_ < stop_)
          held_++;
        else
          out.append(c);
        continue;
      }
      for (; held_ > 0; held_--) out += content_;
      out.append(c);
    }
    if (out.empty() && !fresh_) return;
    next_->add(out, fresh_);
    fresh_ = false;
  }
  void finish() override { next_->finish(); }

 private:
  std::string content_;
  size_t start_, stop_, removed_ = 0, held_ = 0;
  bool in_front_ = true, fresh_ = true;
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(char32_t content, size_t start, size_t stop)
      : content_(to_utf8(content)), start_(start), stop_(stop) {}
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<StripStage>(std::move(next), content_, start_, stop_);
  }
  void raw_bytes(std::string&) const override {}

 private:
  std::string content_;
  size_t start_, stop_;
};

// ---- Metaspace

class MetaspaceStage : public LinkedStage {
 public:
  MetaspaceStage(DecodeStagePtr next, std::string mark, bool drop_first)
      : LinkedStage(std::move(next)), mark_(std::move(mark)), drop_first_(drop_first) {}
  void add(std::string_view fragment, bool begins) override {
    tokens_ += begins;
    std::string text(fragment);
    replace_all(text, mark_, drop_first_ && tokens_ == 1 ? "" : " ");
    next_->add(text, begins);
  }
  void finish() override { next_->finish(); }

 private:
  std::string mark_;
  bool drop_first_;
  size_t tokens_ = 0;
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(char32_t mark, bool drop_first)
      : mark_(to_utf8(mark)), drop_first_(drop_first) {}
  DecodeStagePtr start(DecodeStagePtr next) const override {
    return std::make_unique<MetaspaceStage>(std::move(next), mark_, drop_first_);
  }
  void raw_bytes(std::string& token) const override { replace_all(token, mark_, " "); }

 private:
  std::string mark_;
  bool drop_first_;
};

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<DecoderPtr> parts) : parts_(std::move(parts)) {}

  DecodeStagePtr start(DecodeStagePtr next) const override {
    // Behind the first stage that writes fragments, stages that need whole tokens wait for them.
    size_t fragments = 0;
    while (fragments < parts_.size() && !writes_fragments(*parts_[fragments])) fragments++;
    for (size_t i = parts_.size(); i-- > 0;) {
      next = parts_[i]->start(std::move(next));
      if (i > fragments && !takes_fragments(*parts_[i]))
        next = std::make_unique<CollectStage>(std::move(next));
    }
    return next;
  }
  void raw_bytes(std::string& token) const override {
    for (const DecoderPtr& part : parts_) part->raw_bytes(token);
  }

 private:
  static bool writes_fragments(const Decoder& d) {
    return dynamic_cast<const FuseDecoder*>(&d) || dynamic_cast<const ByteLevelDecoder*>(&d) ||
           dynamic_cast<const DecoderSequence*>(&d);
  }
  static bool takes_fragments(const Decoder& d) {
    return dynamic_cast<const FuseDecoder*>(&d) || dynamic_cast<const StripDecoder*>(&d) ||
           dynamic_cast<const MetaspaceDecoder*>(&d);
  }
  std::vector<DecoderPtr> parts_;
};

}  // namespace

DecodeStagePtr make_text_sink(std::string& out) {
  return std::make_unique<TextSink>(out);
}
DecoderPtr make_byte_level_decoder() {
  return std::make_unique<ByteLevelDecoder>();
}
DecoderPtr make_byte_fallback_decoder() {
  return std::make_unique<ByteFallbackDecoder>();
}
DecoderPtr make_fuse_decoder() {
  return std::make_unique<FuseDecoder>();
}
DecoderPtr make_replace_decoder(std::string pattern, bool is_regex, std::string content) {
  return std::make_unique<ReplaceDecoder>(std::move(pattern), is_regex, std::move(content));
}
DecoderPtr make_strip_decoder(char32_t content, size_t start, size_t stop) {
  return std::make_unique<StripDecoder>(content, start, stop);
}
DecoderPtr make_metaspace_decoder(char32_t replacement, bool drop_first) {
  return std::make_unique<MetaspaceDecoder>(replacement, drop_first);
}
DecoderPtr make_decoder_sequence(std::vector<DecoderPtr> parts) {
  return std::make_unique<DecoderSequence>(std::move(parts));
}

}  // namespace mica::tok
