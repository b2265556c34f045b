#include <algorithm>
#include <cstdlib>

#include "text/template/parser_internal.h"

namespace mica::jinja {
namespace {

constexpr int kMaxNesting = 150;

Int parse_integer(const std::string& text, int line) {
  int base = 10;
  size_t i = 0;
  if (text.size() > 2 && text[0] == '0') {
    char kind = static_cast<char>(text[1] | 32);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10) i = 2;
  }
  Int value = 0;
  constexpr Int kLimit = Int{1} << 120;
  for (; i < text.size(); ++i) {
    char c = static_cast<char>(text[i] | 32);
    value = value * base + (c >= 'a' ? c - 'a' + 10 : c - '0');
    if (value > kLimit) throw TemplateError(ErrorType::kSyntax, "the integer is too large", line);
  }
  return value;
}

}  // namespace

Parser::Nesting::Nesting(Parser& p) : parser(p) {
  if (++parser.depth_ > kMaxNesting) parser.fail("the template is nested too deeply");
}

Expr* Parser::make(ExprType type, int line) {
  Expr& node = ast_->exprs.emplace_back();
  node.type = type;
  node.line = line;
  return &node;
}

Expr* Parser::make_binary(ExprType type, int line, Expr* a, Expr* b) {
  Expr* node = make(type, line);
  node->a = a;
  node->b = b;
  return node;
}

Expr* Parser::parse_expression(bool with_conditional) {
  Nesting nesting(*this);
  return with_conditional ? parse_conditional() : parse_or();
}

Expr* Parser::parse_conditional() {
  Nesting nesting(*this);
  int line = current().line;
  size_t unknown = unknown_.size();
  Expr* value = parse_or();
  while (skip_name("if")) {
    Expr* node = make(ExprType::kConditional, line);
    node->a = value;
    node->b = parse_or();
    if (skip_name("else")) node->c = parse_conditional();
    value = node;
    line = current().line;
    forget_unknown(unknown);
  }
  return value;
}

Expr* Parser::parse_or() {
  int line = current().line;
  Expr* left = parse_and();
  while (skip_name("or")) left = make_binary(ExprType::kOr, line, left, parse_and());
  return left;
}

Expr* Parser::parse_and() {
  int line = current().line;
  Expr* left = parse_not();
  while (skip_name("and")) left = make_binary(ExprType::kAnd, line, left, parse_not());
  return left;
}

Expr* Parser::parse_not() {
  Nesting nesting(*this);
  int line = current().line;
  if (skip_name("not")) return make_binary(ExprType::kNot, line, parse_not(), nullptr);
  return parse_compare();
}

