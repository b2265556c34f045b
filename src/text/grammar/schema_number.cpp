// Numbers: ranges and multiples as automata over decimal digits.
#include <algorithm>

#include "base/error.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

constexpr int32_t kDigits = 18;         // of the whole part and of the fraction, at most
constexpr size_t kMaxModulus = 10'000;  // multipleOf, without its point

// The parts of decimal numbers as expressions over characters.
class DecimalText {
 public:
  explicit DecimalText(Grammar& grammar) : g_(grammar) {}

  ExprId digit(char from, char to) {
    return g_.one_of(CodePoints({{static_cast<uint32_t>(from), static_cast<uint32_t>(to)}}));
  }
  ExprId literal(const std::string& text) {
    std::vector<ExprId> out;
    for (const char c : text) out.push_back(digit(c, c));
    return g_.sequence(std::move(out));
  }
  ExprId digits(int32_t min, int32_t max) { return g_.repeat(digit('0', '9'), min, max); }
  ExprId whole() {
    return g_.choice({digit('0', '0'), g_.sequence({digit('1', '9'), digits(0, kDigits - 1)})});
  }
  ExprId fraction() { return g_.optional(g_.sequence({literal("."), digits(1, kNoMaximum)})); }
  ExprId magnitude() { return g_.sequence({whole(), fraction()}); }
  ExprId minus(ExprId magnitude) { return g_.sequence({literal("-"), magnitude}); }

  // Texts of as many digits as `bound` that are larger (or smaller) at the first difference.
  void differing(const std::string& bound, bool larger, bool first_nonzero, std::vector<ExprId>& out) {
    for (size_t i = 0; i < bound.size(); i++) {
      const char low = i == 0 && first_nonzero ? '1' : '0';
      const char from = larger ? static_cast<char>(bound[i] + 1) : low;
      const char to = larger ? '9' : static_cast<char>(bound[i] - 1);
      if (from > to) continue;
      const auto rest = static_cast<int32_t>(bound.size() - i - 1);
      out.push_back(g_.sequence({literal(bound.substr(0, i)), digit(from, to), digits(rest, rest)}));
    }
  }

  // Magnitudes above (or below) a bound; with the bound itself unless exclusive.
  ExprId beyond(const NumberRange::Bound& bound, bool larger) {
    const std::string& whole = bound.value.whole;
    const auto length = static_cast<int32_t>(whole.size());
    std::vector<ExprId> wholes;
    differing(whole, larger, length > 1, wholes);
    if (larger && length < kDigits)
      wholes.push_back(g_.sequence({digit('1', '9'), digits(length, kDigits - 1)}));
    if (!larger && length > 1)
      wholes.push_back(g_.choice({digit('0', '0'), g_.sequence({digit('1', '9'), digits(0, length - 2)})}));
    const ExprId other = g_.sequence({g_.choice(std::move(wholes)), fraction()});
    const ExprId same = g_.sequence({literal(whole), fraction_beyond(bound, larger)});
    return g_.choice({other, same});
  }

 private:
  ExprId fraction_beyond(const NumberRange::Bound& bound, bool larger) {
    const std::string& digits_of = bound.value.fraction;
    const ExprId zeros = g_.repeat(digit('0', '0'), 0, kNoMaximum);
    std::vector<ExprId> out;  // behind the point
    for (size_t i = 0; i < digits_of.size(); i++) {
      const std::string shared = digits_of.substr(0, i);
      const char from = larger ? static_cast<char>(digits_of[i] + 1) : '0';
      const char to = larger ? '9' : static_cast<char>(digits_of[i] - 1);
      if (from <= to)
        out.push_back(g_.sequence({literal(shared), digit(from, to), digits(0, kNoMaximum)}));
      if (!larger && i > 0) out.push_back(literal(shared));
    }
    if (larger) {
      const ExprId more = bound.exclusive
                              ? g_.sequence({zeros, digit('1', '9'), digits(0, kNoMaximum)})
                              : digits(digits_of.empty() ? 1 : 0, kNoMaximum);
      out.push_back(g_.sequence({literal(digits_of), more}));
    } else if (!bound.exclusive) {
      out.push_back(g_.sequence(
          {literal(digits_of), digits_of.empty() ? g_.repeat(digit('0', '0'), 1, kNoMaximum) : zeros}));
    }
    std::vector<ExprId> all{g_.sequence({literal("."), g_.choice(std::move(out))})};
    // Without a point the fraction is zero.
    const bool zero_fits = digits_of.empty() ? !bound.exclusive : !larger;
    if (zero_fits) all.push_back(g_.empty());
    return g_.choice(std::move(all));
  }

