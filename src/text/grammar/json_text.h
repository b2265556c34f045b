// The pieces of JSON texts as expressions: literals, strings of constrained characters, any value.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/grammar/char_dfa.h"
#include "text/grammar/expression.h"

namespace mica::grammar {

using Json = nlohmann::ordered_json;

class JsonText {
 public:
  JsonText(Grammar& grammar, bool any_whitespace) : grammar_(grammar), spaced_(any_whitespace) {}

  // Bounded, so that nothing but whitespace can't go on: at most two spaces, or a line end and an
  // indentation of at most 32 spaces or 16 tabs. Only behind { [ : , and before } ].
  ExprId space();
  ExprId any_string();  // a rule, one for all
  ExprId any_value();   // a recursive rule
  ExprId any_object();
  ExprId any_array();
  ExprId integer();                   // at most 18 digits
  ExprId number();                    // the same, with fraction and exponent
  ExprId literal(const Json& value);  // this value, its members in the order that they have here
  ExprId string_literal(std::string_view text);  // with quotes
  ExprId character(const CodePoints& set);       // one character of a string, as JSON writes it
  ExprId any_character();                        // escapes of every kind
  // Between quotes: the texts of an expression over characters or of an automaton.
  ExprId string(const Grammar& characters, ExprId expr);
  ExprId string(const CharDfa& dfa);
  ExprId number_text(const CharDfa& dfa);                               // the texts as they are
  ExprId list(char open, ExprId items, bool may_be_empty, char close);  // items have their commas
  ExprId comma() { return grammar_.sequence({grammar_.bytes(","), space()}); }
  ExprId colon() { return grammar_.sequence({grammar_.bytes(":"), space()}); }

 private:
  ExprId translate(const Grammar& characters, ExprId expr);
  ExprId quoted(ExprId inner);
  ExprId float_literal(double value);
  template <typename Character>
  ExprId automaton(const CharDfa& dfa, Character character);
  ExprId once(ExprId& known, ExprId (JsonText::*make)());
  ExprId make_space();
  ExprId make_any_string();
  ExprId make_any_character();
  int32_t value_rule();

  Grammar& grammar_;
  const bool spaced_;
  ExprId space_ = kEmptyEdge, string_ = kEmptyEdge, character_ = kEmptyEdge;
  int32_t value_ = -1, object_ = -1, array_ = -1;
};

}  // namespace mica::grammar
