#include "text/template/parser.h"

#include <algorithm>

#include "text/template/parser_internal.h"
#include "text/template/scopes.h"

namespace mica::jinja {

Parser::Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

Token Parser::take() {
  Token token = current();
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool Parser::is_name(std::string_view name) const {
  return is(TokenType::kName) && current().text == name;
}
bool Parser::is_op(std::string_view op) const {
  return is(TokenType::kOperator) && current().text == op;
}
bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  take();
  return true;
}
bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  take();
  return true;
}

Token Parser::expect(TokenType type, const char* what) {
  if (!is(type)) {
    fail(fmt::format("expected token '{}', got '{}'", what, describe(current())));
  }
  return take();
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(fmt::format("expected token '{}', got '{}'", op, describe(current())));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) {
    fail(fmt::format("expected token '{}', got '{}'", name, describe(current())));
  }
}

void Parser::fail(const std::string& message, int line) const {
  throw TemplateError(ErrorType::kSyntax, message, line ? line : current().line);
}

void Parser::forget_unknown(size_t from) {
  auto begin = unknown_.begin() + static_cast<std::ptrdiff_t>(from);
  unknown_.erase(std::remove_if(begin, unknown_.end(), [](const Unknown& u) { return !u.certain; }),
                 unknown_.end());
}

void Parser::confirm_unknown(size_t from) {
  for (size_t i = from; i < unknown_.size(); ++i) unknown_[i].certain = true;
}

std::unique_ptr<Ast> Parser::run() {
  ast_->body = subparse({});
  if (!unknown_.empty()) fail(unknown_.front().message, unknown_.front().line);
  return std::move(ast_);
}

Stmt* Parser::make_stmt(StmtType type, int line) {
  Stmt& node = ast_->stmts.emplace_back();
  node.type = type;
  node.line = line;
  return &node;
}

Body Parser::parse_body(Names ends) {
  skip_op(":");
  expect(TokenType::kBlockEnd, "end of statement block");
  Body body = subparse(ends);
  if (is(TokenType::kEnd)) {
    fail(fmt::format("Unexpected end of template. Looking for '{}'.", *ends.begin()));
  }
  return body;
}

Body Parser::subparse(Names ends) {
  Nesting nesting(*this);
  Body body;
  while (!is(TokenType::kEnd)) {
    int line = current().line;
    if (is(TokenType::kData)) {
      Stmt* data = make_stmt(StmtType::kData, line);
      data->text = take().text;
      body.push_back(data);
    } else if (is(TokenType::kVariableBegin)) {
      take();
      Stmt* print = make_stmt(StmtType::kPrint, line);
      print->expr = parse_tuple({});
      body.push_back(print);
      expect(TokenType::kVariableEnd, "end of print statement");
    } else {
      expect(TokenType::kBlockBegin, "begin of statement block");
      if (is(TokenType::kName) &&
          std::find(ends.begin(), ends.end(), current().text) != ends.end()) {
        return body;
      }
      if (skip_name("print")) {
        parse_print(body);
      } else {
        body.push_back(parse_statement());
      }
      expect(TokenType::kBlockEnd, "end of statement block");
    }
  }
  return body;
}

void Parser::parse_print(Body& out) {
  bool first = true;
  while (!is(TokenType::kBlockEnd)) {
    if (!first) expect_op(",");
    first = false;
    Stmt* print = make_stmt(StmtType::kPrint, current().line);
    print->expr = parse_expression();
    out.push_back(print);
  }
}

Stmt* Parser::parse_statement() {
  Token tag = expect(TokenType::kName, "tag name");
  const std::string& name = tag.text;
  int line = tag.line;
  if (name == "for") return parse_for(line);
  if (name == "if") return parse_if(line);
  if (name == "set") return parse_set(line);
  if (name == "with") return parse_with(line);
  if (name == "macro") return parse_macro(line);
  if (name == "call") return parse_call_block(line);
  if (name == "filter") return parse_filter_block(line);
  if (name == "block") return parse_block(line);
  if (name == "autoescape") return parse_autoescape(line);
  if (name == "generation") return parse_generation(line);
  if (name == "break" || name == "continue") {
    if (loops_ == 0) fail("'" + name + "' outside of a loop", line);
    return make_stmt(name == "break" ? StmtType::kBreak : StmtType::kContinue, line);
  }
  if (name == "include" || name == "import" || name == "from" || name == "extends") {
    return parse_loader_statement(name, line);
  }
  fail("Encountered unknown tag '" + name + "'.", line);
}

