// Template text to tokens, by the rules of jinja2's lexer with trim_blocks and lstrip_blocks on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mica::jinja {

enum class TokenType : uint8_t {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // text holds it: + - / // * % ** ~ [ ] ( ) { } == != > >= < <= = . : | , ;
  kEnd,
};

struct Token {
  TokenType type;
  int line;          // 1-based
  std::string text;  // strings unescaped, line ends of data made \n
};

// Raises TemplateError(kSyntax) with the line. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

// A token as messages name it.
std::string describe(const Token& token);

}  // namespace mica::jinja
