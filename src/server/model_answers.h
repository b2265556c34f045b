// What the answers of one model need: how it writes reasoning and calls, and grammars over its
// vocabulary.
#pragma once

#include <memory>
#include <mutex>

#include "text/answer/answer_style.h"
#include "text/answer/marker_set.h"
#include "text/grammar/grammar.h"

namespace mica {

struct ServedModel;

// Thread-safe; each part is made when it is first asked for and stays.
class ModelAnswers {
 public:
  const AnswerStyle& style(const ServedModel& model);
  // Shared with the parsers of answers.
  std::shared_ptr<const MarkerSet> special_tokens(const ServedModel& model);
  std::shared_ptr<const TokenVocabulary> vocabulary(const ServedModel& model);
  GrammarCompiler& grammars(const ServedModel& model);

 private:
  void make(const ServedModel& model);

  void make_grammars(const ServedModel& model);

  std::once_flag made_, grammars_made_;
  AnswerStyle style_;
  std::shared_ptr<const MarkerSet> special_tokens_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  std::unique_ptr<GrammarCompiler> grammars_;
};

}  // namespace mica
