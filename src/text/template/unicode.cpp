#include "text/template/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/template/unicode_special.h"

namespace mica::jinja {
namespace {

namespace special = unicode_special;

// The decoded code point and its length; length 0 where the bytes are malformed.
struct Decoded {
  char32_t code;
  size_t bytes;
};

Decoded decode(std::string_view text, size_t position) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  size_t left = text.size() - position;
  unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || left < size) return {0, 0};
  char32_t code = first & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10FFFF) return {0, 0};
  return {code, size};
}

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// The text of `code` in a sorted table, null when it has none.
const char* special_case(const special::Casing* table, size_t count, char32_t code) {
  const auto* found = std::lower_bound(
      table, table + count, code, [](const auto& entry, char32_t c) { return entry.code < c; });
  return found != table + count && found->code == code ? found->text : nullptr;
}

bool in_ranges(const special::Range* table, size_t count, char32_t code) {
  const auto* found = std::lower_bound(
      table, table + count, code, [](const auto& range, char32_t c) { return range.last < c; });
  return found != table + count && found->first <= code;
}

bool is_ignorable(char32_t code) {
  auto c = category(code);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK ||
         in_ranges(special::kIgnorable, special::kIgnorableCount, code);
}

// A sigma at the end of a word becomes ς: a cased character before it and none behind, not
// counting ignorable ones.
bool is_final_sigma(std::string_view text, size_t begin, size_t end) {
  bool cased = false;
  while (begin > 0) {
    begin = previous_code_point(text, begin);
    size_t at = begin;
    const char32_t code = next_code_point(text, at);
    if (is_ignorable(code)) continue;
    cased = is_cased(code);
    break;
  }
  if (!cased) return false;
  while (end < text.size()) {
    const char32_t code = next_code_point(text, end);
    if (!is_ignorable(code)) return !is_cased(code);
  }
  return true;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    Decoded d = decode(text, i);
    if (d.bytes == 0 || (d.code >= 0xD800 && d.code < 0xE000)) return false;
    i += d.bytes;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char32_t next_code_point(std::string_view text, size_t& position) {
  Decoded d = decode(text, position);
  if (d.bytes == 0) return 0xDC00u + static_cast<unsigned char>(text[position++]);
  position += d.bytes;
  return d.code;
}

size_t code_point_bytes(std::string_view text, size_t position) {
  return std::max<size_t>(decode(text, position).bytes, 1);
}

size_t previous_code_point(std::string_view text, size_t position) {
  for (size_t back = 1; back <= std::min<size_t>(4, position); ++back) {
    if (decode(text, position - back).bytes == back) return position - back;
  }
  return position - 1;
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++count) i += code_point_bytes(text, i);
  return count;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_alpha(char32_t code) {
  auto c = category(code);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t code) {
  return is_decimal(code) || in_ranges(special::kDigits, special::kDigitsCount, code);
}

bool is_numeric(char32_t code) {
  auto c = category(code);
  return (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO) ||
         in_ranges(special::kNumeric, special::kNumericCount, code);
}

bool is_lower(char32_t code) {
  return utf8proc_islower(static_cast<utf8proc_int32_t>(code)) != 0 ||
         category(code) == UTF8PROC_CATEGORY_LL;
}

bool is_upper(char32_t code) {
  return utf8proc_isupper(static_cast<utf8proc_int32_t>(code)) != 0 ||
         category(code) == UTF8PROC_CATEGORY_LU;
}

bool is_title(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_LT;
}

bool is_cased(char32_t code) {
  return is_lower(code) || is_upper(code) || is_title(code);
}

bool is_printable(char32_t code) {
  auto c = category(code);
  if (code == ' ') return true;
  return c != UTF8PROC_CATEGORY_CN && c != UTF8PROC_CATEGORY_CC && c != UTF8PROC_CATEGORY_CF &&
         c != UTF8PROC_CATEGORY_CS && c != UTF8PROC_CATEGORY_CO && c != UTF8PROC_CATEGORY_ZS &&
         c != UTF8PROC_CATEGORY_ZL && c != UTF8PROC_CATEGORY_ZP;
}

bool is_identifier_start(char32_t code) {
  const bool starts = code == '_' || is_alpha(code) || category(code) == UTF8PROC_CATEGORY_NL;
  return starts != in_ranges(special::kIdentifierStart, special::kIdentifierStartCount, code);
}

bool is_identifier_part(char32_t code) {
  auto c = category(code);
  const bool continues = code == '_' || is_alpha(code) || c == UTF8PROC_CATEGORY_NL ||
                         c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_MN ||
                         c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_PC;
  return continues != in_ranges(special::kIdentifierPart, special::kIdentifierPartCount, code);
}

void append_upper(std::string& out, char32_t code) {
  if (const char* special = special_case(special::kUpper, special::kUpperCount, code)) {
    out += special;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_lower(std::string& out, char32_t code) {
  if (code == 0x130) {
    out += "i̇";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_title(std::string& out, char32_t code) {
  if (const char* special = special_case(special::kTitle, special::kTitleCount, code)) {
    out += special;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_lower_in(std::string& out, std::string_view text, size_t begin, size_t end,
                     char32_t code) {
  if (code == 0x3A3 && is_final_sigma(text, begin, end)) {
    out += "ς";
  } else {
    append_lower(out, code);
  }
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (code < 0x80) {
      out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
    } else if (i - begin == 1) {
      out += text[begin];
    } else {
      append_lower_in(out, text, begin, i, code);
    }
  }
  return out;
}

std::string fold_case(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t code = next_code_point(text, i);
    std::array<utf8proc_int32_t, 8> folded;
    const auto count =
        code >= 0x80 && i - begin == 1
            ? -1
            : utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), folded.data(),
                                      folded.size(), UTF8PROC_CASEFOLD, nullptr);
    if (count < 0) out.append(text, begin, i - begin);
    for (utf8proc_ssize_t k = 0; k < count; ++k) {
      append_utf8(out, static_cast<char32_t>(folded[static_cast<size_t>(k)]));
    }
  }
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t code = next_code_point(text, i);
    if (code < 0x80) {
      out += static_cast<char>(code >= 'a' && code <= 'z' ? code - 32 : code);
    } else if (i - begin == 1) {
      out += text[begin];
    } else {
      append_upper(out, code);
    }
  }
  return out;
}

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  auto strips = [&](size_t begin, size_t end) {
    if (!chars) {
      size_t at = begin;
      return is_space(next_code_point(text, at));
    }
    std::string_view one = text.substr(begin, end - begin);
    for (size_t i = 0; i < chars->size();) {
      size_t bytes = code_point_bytes(*chars, i);
      if (std::string_view(*chars).substr(i, bytes) == one) return true;
      i += bytes;
    }
    return false;
  };
  size_t begin = 0;
  size_t end = text.size();
  while (left && begin < end) {
    size_t next = begin + code_point_bytes(text, begin);
    if (!strips(begin, next)) break;
    begin = next;
  }
  while (right && begin < end) {
    size_t previous = previous_code_point(text.substr(0, end), end);
    if (!strips(previous, end)) break;
    end = previous;
  }
  return text.substr(begin, end - begin);
}

}  // namespace mica::jinja