  Grammar& g_;
};

ExprId at_least(Grammar& g, const NumberRange::Bound& bound) {
  DecimalText text(g);
  if (!bound.value.negative) return text.beyond(bound, true);
  return g.choice({text.magnitude(), text.minus(text.beyond(bound, false))});
}

ExprId at_most(Grammar& g, const NumberRange::Bound& bound) {
  DecimalText text(g);
  if (bound.value.negative) return text.minus(text.beyond(bound, true));
  return g.choice({text.minus(text.magnitude()), text.beyond(bound, false)});
}

bool is_zero(const Decimal& d) { return d.whole == "0" && d.fraction.empty(); }

// Numbers that are a whole number of times `modulus` * 10^-places: one state for each remainder
// before the point and for each remainder and place behind it.
ExprId multiples(Grammar& g, size_t modulus, size_t places) {
  DecimalText text(g);
  Machine machine;
  const size_t width = places + 2;  // before the point, then behind 0 … places digits of fraction
  const auto at = [&](size_t remainder, size_t column) {
    return static_cast<int32_t>(2 + remainder * width + column);
  };
  machine.accepting.assign(2 + modulus * width, false);
  machine.edges.push_back({0, 1, text.literal("-")});
  for (char c = '0'; c <= '9'; c++)
    for (const int32_t from : {0, 1})
      machine.edges.push_back({from, at(static_cast<size_t>(c - '0') % modulus, 0), text.digit(c, c)});
  for (size_t r = 0; r < modulus; r++) {
    machine.edges.push_back({at(r, 0), at(r, 1), text.literal(".")});
    for (size_t column = 0; column < width; column++) {
      const size_t written = column == 0 ? 0 : column - 1;
      size_t value = r;
      for (size_t i = written; i < places; i++) value = value * 10 % modulus;
      machine.accepting[static_cast<size_t>(at(r, column))] = value == 0;
      const bool full = column > 0 && written == places;
      for (char c = '0'; c <= (full ? '0' : '9'); c++)
        machine.edges.push_back(
            {at(r, column),
             full ? at(r, column)
                  : at((r * 10 + static_cast<size_t>(c - '0')) % modulus, column ? column + 1 : 0),
             text.digit(c, c)});
    }
  }
  return g.machine(std::move(machine));
}

}  // namespace

Decimal SchemaCompiler::decimal(const Json& schema, const char* name, const Json& value) const {
  if (!value.is_number()) fail(schema, name, "expected a number, found " + value.dump());
  const std::string text = value.dump();
  Decimal out;
  std::string digits;
  int64_t point = -1, exponent = 0;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '-') out.negative = true;
    if (text[i] == '.') point = static_cast<int64_t>(digits.size());
    if (text[i] >= '0' && text[i] <= '9') digits += text[i];
    if (text[i] == 'e') {
      exponent = std::stoll(text.substr(i + 1));
      break;
    }
  }
  if (point < 0) point = static_cast<int64_t>(digits.size());
  point += exponent;
  if (point > 400 || point < -400) fail(schema, name, "a number out of range: " + text);
  if (point < 1) digits.insert(0, static_cast<size_t>(1 - point), '0'), point = 1;
  if (static_cast<size_t>(point) > digits.size()) digits.resize(static_cast<size_t>(point), '0');
  out.whole = digits.substr(0, static_cast<size_t>(point));
  out.fraction = digits.substr(static_cast<size_t>(point));
  out.whole.erase(0, std::min(out.whole.find_first_not_of('0'), out.whole.size() - 1));
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  if (is_zero(out)) out.negative = false;
  return out;
}

