#include "text/grammar/code_points.h"

#include <utf8proc.h>

namespace mica::grammar {

int32_t next_code_point(std::string_view text, size_t& at) {
  utf8proc_int32_t c = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &c);
  if (length <= 0) return -1;
  at += static_cast<size_t>(length);
  return c;
}

bool decode_utf8(std::string_view text, std::vector<uint32_t>& out) {
  for (size_t at = 0; at < text.size();) {
    const int32_t c = next_code_point(text, at);
    if (c < 0) return false;
    out.push_back(static_cast<uint32_t>(c));
  }
  return true;
}

namespace {

// Splits lo..hi (of one UTF-8 length) where a byte before the last would not be a plain range.
void split(uint32_t lo, uint32_t hi, std::vector<Utf8Sequence>& out) {
  std::string a, b;
  append_utf8(a, lo);
  append_utf8(b, hi);
  for (size_t i = 1; i < a.size(); i++) {
    const uint32_t mask = (1u << 6 * i) - 1;
    if ((lo & ~mask) == (hi & ~mask)) continue;
    if ((lo & mask) != 0) return split(lo, lo | mask, out), split((lo | mask) + 1, hi, out);
    if ((hi & mask) != mask) return split(lo, (hi & ~mask) - 1, out), split(hi & ~mask, hi, out);
  }
  Utf8Sequence sequence;
  sequence.length = static_cast<int>(a.size());
  for (size_t i = 0; i < a.size(); i++)
    sequence.bytes[i] = {static_cast<uint8_t>(a[i]), static_cast<uint8_t>(b[i])};
  out.push_back(sequence);
}

struct CategoryName {
  const char* shorter;
  const char* longer;
};
// In the order of utf8proc_category_t.
constexpr CategoryName kCategories[] = {{"Cn", "Unassigned"},
                                        {"Lu", "Uppercase_Letter"},
                                        {"Ll", "Lowercase_Letter"},
                                        {"Lt", "Titlecase_Letter"},
                                        {"Lm", "Modifier_Letter"},
                                        {"Lo", "Other_Letter"},
                                        {"Mn", "Nonspacing_Mark"},
                                        {"Mc", "Spacing_Mark"},
                                        {"Me", "Enclosing_Mark"},
                                        {"Nd", "Decimal_Number"},
                                        {"Nl", "Letter_Number"},
                                        {"No", "Other_Number"},
                                        {"Pc", "Connector_Punctuation"},
                                        {"Pd", "Dash_Punctuation"},
                                        {"Ps", "Open_Punctuation"},
                                        {"Pe", "Close_Punctuation"},
                                        {"Pi", "Initial_Punctuation"},
                                        {"Pf", "Final_Punctuation"},
                                        {"Po", "Other_Punctuation"},
                                        {"Sm", "Math_Symbol"},
                                        {"Sc", "Currency_Symbol"},
                                        {"Sk", "Modifier_Symbol"},
                                        {"So", "Other_Symbol"},
                                        {"Zs", "Space_Separator"},
                                        {"Zl", "Line_Separator"},
                                        {"Zp", "Paragraph_Separator"},
                                        {"Cc", "Control"},
                                        {"Cf", "Format"},
                                        {"Cs", "Surrogate"},
                                        {"Co", "Private_Use"}};
constexpr CategoryName kGroups[] = {{"L", "Letter"},      {"M", "Mark"},   {"N", "Number"},
                                    {"P", "Punctuation"}, {"S", "Symbol"}, {"Z", "Separator"},
                                    {"C", "Other"}};

}  // namespace

std::vector<Utf8Sequence> utf8_sequences(const CodePoints& set) {
  static const CodePoints lengths[] = {CodePoints({{0, 0x7F}}), CodePoints({{0x80, 0x7FF}}),
                                       CodePoints({{0x800, 0xD7FF}, {0xE000, 0xFFFF}}),
                                       CodePoints({{0x10000, kMaxCodePoint}})};
  std::vector<Utf8Sequence> out;
  for (const CodePoints& length : lengths) {
    const CodePoints part = set & length;
    for (const auto& [lo, hi] : part.ranges()) split(lo, hi, out);
  }
  return out;
}

CodePoints category_set(std::string_view name) {
  uint32_t wanted = 0;
  for (size_t i = 0; i < std::size(kCategories); i++) {
    bool match = name == kCategories[i].shorter || name == kCategories[i].longer;
    for (const CategoryName& group : kGroups)
      match |= group.shorter[0] == kCategories[i].shorter[0] &&
               (name == group.shorter || name == group.longer);
    if (match) wanted |= 1u << i;
  }
  std::vector<CodePoints::Range> ranges;
  if (wanted == 0) return CodePoints();
  for (uint32_t c = 0; c <= kMaxCodePoint; c++) {
    if (!(wanted >> utf8proc_category(static_cast<utf8proc_int32_t>(c)) & 1)) continue;
    if (!ranges.empty() && ranges.back().second + 1 == c)
      ranges.back().second = c;
    else
      ranges.push_back({c, c});
  }
  return CodePoints(std::move(ranges));
}

}  // namespace mica::grammar
