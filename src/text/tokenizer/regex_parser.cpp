// Oniguruma's syntax into a tree. Names and classes become sets of code points here, so that
// neither engine depends on the Unicode version of another library.
#include <algorithm>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr int kMaxDepth = 50;
constexpr uint32_t kMaxCount = 1000;

struct Unsupported {
  std::string reason;
};

struct Options {
  bool ignore_case = false, dot_all = false, extended = false;
};

class Parser {
 public:
  explicit Parser(std::string_view pattern) {
    for (size_t i = 0; i < pattern.size();) {
      uint32_t length;
      text_.push_back(decode_utf8(pattern.data() + i, length));
      i += length;
    }
  }

  RegexNode parse() {
    RegexNode node = alternation(Options());
    if (!done()) fail("unmatched )");
    return node;
  }

 private:
  [[noreturn]] void fail(std::string reason) const { throw Unsupported{std::move(reason)}; }
  bool done() const { return at_ == text_.size(); }
  char32_t peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0;
  }
  char32_t next() {
    if (done()) fail("the pattern ends too early");
    return text_[at_++];
  }
  bool take(char32_t c) {
    if (done() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  bool take(std::u32string_view word) {
    if (std::u32string_view(text_).substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  static RegexNode set_node(RangeSet set) {
    RegexNode node;
    node.kind = RegexNode::kSet;
    node.set = std::move(set);
    return node;
  }
  static RegexNode literal(char32_t c, const Options& options) {
    RangeSet set = RangeSet::single(c);
    return set_node(options.ignore_case ? fold_case(set) : set);
  }
  static RegexNode simple(RegexNode::Kind kind, bool negated = false) {
    RegexNode node;
    node.kind = kind;
    node.negated = negated;
    return node;
  }
  static RegexNode wrap(RegexNode::Kind kind, RegexNode child) {
    RegexNode node = simple(kind);
    node.children.push_back(std::move(child));
    return node;
  }

  RegexNode alternation(Options options) {
    if (++depth_ > kMaxDepth) fail("groups nest too deeply");
    RegexNode node = simple(RegexNode::kAlternate);
    do node.children.push_back(concat(options));
    while (take('|'));
    depth_--;
    if (node.children.size() > 1) return node;
    RegexNode only = std::move(node.children[0]);
    return only;
  }

  RegexNode concat(Options options) {
    RegexNode node = simple(RegexNode::kConcat);
    while (!done() && peek() != '|' && peek() != ')') {
      if (options.extended && skip_extended()) continue;
      std::optional<RegexNode> item = atom(options);
      if (!item) continue;
      node.children.push_back(quantified(std::move(*item)));
    }
    if (node.children.size() != 1) return node;
    RegexNode only = std::move(node.children[0]);
    return only;
  }

  bool skip_extended() {
    if (peek() == '#') {
      while (!done() && peek() != '\n') at_++;
      return true;
    }
    if (peek() < 128 && is_whitespace(peek())) return at_++, true;
    return false;
  }

  RegexNode quantified(RegexNode item) {
    for (uint32_t low, high; !done();) {
      bool interval = false;
      if (take('*')) {
        low = 0, high = RegexNode::kNoLimit;
      } else if (take('+')) {
        low = 1, high = RegexNode::kNoLimit;
      } else if (take('?')) {
        low = 0, high = 1;
      } else if (peek() == '{' && parse_interval(low, high)) {
        interval = true;
      } else {
        break;
      }
      RegexNode repeat = wrap(RegexNode::kRepeat, std::move(item));
      repeat.min = low, repeat.max = high;
      // After an interval `+` is one more quantifier, and so is `?` after {n}.
      if (peek() == '?' && !(interval && low == high)) {
        at_++;
        repeat.mode = RegexNode::kLazy;
      } else if (peek() == '+' && !interval) {
        at_++;
        repeat.mode = RegexNode::kPossessive;
      }
      item = std::move(repeat);
    }
    return item;
  }

  // {n} {n,} {,m} {n,m}; anything else is a literal brace.
  bool parse_interval(uint32_t& low, uint32_t& high) {
    const size_t start = at_++;
    const auto number = [this](uint32_t& value) {
      bool any = false;
      for (value = 0; peek() >= '0' && peek() <= '9'; any = true)
        if ((value = value * 10 + (next() - '0')) > kMaxCount) fail("a repeat above 1000");
      return any;
    };
    const bool has_low = number(low);
    high = low;
    bool has_high = has_low;
    if (take(',')) {
      has_high = number(high);
      if (!has_high) high = RegexNode::kNoLimit;
      has_high = has_high || has_low;
    }
    if (has_high && take('}')) {
      if (high < low) std::swap(low, high);
      return true;
    }
    at_ = start;
    return false;
  }

  // nullopt: an item that matches nothing by itself, as a comment.
  std::optional<RegexNode> atom(Options& options) {
    char32_t c = next();
    switch (c) {
      case '.': return set_node(options.dot_all ? RangeSet::all() : ~RangeSet::single('\n'));
      case '^': return simple(RegexNode::kLineStart);
      case '$': return simple(RegexNode::kLineEnd);
      case '[': return set_node(bracket(options));
      case '(': return group(options);
      case '\\': return escape(options);
      case '*':
      case '+':
      case '?': fail("a quantifier without target");
      default: return literal(c, options);
    }
  }

  std::optional<RegexNode> group(Options& options) {
    RegexNode node;
    if (!take('?')) {
      captures_++;
      node = wrap(RegexNode::kCapture, alternation(options));
    } else if (take(':')) {
      node = alternation(options);
    } else if (take('>')) {
      node = wrap(RegexNode::kAtomic, alternation(options));
    } else if (take('#')) {
      while (!done() && peek() != ')') at_++;
      if (!take(')')) fail("a comment without end");
      return std::nullopt;
    } else if (peek() == '=' || peek() == '!' ||
               (peek() == '<' && (peek(1) == '=' || peek(1) == '!'))) {
      const bool behind = take('<'), negated = next() == '!';
      node = wrap(RegexNode::kLook, alternation(options));
      node.behind = behind, node.negated = negated;
    } else {
      return option_group(options);
    }
    if (!take(')')) fail("a group without end");
    return node;
  }

  // (?im-x) and (?im-x:…); the first form holds to the end of the enclosing group, bars included.
  RegexNode option_group(const Options& outer) {
    Options options = outer;
    for (bool on = true;;) {
      char32_t c = next();
      if (c == ':' || c == ')') {
        RegexNode node = alternation(options);
        if (c == ':' && !take(')')) fail("a group without end");
        return node;
      }
      if (c == '-')
        on = false;
      else if (c == 'i')
        options.ignore_case = on;
      else if (c == 'm')
        options.dot_all = on;
      else if (c == 'x')
        options.extended = on;
      else
        fail("an unknown kind of group");
    }
  }

  RegexNode escape(const Options& options) {
    switch (char32_t c = peek()) {
      case 'A': return at_++, simple(RegexNode::kTextStart);
      case 'z': return at_++, simple(RegexNode::kTextEnd);
      case 'Z': return at_++, simple(RegexNode::kTextEndNewline);
      case 'b':
      case 'B': return at_++, simple(RegexNode::kWordBoundary, c == 'B');
      case 'K': return at_++, simple(RegexNode::kKeep);
      case 'R': at_++; return line_break();
      case 'X':
      case 'G':
      case 'k':
      case 'g': fail("an escape that only PCRE2 knows");
      default: break;
    }
    if (peek() >= '1' && peek() <= '9') {
      RegexNode node = simple(RegexNode::kBackReference);
      node.min = next() - '0';
      return node;
    }
    RangeSet set;
    if (class_escape(set)) return set_node(std::move(set));
    return literal(char_escape(), options);
  }

  static RegexNode line_break() {
    RegexNode crlf = simple(RegexNode::kConcat);
    crlf.children = {set_node(RangeSet::single('\r')), set_node(RangeSet::single('\n'))};
    RegexNode node = simple(RegexNode::kAlternate);
    node.children = {crlf, set_node(RangeSet({{10, 13}, {0x85, 0x85}, {0x2028, 0x2029}}))};
    return wrap(RegexNode::kAtomic, std::move(node));
  }

  static RangeSet property(std::string_view name) { return *property_set(name); }

  // \s \w \d \h \p{…} and their complements. Consumes nothing when it is another escape.
  bool class_escape(RangeSet& set) {
    const char32_t c = peek();
    const char32_t lower = c | 32;
    if (c == 's' || c == 'S')
      set = property("space");
    else if (c == 'w' || c == 'W')
      set = property("word");
    else if (c == 'd' || c == 'D')
      set = property("nd");
    else if (c == 'h' || c == 'H')
      set = property("xdigit");
    else if (c == 'p' || c == 'P')
      return property_escape(set);
    else
      return false;
    at_++;
    if (c != lower) set = ~set;
    return true;
  }

  bool property_escape(RangeSet& set) {
    bool negated = next() == 'P';
    if (!take('{')) fail("\\p without a name");
    if (take('^')) negated = !negated;
    std::string name;
    for (char32_t c; (c = next()) != '}';) append_utf8(name, c);
    const RangeSet* found = property_set(name);
    if (!found) fail("an unknown property " + name);
    set = negated ? ~*found : *found;
    return true;
  }

  char32_t char_escape() {
    char32_t c = next();
    switch (c) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'f': return '\f';
      case 'v': return '\v';
      case 'a': return '\a';
      case 'e': return 0x1B;
      case '0': return digits(8, 0, 2);
      case 'u': return digits(16, 4, 4);
      case 'x':
        if (take('{')) {
          char32_t value = digits(16, 1, 8);
          if (!take('}')) fail("\\x{ without }");
          return value;
        }
        return digits(16, 1, 2);
      default:
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) fail("an unknown escape");
        return c;
    }
  }

  char32_t digits(uint32_t base, int least, int most) {
    char32_t value = 0;
    int count = 0;
    for (; count < most; count++) {
      const char32_t c = peek(), lower = c | 32;
      uint32_t digit = c >= '0' && c <= '9'           ? c - '0'
                       : lower >= 'a' && lower <= 'f' ? lower - 87
                                                      : 99;
      if (done() || digit >= base) break;
      value = value * base + digit;
      at_++;
    }
    if (count < least || value > kMaxCodePoint) fail("a bad code point");
    if (value >= 0x80 && base == 16 && most == 2) fail("a byte escape above 7F");
    return value;
  }

  // Behind '['. Nested brackets unite, && intersects what stands left and right of it.
  RangeSet bracket(const Options& options) {
    if (++depth_ > kMaxDepth) fail("brackets nest too deeply");
    const bool negated = take('^');
    RangeSet set = RangeSet();
    std::optional<RangeSet> left;  // of &&
    for (bool first = true;; first = false) {
      if (done()) fail("a bracket without end");
      if (peek() == ']' && !first) break;
      if (take(U"&&")) {
        left = left ? *left & set : set;
        set = RangeSet();
        continue;
      }
      set = set | bracket_item(options);
    }
    at_++;
    if (left) set = *left & set;
    if (options.ignore_case) set = fold_case(set);
    depth_--;
    return negated ? ~set : set;
  }

  RangeSet bracket_item(const Options& options) {
    if (take(U"[:")) return posix_class();
    if (take('[')) return bracket(options);
    RangeSet set;
    char32_t low = next();
    if (low == '\\') {
      if (class_escape(set)) return set;
      low = take('b') ? '\b' : char_escape();
    }
    // `-` is a literal before the end, before another class and before &&.
    if (peek() != '-' || peek(1) == ']' || peek(1) == 0 || peek(1) == '[')
      return RangeSet::single(low);
    const size_t dash = at_++;
    char32_t high = next();
    if (high == '\\') {
      if (class_escape(set)) {
        at_ = dash;
        return RangeSet::single(low);
      }
      high = char_escape();
    }
    if (high < low) fail("a range that runs backwards");
    return RangeSet({{low, high}});
  }

  RangeSet posix_class() {
    const bool negated = take('^');
    std::string name;
    while (!done() && peek() != ':') append_utf8(name, next());
    const RangeSet* found = property_set(name);
    if (!take(U":]") || !found) fail("an unknown class [:" + name + ":]");
    return negated ? ~*found : *found;
  }

  std::u32string text_;
  size_t at_ = 0;
  int depth_ = 0;
  int captures_ = 0;
};

}  // namespace

std::optional<RegexNode> parse_regex(std::string_view pattern, std::string& reason) {
  try {
    return Parser(pattern).parse();
  } catch (const Unsupported& e) {
    reason = e.reason;
    return std::nullopt;
  }
}

}  // namespace mica::tok
