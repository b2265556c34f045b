// Tokens to a syntax tree, by the grammar of jinja2 3.1 with the extensions that chat templates
// may use: loop controls and {% generation %}.
#pragma once

#include <memory>
#include <string_view>

#include "text/template/ast.h"

namespace mica::jinja {

// Raises TemplateError(kSyntax) with the line.
std::unique_ptr<Ast> parse(std::string_view source);

}  // namespace mica::jinja
