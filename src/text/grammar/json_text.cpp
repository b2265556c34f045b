#include "text/grammar/json_text.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace mica::grammar {
namespace {

const CodePoints kDigit({{'0', '9'}});
const CodePoints kHex({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
// Characters that stand for themselves.
const CodePoints kPlain =
    CodePoints({{0x20, 0xD7FF}, {0xE000, kMaxCodePoint}}) & ~CodePoints({{'"', '"'}, {'\\', '\\'}});

// The escape that a writer uses for a character that can't stand for itself.
std::string short_escape(uint32_t c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return fmt::format("\\u{:04x}", c);
  }
}

}  // namespace

ExprId JsonText::once(ExprId& known, ExprId (JsonText::*make)()) {
  if (known == kEmptyEdge) {
    const ExprId made = (this->*make)();
    known = made;
  }
  return known;
}

ExprId JsonText::space() {
  return once(space_, &JsonText::make_space);
}

ExprId JsonText::make_space() {
  if (!spaced_) return grammar_.empty();
  const ExprId spaces = grammar_.repeat(grammar_.bytes(" "), 0, 2);
  const ExprId line =
      grammar_.sequence({grammar_.optional(grammar_.bytes("\r")), grammar_.bytes("\n"),
                         grammar_.choice({grammar_.repeat(grammar_.bytes(" "), 0, 32),
                                          grammar_.repeat(grammar_.bytes("\t"), 1, 16)})});
  // A rule of its own: copied to every comma it would be most of a large schema's automaton.
  const int32_t rule = grammar_.add_rule("space", grammar_.choice({spaces, line}));
  grammar_.rules[static_cast<size_t>(rule)].shared = true;
  return grammar_.call(rule);
}

ExprId JsonText::any_character() {
  return once(character_, &JsonText::make_any_character);
}

ExprId JsonText::make_any_character() {
  Grammar& g = grammar_;
  const auto set = [&](std::vector<CodePoints::Range> r) {
    return g.one_of(CodePoints(std::move(r)));
  };
  const ExprId hex = g.one_of(kHex);
  const ExprId d = set({{'D', 'D'}, {'d', 'd'}});
  const ExprId high = set({{'8', '9'}, {'A', 'B'}, {'a', 'b'}});
  const ExprId low = set({{'C', 'F'}, {'c', 'f'}});
  const ExprId not_d = g.one_of(kHex & ~CodePoints({{'D', 'D'}, {'d', 'd'}}));
  // \u of one character, or of two surrogates that belong together.
  const ExprId single =
      g.choice({g.sequence({not_d, hex, hex, hex}), g.sequence({d, set({{'0', '7'}}), hex, hex})});
  const ExprId pair = g.sequence({d, high, hex, hex, g.bytes("\\u"), d, low, hex, hex});
  const ExprId escape =
      g.sequence({g.bytes("\\"), g.choice({set({{'"', '"'},
                                                {'/', '/'},
                                                {'\\', '\\'},
                                                {'b', 'b'},
                                                {'f', 'f'},
                                                {'n', 'n'},
                                                {'r', 'r'},
                                                {'t', 't'}}),
                                           g.sequence({g.bytes("u"), g.choice({single, pair})})})});
  return g.choice({g.one_of(kPlain), escape});
}

ExprId JsonText::any_string() {
  return once(string_, &JsonText::make_any_string);
}

ExprId JsonText::make_any_string() {
  const int32_t rule =
      grammar_.add_rule("string", quoted(grammar_.repeat(any_character(), 0, kNoMaximum)));
  grammar_.rules[static_cast<size_t>(rule)].shared = true;
  return grammar_.call(rule);
}

ExprId JsonText::quoted(ExprId inner) {
  return grammar_.sequence({grammar_.bytes("\""), inner, grammar_.bytes("\"")});
}

ExprId JsonText::integer() {
  Grammar& g = grammar_;
  const ExprId digit = g.one_of(kDigit);
  const ExprId many = g.sequence({g.one_of(CodePoints({{'1', '9'}})), g.repeat(digit, 0, 17)});
  return g.sequence({g.optional(g.bytes("-")), g.choice({g.bytes("0"), many})});
}

ExprId JsonText::number() {
  Grammar& g = grammar_;
  const ExprId digit = g.one_of(kDigit);
  const ExprId fraction = g.sequence({g.bytes("."), g.repeat(digit, 1, 18)});
  const ExprId exponent = g.sequence({g.one_of(CodePoints({{'E', 'E'}, {'e', 'e'}})),
                                      g.optional(g.one_of(CodePoints({{'+', '+'}, {'-', '-'}}))),
                                      g.repeat(digit, 1, 2)});
  return g.sequence({integer(), g.optional(fraction), g.optional(exponent)});
}

ExprId JsonText::list(char open, ExprId items, bool may_be_empty, char close) {
  Grammar& g = grammar_;
  const ExprId filled = g.sequence({space(), items, space()});
  return g.sequence({g.bytes(std::string(1, open)),
                     may_be_empty ? g.choice({space(), filled}) : filled,
                     g.bytes(std::string(1, close))});
}

int32_t JsonText::value_rule() {
  if (value_ >= 0) return value_;
  Grammar& g = grammar_;
  value_ = g.add_rule("value");
  object_ = g.add_rule("object");
  array_ = g.add_rule("array");
  for (const int32_t rule : {value_, object_, array_})
    g.rules[static_cast<size_t>(rule)].shared = true;
  const auto separated = [&](ExprId item) {
    return g.sequence({item, g.repeat(g.sequence({comma(), item}), 0, kNoMaximum)});
  };
  const ExprId member = g.sequence({any_string(), colon(), g.call(value_)});
  const ExprId object = list('{', separated(member), true, '}');
  const ExprId array = list('[', separated(g.call(value_)), true, ']');
  const ExprId value = g.choice({g.call(object_), g.call(array_), any_string(), number(),
                                 g.bytes("true"), g.bytes("false"), g.bytes("null")});
  g.rules[static_cast<size_t>(object_)].body = object;
  g.rules[static_cast<size_t>(array_)].body = array;
  g.rules[static_cast<size_t>(value_)].body = value;
  return value_;
}

ExprId JsonText::any_value() {
  return grammar_.call(value_rule());
}
ExprId JsonText::any_object() {
  return value_rule(), grammar_.call(object_);
}
ExprId JsonText::any_array() {
  return value_rule(), grammar_.call(array_);
}

ExprId JsonText::string_literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text)
    out += kPlain.contains(static_cast<uint8_t>(c)) ? std::string(1, c)
                                                    : short_escape(static_cast<uint8_t>(c));
  return grammar_.bytes(out + "\"");
}

