#include "text/answer/gbnf_test.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "text/answer/value_reader.h"

namespace mica::answer_test {
namespace {

char32_t decode(std::string_view text, size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  char32_t c = first & (0x3f >> more);
  for (int i = 0; i < more; ++i) c = c << 6 | (static_cast<unsigned char>(text[at++]) & 0x3f);
  return c;
}

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-';
}

}  // namespace

Grammar::Grammar(std::string text) : source_(std::move(text)) {
  while (at_ < source_.size()) {
    const size_t arrow = source_.find(" ::= ", at_);
    if (arrow == std::string::npos) throw std::runtime_error("no rule: " + source_.substr(at_));
    const std::string name = source_.substr(at_, arrow - at_);
    at_ = arrow + 5;
    if (!rules_.emplace(name, choice()).second) throw std::runtime_error("twice: " + name);
    if (source_.at(at_++) != '\n')
      throw std::runtime_error("left over: " + source_.substr(at_ - 1));
  }
}

void Grammar::blanks() {
  while (at_ < source_.size() && source_[at_] == ' ') ++at_;
}

Grammar::Ptr Grammar::choice() {
  auto expr = std::make_shared<Expr>(Expr{.kind = Expr::Kind::kChoice});
  for (;;) {
    expr->items.push_back(sequence());
    if (at_ >= source_.size() || source_[at_] != '|') return expr;
    ++at_;
  }
}

Grammar::Ptr Grammar::sequence() {
  auto expr = std::make_shared<Expr>(Expr{.kind = Expr::Kind::kSequence});
  for (;;) {
    blanks();
    const char c = at_ < source_.size() ? source_[at_] : '\n';
    if (c == '\n' || c == '|' || c == ')') return expr;
    expr->items.push_back(postfix(item()));
  }
}

Grammar::Ptr Grammar::postfix(Ptr of) {
  const char c = at_ < source_.size() ? source_[at_] : '\n';
  if (c != '*' && c != '+' && c != '?') return of;
  ++at_;
  auto expr = std::make_shared<Expr>(Expr{.kind = Expr::Kind::kRepeat, .items = {std::move(of)}});
  expr->least = c == '+' ? 1 : 0;
  expr->most = c == '?' ? 1 : SIZE_MAX;
  return expr;
}

Grammar::Ptr Grammar::item() {
  auto literal = [](std::string text) {
    return std::make_shared<Expr>(Expr{.kind = Expr::Kind::kLiteral, .text = std::move(text)});
  };
  const std::string_view rest = std::string_view(source_).substr(at_);
  if (rest[0] == '"') return literal(string());
  if (rest[0] == '[') return char_class();
  if (rest[0] == '(') {
    ++at_;
    Ptr inner = choice();
    if (source_.at(at_++) != ')') throw std::runtime_error("no )");
    return inner;
  }
  if (rest.starts_with("%token")) {
    at_ += 6;
    return literal(string());
  }
  if (rest.starts_with("%json_object")) {
    at_ += 12;
    return std::make_shared<Expr>(Expr{.kind = Expr::Kind::kJson, .text = "object"});
  }
  if (rest.starts_with("%json_schema")) return json_schema();
  const size_t from = at_;
  while (at_ < source_.size() && is_name(source_[at_])) ++at_;
  if (at_ == from) throw std::runtime_error("what: " + source_.substr(at_));
  return std::make_shared<Expr>(
      Expr{.kind = Expr::Kind::kRule, .text = source_.substr(from, at_ - from)});
}

Grammar::Ptr Grammar::json_schema() {
  at_ += 12;
  ValueReader reader(ValueReader::Notation::kJson);
  std::string schema;
  while (reader.feed(source_.at(at_++), schema) == ValueReader::Status::kMore) {
  }
  const auto parsed = nlohmann::json::parse(schema);
  auto expr = std::make_shared<Expr>(Expr{.kind = Expr::Kind::kJson});
  if (parsed.contains("type") && parsed["type"].is_string()) expr->text = parsed["type"];
  return expr;
}

