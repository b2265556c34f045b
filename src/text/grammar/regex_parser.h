// The parser behind regex.h; anchors come out as two expressions that regex.cpp takes out again.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "text/grammar/expression.h"

namespace mica::grammar {

class RegexParser {
 public:
  RegexParser(Grammar& grammar, std::string_view pattern, std::string place);
  ExprId parse();
  ExprId begin() const { return begin_; }  // ^
  ExprId end() const { return end_; }      // $
  bool anchored(ExprId id) const { return anchored_.contains(id); }  // has an anchor in it
  [[noreturn]] void fail(const std::string& message) const;

 private:
  bool at_end() const { return at_ == text_.size(); }
  bool is(char32_t c) const { return !at_end() && text_[at_] == c; }
  bool skip(char32_t c) { return is(c) && (at_++, true); }
  ExprId parse_choice(int depth);
  ExprId parse_sequence(int depth);
  ExprId parse_atom(int depth);
  ExprId parse_group(int depth);
  ExprId parse_quantifier(ExprId atom);
  bool parse_braces(int32_t& min, int32_t& max);
  bool parse_count(int32_t& count);
  CodePoints parse_escape(bool in_class);
  CodePoints parse_property(bool negated);
  uint32_t parse_hex(int digits);
  uint32_t parse_unicode();
  CodePoints parse_class();
  CodePoints parse_class_atom();
  ExprId keep(ExprId id, bool anchored);

  Grammar& grammar_;
  const std::string pattern_, place_;
  std::vector<uint32_t> text_;
  size_t at_ = 0;
  ExprId begin_, end_;
  std::unordered_set<ExprId> anchored_;
};

}  // namespace mica::grammar
