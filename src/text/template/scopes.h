// Which variables a frame shadows from its start: jinja2 decides that when it compiles.
#pragma once

#include "text/template/ast.h"

namespace mica::jinja {

// Fills `unset` of the tree and of its statements.
void analyze_scopes(Ast& ast);

}  // namespace mica::jinja
