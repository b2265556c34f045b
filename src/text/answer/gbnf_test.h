// A plain matcher of grammars in GBNF for tests: all ends of an expression from a position, tried
// one after another. %json_schema takes any JSON of the schema's "type"; %token its text.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mica::answer_test {

class Grammar {
 public:
  explicit Grammar(std::string text);
  bool matches(std::string_view text) const;

 private:
  using Ends = std::set<size_t>;
  struct Expr {
    enum class Kind { kChoice, kSequence, kLiteral, kClass, kRule, kRepeat, kJson } kind;
    std::vector<std::shared_ptr<Expr>> items;
    std::string text;  // kLiteral, kRule, the type of kJson
    bool negated = false;
    std::vector<std::pair<char32_t, char32_t>> ranges;
    size_t least = 0, most = 0;  // kRepeat
  };
  using Ptr = std::shared_ptr<Expr>;

  Ptr choice();
  Ptr sequence();
  Ptr item();
  Ptr postfix(Ptr of);
  Ptr json_schema();
  Ptr char_class();
  std::string string();
  char32_t escape();
  char32_t character();
  void blanks();
  Ends ends(const Expr& expr, std::string_view text, size_t at) const;
  Ends json_ends(const Expr& expr, std::string_view text, size_t at) const;

  std::string source_;
  size_t at_ = 0;
  std::unordered_map<std::string, Ptr> rules_;
};

}  // namespace mica::answer_test