std::string Grammar::string() {
  std::string out;
  if (source_.at(at_++) != '"') throw std::runtime_error("no string");
  while (source_.at(at_) != '"') {
    if (source_[at_] == '\\') {
      out += static_cast<char>(escape());
    } else {
      out += source_[at_++];
    }
  }
  ++at_;
  return out;
}

char32_t Grammar::escape() {
  const char c = source_.at(at_ + 1);
  at_ += 2;
  if (c == 'n') return '\n';
  if (c == 't') return '\t';
  if (c == 'r') return '\r';
  if (c != 'x') return static_cast<unsigned char>(c);
  at_ += 2;
  return static_cast<char32_t>(std::stoul(source_.substr(at_ - 2, 2), nullptr, 16));
}

char32_t Grammar::character() {
  return source_.at(at_) == '\\' ? escape() : decode(source_, at_);
}

Grammar::Ptr Grammar::char_class() {
  auto expr = std::make_shared<Expr>(Expr{.kind = Expr::Kind::kClass});
  ++at_;
  if (source_.at(at_) == '^') {
    expr->negated = true;
    ++at_;
  }
  while (source_.at(at_) != ']') {
    const char32_t low = character();
    char32_t high = low;
    if (source_.at(at_) == '-') {
      ++at_;
      high = character();
    }
    expr->ranges.emplace_back(low, high);
  }
  ++at_;
  return expr;
}

Grammar::Ends Grammar::ends(const Expr& expr, std::string_view text, size_t at) const {
  Ends found;
  switch (expr.kind) {
    case Expr::Kind::kLiteral:
      if (text.substr(at).starts_with(expr.text)) found.insert(at + expr.text.size());
      return found;
    case Expr::Kind::kRule: return ends(*rules_.at(expr.text), text, at);
    case Expr::Kind::kJson: return json_ends(expr, text, at);
    case Expr::Kind::kClass: {
      if (at >= text.size()) return found;
      const char32_t c = decode(text, at);
      bool in = false;
      for (const auto& [low, high] : expr.ranges) in |= low <= c && c <= high;
      if (in != expr.negated) found.insert(at);
      return found;
    }
    case Expr::Kind::kChoice:
      for (const Ptr& item : expr.items) found.merge(ends(*item, text, at));
      return found;
    case Expr::Kind::kSequence:
      found = {at};
      for (const Ptr& item : expr.items) {
        Ends next;
        for (size_t from : found) next.merge(ends(*item, text, from));
        found = std::move(next);
      }
      return found;
    case Expr::Kind::kRepeat: break;
  }
  Ends frontier = {at};
  if (expr.least == 0) found = frontier;
  for (size_t i = 0; i < expr.most && !frontier.empty(); ++i) {
    Ends next;
    for (size_t from : frontier) {
      for (size_t end : ends(*expr.items[0], text, from)) {
        if (found.insert(end).second) next.insert(end);
      }
    }
    frontier = std::move(next);
  }
  return found;
}

Grammar::Ends Grammar::json_ends(const Expr& expr, std::string_view text, size_t at) const {
  size_t i = at;
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.';
  };
  if (at < text.size() && is_word(text[at])) {
    while (i < text.size() && is_word(text[i])) ++i;
  } else {
    ValueReader reader(ValueReader::Notation::kJson);
    std::string out;
    auto status = ValueReader::Status::kMore;
    while (i < text.size() && status == ValueReader::Status::kMore) {
      status = reader.feed(text[i++], out);
    }
    if (status != ValueReader::Status::kDone) return {};
  }
  if (!nlohmann::json::accept(text.substr(at, i - at))) return {};
  const bool object = expr.text == "object", string = expr.text == "string";
  if ((object && text[at] != '{') || (string && text[at] != '"')) return {};
  return {i};
}

bool Grammar::matches(std::string_view text) const {
  return ends(*rules_.at("root"), text, 0).contains(text.size());
}

}  // namespace mica::answer_test
