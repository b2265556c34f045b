// Expressions of GBNF for given texts.
#pragma once

#include <string>
#include <string_view>

namespace mica::gbnf {

std::string literal(std::string_view text);
// The special token of that text, or the text where there is no such token.
std::string token(std::string_view text);
// Any text that `marker` is no part of, also the empty one. The marker's first character must not
// occur in it again.
std::string text_without(std::string_view marker);

}  // namespace mica::gbnf
