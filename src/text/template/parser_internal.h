// The recursive-descent parser behind parser.h: expressions in parser_expressions.cpp, statements
// in parser.cpp.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/template/ast.h"
#include "text/template/lexer.h"

namespace mica::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens);
  std::unique_ptr<Ast> run();

 private:
  using Names = std::initializer_list<std::string_view>;
  // Bounds the recursion of the parser itself.
  struct Nesting {
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser.depth_; }
    Parser& parser;
  };

  // Tokens.
  const Token& current() const { return tokens_[position_]; }
  const Token& ahead() const {
    return tokens_[position_ + 1 < tokens_.size() ? position_ + 1 : position_];
  }
  Token take();
  bool is(TokenType type) const { return current().type == type; }
  bool is_name(std::string_view name) const;
  bool is_op(std::string_view op) const;
  bool skip_name(std::string_view name);
  bool skip_op(std::string_view op);
  Token expect(TokenType type, const char* what);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  [[noreturn]] void fail(const std::string& message, int line = 0) const;

  // Expressions.
  Expr* make(ExprType type, int line);
  Expr* make_binary(ExprType type, int line, Expr* a, Expr* b);
  Expr* parse_expression(bool with_conditional = true);
  Expr* parse_conditional();
  Expr* parse_or();
  Expr* parse_and();
  Expr* parse_not();
  Expr* parse_compare();
  bool parse_compare_operator(CompareOp& op);
  Expr* parse_sum();
  Expr* parse_concat();
  Expr* parse_product();
  Expr* parse_power();
  Expr* parse_unary(bool with_filter = true);
  Expr* parse_primary(bool with_namespace = false);
  Expr* parse_name(bool with_namespace);
  Expr* parse_number();
  struct TupleMode {
    bool simplified = false;  // only names and literals, for targets
    bool with_conditional = true;
    bool parenthesized = false;
    bool with_namespace = false;
    std::string_view end_name = {};
  };
  Expr* parse_tuple(const TupleMode& mode);
  Expr* parse_list();
  Expr* parse_dict();
  Expr* parse_postfix(Expr* node);
  Expr* parse_filter_or_test(Expr* node);
  Expr* parse_subscript(Expr* node);
  Expr* parse_subscript_item(Expr* node, int line);
  CallArguments parse_call_arguments();
  void parse_named_argument(CallArguments& arguments);
  Expr* parse_call(Expr* node);
  Expr* parse_filters(Expr* node, bool start_inline = false);
  Expr* parse_test(Expr* node);
  std::string parse_dotted_name();

  // Statements.
  Body parse_body(Names ends);  // up to and without the tag that names one of `ends`
  Body subparse(Names ends);
  Stmt* make_stmt(StmtType type, int line);
  Stmt* parse_statement();
  Stmt* parse_for(int line);
  Stmt* parse_if(int line);
  Stmt* parse_set(int line);
  Stmt* parse_with(int line);
  Stmt* parse_macro(int line);
  Stmt* parse_call_block(int line);
  Stmt* parse_filter_block(int line);
  Stmt* parse_block(int line);
  Stmt* parse_autoescape(int line);
  Stmt* parse_generation(int line);
  Stmt* parse_loader_statement(const std::string& name, int line);
  void parse_print(Body& out);
  void parse_signature(Signature& signature);
  Body parse_function_body(Signature& signature, Names ends);
  Expr* parse_target(std::string_view end_name, bool with_namespace, bool is_parameter);
  Symbol parse_name_target();
  void check_target(const Expr* target, bool is_parameter);

  // Names of filters and tests that do not exist are an error of the template, except in an
  // `if`, where only their use is one.
  struct Unknown {
    std::string message;
    int line;
    bool certain;
  };
  void forget_unknown(size_t from);
  void confirm_unknown(size_t from);

  std::unique_ptr<Ast> ast_ = std::make_unique<Ast>();
  std::vector<Token> tokens_;
  size_t position_ = 0;
  int depth_ = 0;
  int loops_ = 0;       // `for` bodies around, for `break` and `continue`
  int loop_names_ = 0;  // `for` statements around: `loop` can't be assigned there
  int caller_uses_ = 0, kwargs_uses_ = 0, varargs_uses_ = 0;
  std::vector<Unknown> unknown_;
};

bool filter_exists(const std::string& name);
bool test_exists(const std::string& name);

}  // namespace mica::jinja