bool Parser::parse_compare_operator(CompareOp& op) {
  static const std::pair<std::string_view, CompareOp> kOperators[] = {
      {"==", CompareOp::kEq}, {"!=", CompareOp::kNe}, {"<", CompareOp::kLt},
      {"<=", CompareOp::kLe}, {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
  for (const auto& [text, code] : kOperators) {
    if (!skip_op(text)) continue;
    op = code;
    return true;
  }
  if (skip_name("in")) {
    op = CompareOp::kIn;
    return true;
  }
  if (is_name("not") && ahead().type == TokenType::kName && ahead().text == "in") {
    position_ += 2;
    op = CompareOp::kNotIn;
    return true;
  }
  return false;
}

Expr* Parser::parse_compare() {
  int line = current().line;
  Expr* first = parse_sum();
  Expr* node = nullptr;
  CompareOp op;
  while (parse_compare_operator(op)) {
    if (!node) {
      node = make(ExprType::kCompare, line);
      node->a = first;
    }
    node->operators.push_back(op);
    node->items.push_back(parse_sum());
  }
  return node ? node : first;
}

Expr* Parser::parse_sum() {
  int line = current().line;
  Expr* left = parse_concat();
  while (is_op("+") || is_op("-")) {
    std::string op = take().text;
    left = make_binary(ExprType::kBinary, line, left, parse_concat());
    left->text = op;
  }
  return left;
}

Expr* Parser::parse_concat() {
  int line = current().line;
  Expr* first = parse_product();
  if (!is_op("~")) return first;
  Expr* node = make(ExprType::kConcat, line);
  node->items.push_back(first);
  while (skip_op("~")) node->items.push_back(parse_product());
  return node;
}

Expr* Parser::parse_product() {
  int line = current().line;
  Expr* left = parse_power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    std::string op = take().text;
    left = make_binary(ExprType::kBinary, line, left, parse_power());
    left->text = op;
  }
  return left;
}

// Unlike Python's: ** groups to the left, and unary minus binds tighter.
Expr* Parser::parse_power() {
  int line = current().line;
  Expr* left = parse_unary();
  while (is_op("**")) {
    std::string op = take().text;
    left = make_binary(ExprType::kBinary, line, left, parse_unary());
    left->text = op;
  }
  return left;
}

Expr* Parser::parse_unary(bool with_filter) {
  Nesting nesting(*this);
  int line = current().line;
  Expr* node;
  if (skip_op("-")) {
    node = make_binary(ExprType::kNegative, line, parse_unary(false), nullptr);
  } else if (skip_op("+")) {
    node = make_binary(ExprType::kPositive, line, parse_unary(false), nullptr);
  } else {
    node = parse_primary();
  }
  node = parse_postfix(node);
  return with_filter ? parse_filter_or_test(node) : node;
}

Expr* Parser::parse_name(bool with_namespace) {
  Token token = take();
  Expr* node = make(ExprType::kConstant, token.line);
  if (token.text == "true" || token.text == "True") {
    node->constant = Value::boolean(true);
  } else if (token.text == "false" || token.text == "False") {
    node->constant = Value::boolean(false);
  } else if (token.text != "none" && token.text != "None") {
    node->type = ExprType::kName;
    node->symbol = ast_->intern(token.text);
    if (with_namespace && skip_op(".")) {
      node->type = ExprType::kNamespaceRef;
      node->text = expect(TokenType::kName, "name").text;
    }
    caller_uses_ += token.text == "caller";
    kwargs_uses_ += token.text == "kwargs";
    varargs_uses_ += token.text == "varargs";
  }
  return node;
}

Expr* Parser::parse_number() {
  Token token = take();
  Expr* node = make(ExprType::kConstant, token.line);
  node->constant = token.type == TokenType::kInteger
                       ? Value::integer(parse_integer(token.text, token.line))
                       : Value::real(std::strtod(token.text.c_str(), nullptr));
  return node;
}

Expr* Parser::parse_primary(bool with_namespace) {
  int line = current().line;
  switch (current().type) {
    case TokenType::kName: return parse_name(with_namespace);
    case TokenType::kInteger:
    case TokenType::kFloat: return parse_number();
    case TokenType::kString: {
      std::string text;
      while (is(TokenType::kString)) text += take().text;
      Expr* node = make(ExprType::kConstant, line);
      node->constant = Value::string(std::move(text));
      return node;
    }
    default: break;
  }
  if (skip_op("(")) {
    Expr* node = parse_tuple({.parenthesized = true});
    expect_op(")");
    return node;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  fail("unexpected '" + describe(current()) + "'");
}

Expr* Parser::parse_tuple(const TupleMode& mode) {
  Nesting nesting(*this);
  int line = current().line;
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_op(",");
    if (is(TokenType::kVariableEnd) || is(TokenType::kBlockEnd) || is_op(")") ||
        (!mode.end_name.empty() && is_name(mode.end_name))) {
      break;
    }
    items.push_back(mode.simplified ? parse_primary(mode.with_namespace)
                                    : parse_expression(mode.with_conditional));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && !mode.parenthesized) {
    fail("Expected an expression, got '" + describe(current()) + "'");
  }
  Expr* node = make(ExprType::kTuple, line);
  node->items = std::move(items);
  return node;
}

Expr* Parser::parse_list() {
  Expr* node = make(ExprType::kList, current().line);
  expect_op("[");
  while (!is_op("]")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("]")) break;
    node->items.push_back(parse_expression());
  }
  expect_op("]");
  return node;
}

Expr* Parser::parse_dict() {
  Expr* node = make(ExprType::kDict, current().line);
  expect_op("{");
  while (!is_op("}")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("}")) break;
    node->items.push_back(parse_expression());
    expect_op(":");
    node->items.push_back(parse_expression());
  }
  expect_op("}");
  return node;
}

