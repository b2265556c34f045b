#include "server/model_answers.h"

#include <algorithm>
#include <string>
#include <vector>

#include "server/served_model.h"

namespace mica {

void ModelAnswers::make(const ServedModel& model) {
  std::call_once(made_, [&] {
    const Tokenizer& tokenizer = model.text->tokenizer();
    const auto has_token = [&](std::string_view text) {
      return tokenizer.token_to_id(text).has_value();
    };
    if (model.text->has_template())
      style_ = detect_answer_style(model.text->chat_template().source(), has_token);
    const RequestDefaults& defaults = model.defaults;
    if (!defaults.tool_parser.empty()) style_.tools = tool_style(defaults.tool_parser);
    if (!defaults.reasoning_parser.empty())
      style_.reasoning = reasoning_style(defaults.reasoning_parser);
    std::vector<std::string> special;
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
      if (tokenizer.is_special(id)) special.emplace_back(tokenizer.id_to_token(id));
    special_tokens_ = std::make_shared<const MarkerSet>(std::move(special));
  });
}

void ModelAnswers::make_grammars(const ServedModel& model) {
  std::call_once(grammars_made_, [&] {
    const Tokenizer& tokenizer = model.text->tokenizer();
    const auto size = static_cast<size_t>(model.vocabulary);
    std::vector<std::string> bytes(size);
    std::vector<bool> special(size);
    for (int32_t id = 0; id < std::min(model.vocabulary, tokenizer.vocab_size()); ++id) {
      const auto at = static_cast<size_t>(id);
      special[at] = tokenizer.is_special(id);
      bytes[at] = special[at] ? std::string(tokenizer.id_to_token(id)) : tokenizer.token_bytes(id);
    }
    vocabulary_ = std::make_shared<const TokenVocabulary>(std::move(bytes), model.text->end_ids(),
                                                          std::move(special));
    grammars_ = std::make_unique<GrammarCompiler>(vocabulary_);
  });
}

std::shared_ptr<const TokenVocabulary> ModelAnswers::vocabulary(const ServedModel& model) {
  make_grammars(model);
  return vocabulary_;
}

GrammarCompiler& ModelAnswers::grammars(const ServedModel& model) {
  make_grammars(model);
  return *grammars_;
}

const AnswerStyle& ModelAnswers::style(const ServedModel& model) {
  make(model);
  return style_;
}

std::shared_ptr<const MarkerSet> ModelAnswers::special_tokens(const ServedModel& model) {
  make(model);
  return special_tokens_;
}

}  // namespace mica
