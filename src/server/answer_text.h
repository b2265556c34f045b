// One answer on its way: tokens to text, stop strings, parts, log-probabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/completion.h"
#include "server/stop_matcher.h"

namespace mica {

class AnswerText {
 public:
  // `tokenizer` outlives it. `seed`: the ids of calls differ between answers of different seeds.
  AnswerText(const Tokenizer& tokenizer, const CompletionJob& job, uint64_t seed);

  void echo(const std::string& text);  // before any token
  void add(const SampleResult& token);
  // The token that ended the answer: it has no text, and its log-probability is shown.
  void add_end(const SampleResult& token) { hold(token); }
  // The answer is over: what was held back. `complete`: the model ended it itself.
  void finish(bool complete);

  // A stop string was found, or the one call that was wanted is there.
  bool stopped() const { return stopped_; }
  int32_t calls() const { return parser_ ? parser_->tools() : 0; }
  int32_t reasoning_tokens() const { return reasoning_tokens_; }

  AnswerChoice answer;  // parts and tokens that have not been taken

 private:
  void hold(const SampleResult& token);
  void add_text(const std::string& piece);
  void release(const std::string& text);
  void read(const std::string& text);
  void append(std::vector<AnswerPart> parts);
  void release_tokens();

  const Tokenizer& tokenizer_;
  StreamingDetokenizer detokenizer_;
  StopMatcher matcher_;
  std::optional<AnswerParser> parser_;
  std::vector<ScoredToken> held_;      // their text is not out yet
  size_t decoded_ = 0, released_ = 0;  // code points: out of the detokenizer, the matcher
  int32_t reasoning_tokens_ = 0;
  const bool logprobs_, keep_ids_, include_stop_, show_reasoning_, one_call_;
  bool stopped_ = false;
};

}  // namespace mica