Stmt* Parser::parse_for(int line) {
  Stmt* node = make_stmt(StmtType::kFor, line);
  ++loop_names_;
  node->target = parse_target("in", false, false);
  --loop_names_;
  expect_name("in");
  node->expr = parse_tuple({.with_conditional = false, .end_name = "recursive"});
  ++loop_names_;
  size_t unknown = unknown_.size();
  if (skip_name("if")) node->condition = parse_expression();
  node->recursive = skip_name("recursive");
  ++loops_;
  node->body = parse_body({"endfor", "else"});
  --loops_;
  if (take().text == "else") {
    int outer_loops = loops_;
    if (node->recursive) loops_ = 0;  // the whole loop is a function of its own
    node->otherwise = parse_body({"endfor"});
    loops_ = outer_loops;
    take();
  }
  --loop_names_;
  confirm_unknown(unknown);
  return node;
}

Stmt* Parser::parse_if(int line) {
  Stmt* node = make_stmt(StmtType::kIf, line);
  size_t unknown = unknown_.size();
  while (true) {
    Expr* condition = parse_tuple({.with_conditional = false});
    Body body = parse_body({"elif", "else", "endif"});
    node->branches.emplace_back(condition, std::move(body));
    bool is_elif = is_name("elif");
    bool is_else = is_name("else");
    take();
    if (is_elif) continue;
    if (is_else) {
      node->otherwise = parse_body({"endif"});
      take();
    }
    break;
  }
  forget_unknown(unknown);
  return node;
}

Stmt* Parser::parse_set(int line) {
  Expr* target = parse_target("", true, false);
  if (skip_op("=")) {
    Stmt* node = make_stmt(StmtType::kSet, line);
    node->target = target;
    node->expr = parse_tuple({});
    return node;
  }
  Stmt* node = make_stmt(StmtType::kSetBlock, line);
  node->target = target;
  size_t unknown = unknown_.size();
  node->expr = parse_filters(nullptr);
  node->body = parse_body({"endset"});
  take();
  confirm_unknown(unknown);
  return node;
}

Stmt* Parser::parse_with(int line) {
  Stmt* node = make_stmt(StmtType::kWith, line);
  while (!is(TokenType::kBlockEnd)) {
    if (!node->bindings.empty()) expect_op(",");
    Expr* target = parse_target("", false, true);
    expect_op("=");
    node->bindings.emplace_back(target, parse_expression());
  }
  size_t unknown = unknown_.size();
  node->body = parse_body({"endwith"});
  take();
  confirm_unknown(unknown);
  return node;
}

void Parser::parse_signature(Signature& signature) {
  expect_op("(");
  bool has_default = false;
  while (!is_op(")")) {
    if (!signature.parameters.empty()) expect_op(",");
    Symbol name = parse_name_target();
    for (const auto& parameter : signature.parameters) {
      if (parameter.first == name)
        fail("duplicate parameter '" + ast_->names[static_cast<size_t>(name)] + "'");
    }
    Expr* value = nullptr;
    if (skip_op("=")) {
      value = parse_expression();
      has_default = true;
    } else if (has_default) {
      fail("non-default argument follows default argument");
    }
    signature.parameters.emplace_back(name, value);
  }
  expect_op(")");
}

// The body of a macro or call block: a function of its own, where no outer loop can be left.
Body Parser::parse_function_body(Signature& signature, Names ends) {
  int caller = caller_uses_, kwargs = kwargs_uses_, varargs = varargs_uses_;
  int outer_loops = loops_;
  loops_ = 0;
  size_t unknown = unknown_.size();
  Body body = parse_body(ends);
  take();
  confirm_unknown(unknown);
  loops_ = outer_loops;
  auto is_parameter = [&](std::string_view name) {
    return std::any_of(
        signature.parameters.begin(), signature.parameters.end(),
        [&](const auto& p) { return ast_->names[static_cast<size_t>(p.first)] == name; });
  };
  signature.uses_caller = caller_uses_ > caller && !is_parameter("caller");
  signature.uses_kwargs = kwargs_uses_ > kwargs && !is_parameter("kwargs");
  signature.uses_varargs = varargs_uses_ > varargs && !is_parameter("varargs");
  return body;
}

