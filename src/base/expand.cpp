#include "base/expand.h"

#include <cctype>

namespace mica {
namespace {

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

}  // namespace

std::string expand_variables(std::string text, const VariableLookup& lookup) {
  if (text == "~" || text.starts_with("~/"))
    if (const std::optional<std::string> home = lookup("HOME")) text.replace(0, 1, *home);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      out += text[i++];
      continue;
    }
    const bool braces = i + 1 < text.size() && text[i + 1] == '{';
    const size_t begin = i + (braces ? 2 : 1);
    size_t end = begin;
    while (end < text.size() && is_name_character(text[end])) ++end;
    const std::string name = text.substr(begin, end - begin);
    const std::optional<std::string> value = name.empty() ? std::nullopt : lookup(name);
    const bool closed = !braces || (end < text.size() && text[end] == '}');
    const size_t next = braces && closed ? end + 1 : end;
    out += value && closed ? *value : text.substr(i, next - i);
    i = next;
  }
  return out;
}

}  // namespace mica
