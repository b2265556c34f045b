#include "text/grammar/regex_parser.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/grammar/regex.h"

namespace mica::grammar {
namespace {

constexpr int kMaxNesting = 200;
constexpr size_t kMaxPattern = 200'000;

const CodePoints kDigits({{'0', '9'}});
const CodePoints kWord({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}});
const CodePoints kSpace({{'\t', '\r'},
                         {' ', ' '},
                         {0xA0, 0xA0},
                         {0x1680, 0x1680},
                         {0x2000, 0x200A},
                         {0x2028, 0x2029},
                         {0x202F, 0x202F},
                         {0x205F, 0x205F},
                         {0x3000, 0x3000},
                         {0xFEFF, 0xFEFF}});
const CodePoints kLineEnds({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});

}  // namespace

RegexParser::RegexParser(Grammar& grammar, std::string_view pattern, std::string place)
    : grammar_(grammar), pattern_(pattern), place_(std::move(place)) {
  if (pattern.size() > kMaxPattern)
    throw Error(ErrorKind::kUsage, "{}: a pattern of {} bytes, the most is {}", place_,
                pattern.size(), kMaxPattern);
  if (!decode_utf8(pattern, text_)) fail("not UTF-8");
  begin_ = grammar_.bytes("^");
  end_ = grammar_.bytes("$");
  anchored_ = {begin_, end_};
}

void RegexParser::fail(const std::string& message) const {
  throw Error(ErrorKind::kUsage, "{}: pattern '{}', character {}: {}", place_,
              pattern_.substr(0, 200), at_, message);
}

ExprId RegexParser::keep(ExprId id, bool anchored) {
  if (anchored) anchored_.insert(id);
  return id;
}

ExprId RegexParser::parse() {
  const ExprId out = parse_choice(0);
  if (!at_end()) fail("a ')' without its '('");
  return out;
}

ExprId RegexParser::parse_choice(int depth) {
  if (depth > kMaxNesting) fail("groups are nested too deeply");
  std::vector<ExprId> out{parse_sequence(depth)};
  bool has_anchor = anchored(out[0]);
  while (skip('|')) {
    out.push_back(parse_sequence(depth));
    has_anchor |= anchored(out.back());
  }
  return keep(grammar_.choice(std::move(out)), has_anchor);
}

ExprId RegexParser::parse_sequence(int depth) {
  std::vector<ExprId> out;
  bool has_anchor = false;
  while (!at_end() && !is('|') && !is(')')) {
    out.push_back(parse_quantifier(parse_atom(depth)));
    has_anchor |= anchored(out.back());
  }
  return keep(grammar_.sequence(std::move(out)), has_anchor);
}

ExprId RegexParser::parse_atom(int depth) {
  const uint32_t c = text_[at_];
  switch (c) {
    case '^': return at_++, begin_;
    case '$': return at_++, end_;
    case '.': return at_++, grammar_.one_of(~kLineEnds);
    case '(': return at_++, parse_group(depth);
    case '[': return at_++, grammar_.one_of(parse_class());
    case '\\': return at_++, grammar_.one_of(parse_escape(false));
    case '*':
    case '+':
    case '?': fail("nothing to repeat");
    default: return at_++, grammar_.one_of(CodePoints::single(c));
  }
}

ExprId RegexParser::parse_group(int depth) {
  if (skip('?')) {
    if (is('=') || is('!')) fail("lookahead is not supported");
    if (skip('<')) {
      if (is('=') || is('!')) fail("lookbehind is not supported");
      while (!at_end() && !is('>')) at_++;
      if (!skip('>')) fail("expected '>' behind the name of a group");
    } else if (!skip(':')) {
      fail("flags and special groups are not supported");
    }
  }
  const ExprId out = parse_choice(depth + 1);
  if (!skip(')')) fail("expected ')'");
  return out;
}

ExprId RegexParser::parse_quantifier(ExprId atom) {
  int32_t min = 0, max = kNoMaximum;
  if (skip('*')) {
  } else if (skip('+')) {
    min = 1;
  } else if (skip('?')) {
    max = 1;
  } else if (!is('{') || !parse_braces(min, max)) {
    return atom;
  }
  skip('?');  // lazy: the same texts match
  if (is('*') || is('+') || is('?')) fail("nothing to repeat");
  if (anchored(atom)) fail("an anchor can't be repeated");
  return grammar_.repeat(atom, min, max);
}

// False, and nothing is read, when it is a literal brace.
bool RegexParser::parse_braces(int32_t& min, int32_t& max) {
  const size_t from = at_++;
  const bool has_min = parse_count(min);
  if (has_min && skip('}')) return max = min, true;
  if (has_min && skip(',')) {
    if (skip('}')) return max = kNoMaximum, true;
    if (parse_count(max) && skip('}')) {
      if (max < min) fail("a repetition whose maximum is below its minimum");
      return true;
    }
  }
  at_ = from;
  fail("a '{' that does not begin a repetition; write \\{ for the character");
}

