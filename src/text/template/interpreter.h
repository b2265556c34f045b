// Executes a syntax tree. One interpreter serves one render.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/template/ast.h"
#include "text/template/value.h"

namespace mica::jinja {

// Local time as strftime_now sees it.
struct ClockTime {
  int64_t unix_seconds = 0;
  int microseconds = 0;
};

struct Limits {
  size_t output_bytes = size_t{16} << 20;
  size_t value_bytes = size_t{256} << 20;  // live values
  uint64_t steps = 100'000'000;            // about: nodes evaluated + bytes handled / 16
  size_t stack_bytes = size_t{3} << 20;    // of the calling thread
  int calls = 190;                         // nested macros and recursive loops
};

using Variables = std::unordered_map<std::string, Value>;

// The variables of one frame. Assignments never reach an outer scope.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> p) : parent(std::move(p)) {}
  Value* find(Symbol symbol);
  void set(Symbol symbol, Value value);
  std::vector<std::pair<Symbol, Value>> variables;
  std::shared_ptr<Scope> parent;
};
using ScopePtr = std::shared_ptr<Scope>;

class LoopObject;

class Interpreter {
 public:
  Interpreter(const Ast& ast, Variables variables, const Limits& limits,
              std::function<ClockTime()> clock);
  ~Interpreter();
  std::string render();  // once; TemplateError has the line

  // For filters, tests and methods.
  void charge_steps(uint64_t steps) {
    if (steps > steps_left_) raise(ErrorType::kLimit, "the template takes too many steps");
    steps_left_ -= steps;
  }
  void charge_bytes(size_t bytes) { charge_steps(bytes / 16 + 1); }
  Value call(const Value& callee, Arguments& arguments);
  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& key);
  Value filter(const std::string& name, const Value& input, const Arguments& arguments);
  bool test(const std::string& name, const Value& input, const Arguments& arguments);
  ClockTime now() const { return clock_(); }

  // For macros and recursive loops.
  Value call_macro(const Stmt& macro, const ScopePtr& scope, const std::string& name,
                   Arguments& arguments);
  std::string run_loop(const Stmt& loop, const ScopePtr& scope, const Value& iterable, Int depth0);

  // What may be part of a reference cycle is emptied when the interpreter goes.
  void keep(std::shared_ptr<NamespaceObject> space) { namespaces_.push_back(std::move(space)); }
  void keep(std::shared_ptr<LoopObject> loop) { loops_.push_back(std::move(loop)); }

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };
  struct CallGuard {
    explicit CallGuard(Interpreter& i);
    ~CallGuard() { ++interpreter.calls_left_; }
    Interpreter& interpreter;
  };
  struct ScopeGuard {
    ScopeGuard(Interpreter& i, ScopePtr scope);
    ~ScopeGuard() { interpreter.scope_ = std::move(previous); }
    Interpreter& interpreter;
    ScopePtr previous;
  };
  struct Capture {  // redirects the output
    explicit Capture(Interpreter& i);
    ~Capture();
    std::string take();
    Interpreter& interpreter;
    std::string text;
    std::string* previous;
  };

  // Statements.
  Flow execute(const Body& body);
  Flow execute(const Stmt& statement);
  Flow execute_for(const Stmt& statement);
  Flow iterate_for(const Stmt& statement, LoopObject* loop, Iterator& items, bool& completed);
  Flow execute_if(const Stmt& statement);
  Flow execute_set_block(const Stmt& statement);
  Flow execute_filter_block(const Stmt& statement);
  Flow execute_with(const Stmt& statement);
  void execute_call_block(const Stmt& statement);
  void execute_generation(const Stmt& statement);
  void execute_set(const Stmt& statement);
  Flow execute_loop(const Stmt& statement, const Value& iterable, Int depth0);
  IteratorPtr loop_items(const Stmt& statement, const Value& iterable);
  void emit(std::string_view text);
  void define_macro(const Stmt& statement);
  Value make_macro(const Stmt& statement, std::string name);
  void bind_macro_arguments(const Stmt& macro, const std::string& name, Arguments& arguments);
  void check_namespaces(const Expr& target);
  void assign(const Expr& target, const Value& value);
  // A frame, in which the names `unset` are undefined at first.
  ScopePtr make_scope(ScopePtr parent, const std::vector<Symbol>& unset);
  ScopePtr inner_scope(const std::vector<Symbol>& unset) { return make_scope(scope_, unset); }
  ScopePtr block_scope(const Scope* visible, const std::vector<Symbol>& unset);
  const Value& unset_value(Symbol symbol);
  Value undefined_name(Symbol symbol) const;

  // Expressions.
  Value evaluate(const Expr& expr);
  Value evaluate_name(Symbol symbol);
  Value evaluate_dict(const Expr& expr);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_compare(const Expr& expr);
  Value evaluate_slice(const Expr& expr);
  Value evaluate_call(const Expr& expr, const Value* caller);
  Value evaluate_filter(const Expr& expr, const Value* input);
  std::vector<Value> evaluate_items(const std::vector<Expr*>& items);
  Arguments evaluate_arguments(const CallArguments& arguments);
  void check_stack() const;

  const Ast& ast_;
  Variables variables_;
  Limits limits_;
  std::function<ClockTime()> clock_;
  uint64_t steps_left_;
  int calls_left_;
  const char* stack_base_ = nullptr;
  int line_ = 0;
  size_t buffered_ = 0;  // bytes in all output buffers
  std::string output_;
  std::string* out_ = &output_;
  ScopePtr root_;
  ScopePtr scope_;
  std::unordered_map<Symbol, Value> unset_values_;
  std::vector<ScopePtr> captured_;  // scopes that a macro holds
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;
  std::vector<std::shared_ptr<LoopObject>> loops_;
};

// Operators of operators.cpp.
Value binary(Interpreter& interpreter, const std::string& op, const Value& a, const Value& b);
Value negate(const Value& value, bool negative);
Value slice(Interpreter& interpreter, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// Methods of built-in types (methods.cpp): false when the type has no such attribute.
bool builtin_attribute(Interpreter& interpreter, const Value& object, const std::string& name,
                       Value& out);
// `name` of an undefined value: raises, except that Python's own names give an unusable value.
Value undefined_attribute(const Value& object, const std::string& name);
// Functions that every template sees (globals.cpp), null when there is none of the name.
const Value* find_global(const std::string& name);

}  // namespace mica::jinja