int SchemaCompiler::compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int out = a.whole.size() != b.whole.size() ? (a.whole.size() < b.whole.size() ? -1 : 1)
            : a.whole != b.whole             ? a.whole.compare(b.whole)
                                             : a.fraction.compare(b.fraction);
  if (a.negative) out = -out;
  return out < 0 ? -1 : out > 0;
}

NumberRange SchemaCompiler::number_range(const Flat& flat) const {
  NumberRange range;
  for (const Json* schema : flat.schemas) {
    const auto bound = [&](const char* key, std::vector<NumberRange::Bound>& out, bool exclusive) {
      const Json* value = keyword(*schema, key);
      if (!value) return;
      if (value->is_boolean()) fail(*schema, key, "expected a number (a boolean is of draft 4)");
      out.push_back({decimal(*schema, key, *value), exclusive});
    };
    bound("minimum", range.lowest, false);
    bound("exclusiveMinimum", range.lowest, true);
    bound("maximum", range.highest, false);
    bound("exclusiveMaximum", range.highest, true);
    if (const Json* multiple = keyword(*schema, "multipleOf")) {
      range.multiples.push_back(decimal(*schema, "multipleOf", *multiple));
      if (range.multiples.back().negative || is_zero(range.multiples.back()))
        fail(*schema, "multipleOf", "expected a number above 0");
    }
    const Json* format = keyword(*schema, "format");
    if (!format || !format->is_string() || (types_of(*schema) & kString)) continue;
    const std::string& name = format->get_ref<const std::string&>();
    if (name == "int32") {
      range.lowest.push_back({{true, "2147483648", ""}, false});
      range.highest.push_back({{false, "2147483647", ""}, false});
    } else if (name != "int64" && name != "float" && name != "double") {
      if (!format_pattern(name)) fail(*schema, "format", "the format '" + name + "' is not supported");
    }
  }
  return range;
}

ExprId SchemaCompiler::number(const Flat& flat) {
  const bool fractions = flat.types & kFraction;
  const NumberRange range = number_range(flat);
  if (!(flat.types & kInteger))
    fail(flat.schemas.empty() ? document_ : *flat.schemas[0], "", "numbers that are not integers: not supported");
  if (range.empty()) return fractions ? json_.number() : json_.integer();
  Grammar g;
  DecimalText text(g);
  const ExprId fraction =
      g.optional(g.sequence({text.literal("."), text.digits(1, kDigits)}));
  std::vector<ExprId> parts{g.optional(text.literal("-")), text.whole()};
  if (fractions) parts.push_back(fraction);
  std::vector<CharTerm> terms{{g.sequence(std::move(parts))}};
  const std::string place = "[json schema] #" + pointers_[flat.schemas[0]];
  for (const NumberRange::Bound& bound : range.lowest) terms.push_back({at_least(g, bound)});
  for (const NumberRange::Bound& bound : range.highest) terms.push_back({at_most(g, bound)});
  for (const Decimal& multiple : range.multiples) {
    const std::string digits = multiple.whole + multiple.fraction;
    const size_t places = multiple.fraction.size();
    const size_t modulus = digits.size() <= kDigits ? std::stoull(digits) : SIZE_MAX;
    if (modulus > kMaxModulus || modulus * (places + 2) > kMaxModulus)
      throw Error(ErrorKind::kUsage, "{}/multipleOf: more than {} is not supported", place, kMaxModulus);
    terms.push_back({multiples(g, modulus, places)});
  }
  return json_.number_text(intersect(g, terms, place));
}

bool SchemaCompiler::is_multiple(const Decimal& value, const Decimal& of) const {
  const size_t places = std::max(value.fraction.size(), of.fraction.size());
  const auto scaled = [&](const Decimal& d) {
    return d.whole + d.fraction + std::string(places - d.fraction.size(), '0');
  };
  const std::string divisor = scaled(of);
  if (divisor.size() > 18) return false;
  const auto modulus = static_cast<unsigned __int128>(std::stoull(divisor));
  unsigned __int128 remainder = 0;
  for (const char c : scaled(value)) remainder = (remainder * 10 + static_cast<unsigned>(c - '0')) % modulus;
  return remainder == 0;
}

}  // namespace mica::grammar