Stmt* Parser::parse_macro(int line) {
  Stmt* node = make_stmt(StmtType::kMacro, line);
  node->symbol = parse_name_target();
  node->text = ast_->names[static_cast<size_t>(node->symbol)];
  parse_signature(node->signature);
  node->body = parse_function_body(node->signature, {"endmacro"});
  return node;
}

Stmt* Parser::parse_call_block(int line) {
  Stmt* node = make_stmt(StmtType::kCallBlock, line);
  if (is_op("(")) parse_signature(node->signature);
  node->expr = parse_expression();
  if (node->expr->type != ExprType::kCall) fail("expected call", line);
  node->body = parse_function_body(node->signature, {"endcall"});
  return node;
}

Stmt* Parser::parse_filter_block(int line) {
  Stmt* node = make_stmt(StmtType::kFilterBlock, line);
  size_t unknown = unknown_.size();
  node->expr = parse_filters(nullptr, true);
  node->body = parse_body({"endfilter"});
  take();
  confirm_unknown(unknown);
  return node;
}

Stmt* Parser::parse_block(int line) {
  Stmt* node = make_stmt(StmtType::kBlock, line);
  node->text = expect(TokenType::kName, "name").text;
  node->scoped = skip_name("scoped");
  bool required = skip_name("required");
  int outer_loops = loops_;
  loops_ = 0;
  size_t unknown = unknown_.size();
  node->body = parse_body({"endblock"});
  confirm_unknown(unknown);
  loops_ = outer_loops;
  take();
  skip_name(node->text);
  if (required) fail("required blocks need a template loader", line);
  if (!ast_->blocks.emplace(node->text, node).second) {
    fail("block '" + node->text + "' defined twice", line);
  }
  return node;
}

Stmt* Parser::parse_autoescape(int line) {
  Stmt* node = make_stmt(StmtType::kScope, line);
  node->expr = parse_expression();
  node->body = parse_body({"endautoescape"});
  take();
  return node;
}

Stmt* Parser::parse_generation(int line) {
  Stmt* node = make_stmt(StmtType::kGeneration, line);
  node->body = parse_function_body(node->signature, {"endgeneration"});
  return node;
}

// Chat templates are single files: these parse and fail when they are executed, as in jinja2
// without a loader.
Stmt* Parser::parse_loader_statement(const std::string& name, int line) {
  Stmt* node = make_stmt(StmtType::kFail, line);
  node->text = "'" + name + "' needs a template loader; a chat template stands alone";
  parse_expression();
  if (name == "import") {
    expect_name("as");
    parse_name_target();
  }
  while (!is(TokenType::kBlockEnd) && !is(TokenType::kEnd)) take();
  return node;
}

Symbol Parser::parse_name_target() {
  Token token = expect(TokenType::kName, "name");
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (token.text == constant) fail("can't assign to '" + token.text + "'", token.line);
  }
  return ast_->intern(token.text);
}

Expr* Parser::parse_target(std::string_view end_name, bool with_namespace, bool is_parameter) {
  int caller = caller_uses_, kwargs = kwargs_uses_, varargs = varargs_uses_;
  Expr* target =
      parse_tuple({.simplified = true, .with_namespace = with_namespace, .end_name = end_name});
  caller_uses_ = caller, kwargs_uses_ = kwargs, varargs_uses_ = varargs;
  check_target(target, is_parameter);
  return target;
}

void Parser::check_target(const Expr* target, bool is_parameter) {
  switch (target->type) {
    case ExprType::kNamespaceRef: return;
    case ExprType::kName:
      if (loop_names_ > 0 && !is_parameter &&
          ast_->names[static_cast<size_t>(target->symbol)] == "loop") {
        fail("Can't assign to special loop variable in for-loop target", target->line);
      }
      return;
    case ExprType::kTuple:
      for (const Expr* item : target->items) check_target(item, is_parameter);
      return;
    default: fail("can't assign to a value", target->line);
  }
}

std::unique_ptr<Ast> parse(std::string_view source) {
  std::unique_ptr<Ast> ast = Parser(tokenize(source)).run();
  analyze_scopes(*ast);
  return ast;
}

}  // namespace mica::jinja
