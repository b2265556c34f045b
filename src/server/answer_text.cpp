#include "server/answer_text.h"

#include <iterator>

#include "server/scored_prompt.h"

namespace mica {
namespace {

using Kind = AnswerPart::Kind;

bool joins(const AnswerPart& last, const AnswerPart& next) {
  return last.kind == next.kind && last.tool == next.tool && next.kind != Kind::kToolBegin &&
         next.kind != Kind::kToolEnd;
}

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, const CompletionJob& job, uint64_t seed)
    : tokenizer_(tokenizer),
      detokenizer_(tokenizer, !job.reading && job.skip_special_tokens),
      matcher_(job.stop),
      logprobs_(job.logprobs),
      keep_ids_(job.keep_ids),
      include_stop_(job.include_stop),
      show_reasoning_(!job.reading || job.reading->show_reasoning),
      one_call_(job.reading && !job.reading->parser.parallel_calls) {
  if (!job.reading) return;
  AnswerParserOptions options = job.reading->parser;
  options.id_seed = seed;
  options.whole_calls = !job.stream;
  parser_.emplace(job.reading->style, std::move(options));
}

void AnswerText::echo(const std::string& text) {
  decoded_ = released_ = code_points(text);
  append({{Kind::kContent, text, 0, "", ""}});
}

void AnswerText::add(const SampleResult& token) {
  if (parser_ && parser_->in_reasoning()) ++reasoning_tokens_;
  if (keep_ids_) answer.ids.push_back(token.token);
  hold(token);
  add_text(detokenizer_.add(token.token));
}

void AnswerText::hold(const SampleResult& token) {
  if (logprobs_) held_.push_back(scored_token(tokenizer_, token, decoded_));
}

void AnswerText::finish(bool complete) {
  if (!stopped_) {
    add_text(detokenizer_.finish());
    if (!stopped_) release(matcher_.finish());
  }
  if (!parser_) return release_tokens();
  append(parser_->finish(complete && !matcher_.stopped()));
  answer.warning = parser_->warning();
  release_tokens();
}

void AnswerText::add_text(const std::string& piece) {
  decoded_ += code_points(piece);
  std::string certain = matcher_.add(piece);
  if (matcher_.stopped()) {
    stopped_ = true;
    answer.stop_text = matcher_.found();
    if (include_stop_) certain += matcher_.found();
  }
  release(certain);
}

// Text that is certain, with the tokens that begin in it.
void AnswerText::release(const std::string& text) {
  read(text);
  released_ += code_points(text);
  auto end = held_.begin();
  while (end != held_.end() && end->offset < released_) ++end;
  std::move(held_.begin(), end, std::back_inserter(answer.tokens));
  held_.erase(held_.begin(), end);
}

void AnswerText::read(const std::string& text) {
  if (text.empty()) return;
  if (!parser_) return append({{Kind::kContent, text, 0, "", ""}});
  append(parser_->add(text));
  if (one_call_ && parser_->tools() > 0) stopped_ = true;
}

void AnswerText::append(std::vector<AnswerPart> parts) {
  for (AnswerPart& part : parts) {
    if (part.kind == Kind::kReasoning && !show_reasoning_) continue;
    if (!answer.parts.empty() && joins(answer.parts.back(), part))
      answer.parts.back().text += part.text;
    else if (part.kind == Kind::kToolBegin || part.kind == Kind::kToolEnd || !part.text.empty())
      answer.parts.push_back(std::move(part));
  }
}

// Tokens without text at the end; after a stop string they belong to what is cut off.
void AnswerText::release_tokens() {
  if (!matcher_.stopped()) std::move(held_.begin(), held_.end(), std::back_inserter(answer.tokens));
  held_.clear();
}

}  // namespace mica
