// What the decoders' stages share.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer/decoder.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {

inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) {  // stands between all characters, and at both ends
    std::string out(to);
    for (size_t at = 0; at < text.size();) {
      const size_t length = utf8_length(text[at]);
      out.append(text, at, length).append(to);
      at += length;
    }
    text = std::move(out);
    return;
  }
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

class LinkedStage : public DecodeStage {
 public:
  explicit LinkedStage(DecodeStagePtr next) : next_(std::move(next)) {}

 protected:
  DecodeStagePtr next_;
};

// A stage that sees tokens arrive whole, one fragment each, and does not wait for the next one.
// Behind a stage that writes fragments an adapter collects them.
class TokenStage : public LinkedStage {
 public:
  using LinkedStage::LinkedStage;
  void add(std::string_view fragment, bool) final {
    std::string now(fragment);
    token(now);
    index_++;
  }
  void finish() override {
    end_text();
    next_->finish();
  }

 protected:
  virtual void token(std::string& token) = 0;
  virtual void end_text() {}
  void emit(std::string_view token) { next_->add(token, true); }
  size_t index_ = 0;
};

}  // namespace mica::tok
