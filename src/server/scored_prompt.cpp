#include "server/scored_prompt.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace mica {
namespace {

// Follows the tokens of a text in it.
class Place {
 public:
  Place(const Tokenizer& tokenizer, std::string_view text)
      : tokenizer_(tokenizer), detokenizer_(tokenizer), rest_(text) {}

  size_t offset() const { return offset_; }  // code points
  void pass(int32_t token) {
    // A decoder may write a text otherwise than it came: then lengths are those of the decoder's.
    skip(detokenizer_.add(token).size());
    if (!tokenizer_.is_special(token)) return;
    const std::string_view written = tokenizer_.id_to_token(token);
    if (rest_.starts_with(written)) skip(written.size());
  }

 private:
  void skip(size_t bytes) {
    const std::string_view passed = rest_.substr(0, bytes);
    offset_ += code_points(passed);
    rest_.remove_prefix(passed.size());
  }

  const Tokenizer& tokenizer_;
  StreamingDetokenizer detokenizer_;
  std::string_view rest_;
  size_t offset_ = 0;
};

}  // namespace

size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

ScoredToken scored_token(const Tokenizer& tokenizer, const SampleResult& token, size_t offset) {
  ScoredToken scored{token.token, tokenizer.token_bytes(token.token), token.logprob, {}, offset};
  for (const TokenLogprob& top : token.top)
    scored.top.push_back({top.token, tokenizer.token_bytes(top.token), top.logprob});
  return scored;
}

std::vector<ScoredToken> scored_prompt(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                       std::span<const SampleResult> scores,
                                       std::string_view text) {
  MICA_CHECK(scores.size() + 1 == prompt.size());
  std::vector<ScoredToken> tokens;
  tokens.reserve(prompt.size());
  Place place(tokenizer, text);
  tokens.push_back({prompt[0], tokenizer.token_bytes(prompt[0]), std::nullopt, {}, 0});
  for (size_t i = 0; i < scores.size(); ++i) {
    place.pass(prompt[i]);
    tokens.push_back(scored_token(tokenizer, scores[i], place.offset()));
  }
  return tokens;
}

}  // namespace mica