// A whole number also without its fraction: -2.0 is -2.
ExprId JsonText::float_literal(double value) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  const ExprId own = grammar_.bytes(Json(value).dump());
  if (std::floor(value) != value || std::fabs(value) >= kLimit) return own;
  return grammar_.choice({grammar_.bytes(fmt::format("{}", static_cast<int64_t>(value))), own});
}

ExprId JsonText::literal(const Json& value) {
  if (value.is_string()) return string_literal(value.get_ref<const std::string&>());
  if (value.is_number_float()) return float_literal(value.get<double>());
  if (!value.is_structured()) return grammar_.bytes(value.dump());
  std::vector<ExprId> items;
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (!items.empty()) items.push_back(comma());
    if (value.is_object()) items.insert(items.end(), {string_literal(it.key()), colon()});
    items.push_back(literal(*it));
  }
  const char* brackets = value.is_object() ? "{}" : "[]";
  if (items.empty()) return grammar_.bytes(brackets);
  return list(brackets[0], grammar_.sequence(std::move(items)), false, brackets[1]);
}

ExprId JsonText::character(const CodePoints& set) {
  std::vector<ExprId> out;
  const CodePoints plain = set & kPlain;
  if (!plain.empty()) out.push_back(grammar_.one_of(plain));
  const CodePoints escaped = set & CodePoints({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  for (const auto& [lo, hi] : escaped.ranges())
    for (uint32_t c = lo; c <= hi; c++) out.push_back(grammar_.bytes(short_escape(c)));
  return grammar_.choice(std::move(out));
}

ExprId JsonText::translate(const Grammar& characters, ExprId id) {
  const Expr& expr = characters.exprs[static_cast<size_t>(id)];
  if (expr.kind == ExprKind::kClass)
    return expr.set == CodePoints::all() ? any_character() : character(expr.set);
  std::vector<ExprId> children;
  for (const ExprId child : expr.children) children.push_back(translate(characters, child));
  if (expr.kind == ExprKind::kSequence) return grammar_.sequence(std::move(children));
  if (expr.kind == ExprKind::kChoice) return grammar_.choice(std::move(children));
  MICA_CHECK(expr.kind == ExprKind::kRepeat);
  return grammar_.repeat(children[0], expr.min, expr.max);
}

ExprId JsonText::string(const Grammar& characters, ExprId expr) {
  return quoted(translate(characters, expr));
}

template <typename Character>
ExprId JsonText::automaton(const CharDfa& dfa, Character character) {
  if (dfa.empty) return grammar_.nothing();
  Machine machine;
  machine.accepting = dfa.accepting;
  for (size_t state = 0; state < dfa.edges.size(); state++)
    for (const CharDfa::Edge& edge : dfa.edges[state])
      machine.edges.push_back(
          {static_cast<int32_t>(state), static_cast<int32_t>(edge.target), character(edge.set)});
  return grammar_.machine(std::move(machine));
}

ExprId JsonText::string(const CharDfa& dfa) {
  return quoted(automaton(dfa, [&](const CodePoints& set) {
    return set == CodePoints::all() ? any_character() : character(set);
  }));
}

ExprId JsonText::number_text(const CharDfa& dfa) {
  return automaton(dfa, [&](const CodePoints& set) { return grammar_.one_of(set); });
}

}  // namespace mica::grammar
