#include "text/answer/gbnf_text.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"

namespace mica::gbnf {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02X}", c);
        } else {
          out += c;
        }
    }
  }
  return out += '"';
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> list;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80 && !list.empty()) {
      list.back() += c;
    } else {
      list.emplace_back(1, c);
    }
  }
  return list;
}

// A character inside a class.
std::string member(const std::string& c) {
  const char first = c[0];
  const bool word = (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') ||
                    (first >= 'A' && first <= 'Z') || c.size() > 1;
  return word ? c : fmt::format("\\x{:02X}", first);
}

}  // namespace

std::string literal(std::string_view text) {
  return quoted(text);
}

std::string token(std::string_view text) {
  return "%token" + quoted(text);
}

// Behind one first character F of the marker stands some beginning B of its rest, and then: F again
// (again), something else (out), or the end of the text. So the text is
// [^F]* ( F again* out [^F]* )* ( F again* B )?
std::string text_without(std::string_view marker) {
  const std::vector<std::string> chars = characters(marker);
  MICA_CHECK(!chars.empty());
  const std::string first = member(chars[0]);
  if (chars.size() == 1) return fmt::format("[^{}]*", first);
  std::string again, out, begun, rest;
  for (size_t i = 1; i < chars.size(); ++i) {
    MICA_CHECK(chars[i] != chars[0]);
    const std::string separator = i == 1 ? "" : " | ";
    const std::string before = rest.empty() ? "" : literal(rest) + " ";
    again += separator + before + literal(chars[0]);
    out += fmt::format("{}{}[^{}{}]", separator, before, first, member(chars[i]));
    begun += separator + literal(rest);
    rest += chars[i];
  }
  return fmt::format("[^{0}]* ( {1} ( {2} )* ( {3} ) [^{0}]* )* ( {1} ( {2} )* ( {4} ) )?", first,
                     literal(chars[0]), again, out, begun);
}

}  // namespace mica::gbnf