Expr* Parser::parse_postfix(Expr* node) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      node = parse_subscript(node);
    } else if (is_op("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

Expr* Parser::parse_filter_or_test(Expr* node) {
  while (true) {
    if (is_op("|")) {
      node = parse_filters(node);
    } else if (is_name("is")) {
      node = parse_test(node);
    } else if (is_op("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

Expr* Parser::parse_subscript(Expr* node) {
  Token token = take();
  if (token.text == ".") {
    Token name = take();
    if (name.type == TokenType::kName) {
      Expr* attribute = make_binary(ExprType::kAttribute, token.line, node, nullptr);
      attribute->text = name.text;
      return attribute;
    }
    if (name.type != TokenType::kInteger) fail("expected name or number", name.line);
    Expr* index = make(ExprType::kConstant, name.line);
    index->constant = Value::integer(parse_integer(name.text, name.line));
    return make_binary(ExprType::kItem, token.line, node, index);
  }
  std::vector<Expr*> items;
  while (!is_op("]")) {
    if (!items.empty()) expect_op(",");
    items.push_back(parse_subscript_item(node, token.line));
  }
  expect_op("]");
  if (items.size() == 1 && items[0]->type == ExprType::kSlice) return items[0];
  for (Expr* item : items) {
    if (item->type == ExprType::kSlice) fail("slices in tuples are not supported", token.line);
  }
  if (items.size() == 1) return make_binary(ExprType::kItem, token.line, node, items[0]);
  Expr* tuple = make(ExprType::kTuple, token.line);
  tuple->items = std::move(items);
  return make_binary(ExprType::kItem, token.line, node, tuple);
}

// An index, or a whole kSlice node of `node`.
Expr* Parser::parse_subscript_item(Expr* node, int line) {
  Expr* parts[3] = {nullptr, nullptr, nullptr};
  if (!is_op(":")) {
    parts[0] = parse_expression();
    if (!is_op(":")) return parts[0];
  }
  for (int i = 1; i < 3 && skip_op(":"); ++i) {
    if (!is_op(":") && !is_op("]") && !is_op(",")) parts[i] = parse_expression();
  }
  Expr* slice = make_binary(ExprType::kSlice, line, node, nullptr);
  slice->items.assign(parts, parts + 3);
  return slice;
}

void Parser::parse_named_argument(CallArguments& arguments) {
  std::string name = take().text;
  expect_op("=");
  for (const auto& [other, value] : arguments.named) {
    if (other == name) fail("keyword argument repeated: " + name);
  }
  arguments.named.emplace_back(std::move(name), parse_expression());
}

CallArguments Parser::parse_call_arguments() {
  CallArguments arguments;
  expect_op("(");
  bool needs_comma = false;
  auto ensure = [&](bool valid) {
    if (!valid) fail("invalid syntax for function call expression");
  };
  while (!is_op(")")) {
    if (needs_comma) {
      expect_op(",");
      if (is_op(")")) break;
    }
    needs_comma = true;
    if (skip_op("*")) {
      ensure(!arguments.star && !arguments.double_star);
      arguments.star = parse_expression();
    } else if (skip_op("**")) {
      ensure(!arguments.double_star);
      arguments.double_star = parse_expression();
    } else if (is(TokenType::kName) && ahead().type == TokenType::kOperator &&
               ahead().text == "=") {
      ensure(!arguments.double_star);
      parse_named_argument(arguments);
    } else {
      ensure(!arguments.star && !arguments.double_star && arguments.named.empty());
      arguments.positional.push_back(parse_expression());
    }
  }
  expect_op(")");
  return arguments;
}

Expr* Parser::parse_call(Expr* node) {
  Nesting nesting(*this);
  Expr* call = make_binary(ExprType::kCall, current().line, node, nullptr);
  call->arguments = parse_call_arguments();
  return call;
}

std::string Parser::parse_dotted_name() {
  std::string name = expect(TokenType::kName, "name").text;
  while (skip_op(".")) name += "." + expect(TokenType::kName, "name").text;
  return name;
}

Expr* Parser::parse_filters(Expr* node, bool start_inline) {
  while (is_op("|") || start_inline) {
    if (!start_inline) take();
    start_inline = false;
    int line = current().line;
    std::string name = parse_dotted_name();
    if (!filter_exists(name)) unknown_.push_back({"No filter named '" + name + "'.", line, false});
    Expr* filter = make_binary(ExprType::kFilter, line, node, nullptr);
    filter->text = std::move(name);
    if (is_op("(")) filter->arguments = parse_call_arguments();
    node = filter;
  }
  return node;
}

Expr* Parser::parse_test(Expr* node) {
  int line = take().line;
  bool negated = skip_name("not");
  std::string name = parse_dotted_name();
  if (!test_exists(name)) unknown_.push_back({"No test named '" + name + "'.", line, false});
  Expr* test = make_binary(ExprType::kTest, line, node, nullptr);
  test->text = std::move(name);
  bool starts_value = is(TokenType::kName) || is(TokenType::kString) || is(TokenType::kInteger) ||
                      is(TokenType::kFloat) || is_op("[") || is_op("{");
  if (is_op("(")) {
    test->arguments = parse_call_arguments();
  } else if (starts_value && !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail("You cannot chain multiple tests with is");
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  return negated ? make_binary(ExprType::kNot, line, test, nullptr) : test;
}

}  // namespace mica::jinja