bool RegexParser::parse_count(int32_t& count) {
  const size_t from = at_;
  int64_t value = 0;
  for (; !at_end() && kDigits.contains(text_[at_]); at_++)
    value = std::min<int64_t>(value * 10 + (text_[at_] - '0'), int64_t{1} << 40);
  if (value > kMaxRepeat)
    fail(fmt::format("a repetition of more than {} times is not supported", kMaxRepeat));
  count = static_cast<int32_t>(value);
  return at_ > from;
}

uint32_t RegexParser::parse_hex(int digits) {
  uint32_t value = 0;
  for (int i = 0; i < digits; i++) {
    const uint32_t c = at_end() ? 0 : text_[at_++];
    if (kDigits.contains(c))
      value = value * 16 + (c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
      value = value * 16 + ((c | 32) - 'a' + 10);
    else
      fail("expected hexadecimal digits");
  }
  return value;
}

// Behind \u: four digits, a pair of surrogates or braces.
uint32_t RegexParser::parse_unicode() {
  if (skip('{')) {
    uint64_t value = 0;
    int digits = 0;
    for (; !at_end() && !is('}') && digits < 8; digits++) value = value * 16 + parse_hex(1);
    if (digits == 0 || !skip('}') || value > kMaxCodePoint) fail("not a code point");
    return static_cast<uint32_t>(value);
  }
  const uint32_t high = parse_hex(4);
  if (high < 0xD800 || high > 0xDBFF || !is('\\') || at_ + 1 >= text_.size() ||
      text_[at_ + 1] != 'u')
    return high;
  const size_t from = at_;
  at_ += 2;
  const uint32_t low = is('{') ? 0 : parse_hex(4);
  if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  at_ = from;
  return high;
}

CodePoints RegexParser::parse_property(bool negated) {
  if (!skip('{')) fail("expected '{' behind \\p");
  std::string name;
  while (!at_end() && !is('}')) append_utf8(name, text_[at_++]);
  if (!skip('}')) fail("expected '}' behind the name of a property");
  for (const char* prefix : {"General_Category=", "gc="})
    if (name.starts_with(prefix)) name.erase(0, std::string_view(prefix).size());
  CodePoints set = name == "Any" ? CodePoints::all()
                   : name == "ASCII" ? CodePoints({{0, 0x7F}})
                                     : category_set(name);
  if (set.empty())
    fail(fmt::format("\\p{{{}}} is not supported: general categories (L, Lu, Letter …) are", name));
  return negated ? ~set : set;
}

CodePoints RegexParser::parse_escape(bool in_class) {
  if (at_end()) fail("nothing behind a backslash");
  const uint32_t c = text_[at_++];
  switch (c) {
    case 'd': return kDigits;
    case 'D': return ~kDigits;
    case 'w': return kWord;
    case 'W': return ~kWord;
    case 's': return kSpace;
    case 'S': return ~kSpace;
    case 'p': return parse_property(false);
    case 'P': return parse_property(true);
    case 't': return CodePoints::single('\t');
    case 'n': return CodePoints::single('\n');
    case 'r': return CodePoints::single('\r');
    case 'v': return CodePoints::single('\v');
    case 'f': return CodePoints::single('\f');
    case 'x': return CodePoints::single(parse_hex(2));
    case 'u': return CodePoints::single(parse_unicode());
    case 'c':
      if (at_end() || (text_[at_] | 32) < 'a' || (text_[at_] | 32) > 'z') fail("expected a letter");
      return CodePoints::single(text_[at_++] % 32);
    case '0':
      if (!at_end() && kDigits.contains(text_[at_])) fail("octal escapes are not supported");
      return CodePoints::single(0);
    case 'b':
      if (in_class) return CodePoints::single('\b');
      [[fallthrough]];
    case 'B': fail("word boundaries are not supported");
    case 'k': fail("backreferences are not supported");
    default:
      if (c >= '1' && c <= '9') fail("backreferences are not supported");
      if ((c < 128 && kWord.contains(c)) && c != '_')
        fail(fmt::format("the escape \\{} is not known", static_cast<char>(c)));
      return CodePoints::single(c);
  }
}

CodePoints RegexParser::parse_class_atom() {
  if (skip('\\')) return parse_escape(true);
  return CodePoints::single(text_[at_++]);
}

CodePoints RegexParser::parse_class() {
  const bool negated = skip('^');
  std::vector<CodePoints::Range> ranges;
  const auto single = [](const CodePoints& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].second;
  };
  while (!is(']')) {
    if (at_end()) fail("expected ']'");
    const CodePoints low = parse_class_atom();
    const bool range = is('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
    if (range && single(low)) {
      at_++;
      const CodePoints high = parse_class_atom();
      if (!single(high)) fail("a range must end with a character");
      if (high.ranges()[0].first < low.ranges()[0].first) fail("a range that runs backwards");
      ranges.push_back({low.ranges()[0].first, high.ranges()[0].first});
    } else {
      ranges.insert(ranges.end(), low.ranges().begin(), low.ranges().end());
    }
  }
  at_++;
  CodePoints set(std::move(ranges));
  return negated ? ~set : set;
}

}  // namespace mica::grammar
