// Statements. Expressions are in evaluate.cpp.
#include "text/template/interpreter.h"

#include <algorithm>

#include "text/template/arguments.h"
#include "text/template/loop.h"

namespace mica::jinja {
namespace {

class MacroObject : public CallableObject {
 public:
  MacroObject(const Stmt& macro, ScopePtr scope, std::string name, std::vector<Value> arguments)
      : macro_(macro),
        scope_(std::move(scope)),
        name_(std::move(name)),
        arguments_(std::move(arguments)) {}
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return interpreter.call_macro(macro_, scope_, name_, arguments);
  }
  bool attribute(Interpreter&, const std::string& name, Value& out) override {
    if (name == "name") out = name_.empty() ? Value() : Value::string(name_);
    if (name == "arguments") out = Value::tuple(arguments_);
    if (name == "caller") out = Value::boolean(macro_.signature.uses_caller);
    if (name == "catch_kwargs") out = Value::boolean(macro_.signature.uses_kwargs);
    if (name == "catch_varargs") out = Value::boolean(macro_.signature.uses_varargs);
    return name == "name" || name == "arguments" || name == "caller" || name == "catch_kwargs" ||
           name == "catch_varargs";
  }
  std::string repr() const override {
    return "<Macro " + (name_.empty() ? "anonymous" : string_repr(name_)) + ">";
  }

 private:
  const Stmt& macro_;
  ScopePtr scope_;
  std::string name_;
  std::vector<Value> arguments_;  // their names
};

// The argument of this name, taken out of `arguments`.
bool take_named(Arguments& arguments, std::string_view name, Value& out) {
  for (auto it = arguments.named.begin(); it != arguments.named.end(); ++it) {
    if (it->first != name) continue;
    out = std::move(it->second);
    arguments.named.erase(it);
    return true;
  }
  return false;
}

Value dict_of(std::vector<std::pair<std::string, Value>> named) {
  std::vector<DictObject::Entry> entries;
  for (auto& [name, value] : named) entries.emplace_back(Value::string(name), std::move(value));
  return Value::dict(std::make_shared<DictObject>(std::move(entries)));
}

}  // namespace

Value* Scope::find(Symbol symbol) {
  for (auto& [name, value] : variables) {
    if (name == symbol) return &value;
  }
  return nullptr;
}

void Scope::set(Symbol symbol, Value value) {
  if (Value* existing = find(symbol)) {
    *existing = std::move(value);
  } else {
    variables.emplace_back(symbol, std::move(value));
  }
}

Interpreter::CallGuard::CallGuard(Interpreter& i) : interpreter(i) {
  if (--i.calls_left_ < 0) {
    ++i.calls_left_;
    raise(ErrorType::kLimit, "macros or recursive loops call each other too deeply");
  }
}

Interpreter::ScopeGuard::ScopeGuard(Interpreter& i, ScopePtr scope)
    : interpreter(i), previous(std::move(i.scope_)) {
  i.scope_ = std::move(scope);
}

Interpreter::Capture::Capture(Interpreter& i) : interpreter(i), previous(i.out_) {
  i.out_ = &text;
}

Interpreter::Capture::~Capture() {
  interpreter.out_ = previous;
  interpreter.buffered_ -= std::min(interpreter.buffered_, text.size());
}

std::string Interpreter::Capture::take() {
  interpreter.buffered_ -= std::min(interpreter.buffered_, text.size());
  return std::move(text);
}

Interpreter::Interpreter(const Ast& ast, Variables variables, const Limits& limits,
                         std::function<ClockTime()> clock)
    : ast_(ast),
      variables_(std::move(variables)),
      limits_(limits),
      clock_(std::move(clock)),
      steps_left_(limits.steps),
      calls_left_(limits.calls),
      root_(std::make_shared<Scope>(nullptr)),
      scope_(root_) {}

Interpreter::~Interpreter() {
  // Everything is still held while it is emptied, so that long chains are freed without recursion.
  for (auto& loop : loops_) loop->clear();
  for (auto& space : namespaces_) space->attributes.clear();
  for (auto& scope : captured_) scope->variables.clear();
}

std::string Interpreter::render() {
  stack_base_ = static_cast<const char*>(__builtin_frame_address(0));
  try {
    for (Symbol symbol : ast_.unset) root_->set(symbol, unset_value(symbol));
    execute(ast_.body);
  } catch (TemplateError& error) {
    if (error.line == 0) error.line = line_;
    throw;
  }
  return std::move(output_);
}

ScopePtr Interpreter::make_scope(ScopePtr parent, const std::vector<Symbol>& unset) {
  auto scope = std::make_shared<Scope>(std::move(parent));
  for (Symbol symbol : unset) scope->set(symbol, unset_value(symbol));
  return scope;
}

// What a block sees: what the request gave and what has been assigned, not what is unset.
ScopePtr Interpreter::block_scope(const Scope* visible, const std::vector<Symbol>& unset) {
  ScopePtr scope = make_scope(nullptr, unset);
  for (; visible; visible = visible->parent.get()) {
    for (const auto& [symbol, value] : visible->variables) {
      charge_steps(1);
      if (scope->find(symbol) || value.pointer() == unset_value(symbol).pointer()) continue;
      scope->set(symbol, value);
    }
  }
  return scope;
}

const Value& Interpreter::unset_value(Symbol symbol) {
  Value& value = unset_values_[symbol];
  if (!value.is_undefined()) value = undefined_name(symbol);
  return value;
}

Value Interpreter::undefined_name(Symbol symbol) const {
  return Value::undefined("'" + ast_.names[static_cast<size_t>(symbol)] + "' is undefined");
}

void Interpreter::check_stack() const {
  const char* here = static_cast<const char*>(__builtin_frame_address(0));
  if (static_cast<size_t>(stack_base_ - here) > limits_.stack_bytes) {
    raise(ErrorType::kLimit, "the template nests too deeply");
  }
}

void Interpreter::emit(std::string_view text) {
  charge_bytes(text.size());
  buffered_ += text.size();
  if (buffered_ > limits_.output_bytes) {
    raise(ErrorType::kLimit, "the output is longer than {} bytes", limits_.output_bytes);
  }
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  check_stack();
  for (const Stmt* statement : body) {
    Flow flow = execute(*statement);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Stmt& statement) {
  charge_steps(1);
  line_ = statement.line;
  switch (statement.type) {
    case StmtType::kData: emit(statement.text); break;
    case StmtType::kPrint: emit(to_str(evaluate(*statement.expr))); break;
    case StmtType::kSet: execute_set(statement); break;
    case StmtType::kSetBlock: return execute_set_block(statement);
    case StmtType::kFor: return execute_for(statement);
    case StmtType::kIf: return execute_if(statement);
    case StmtType::kMacro: define_macro(statement); break;
    case StmtType::kCallBlock: execute_call_block(statement); break;
    case StmtType::kFilterBlock: return execute_filter_block(statement);
    case StmtType::kWith: return execute_with(statement);
    case StmtType::kScope: {
      if (truthy(evaluate(*statement.expr))) {
        raise(ErrorType::kRuntime, "autoescape is not supported");
      }
      ScopeGuard guard(*this, inner_scope(statement.unset));
      return execute(statement.body);
    }
    case StmtType::kGeneration: execute_generation(statement); break;
    case StmtType::kBlock: {
      ScopeGuard guard(*this,
                       block_scope((statement.scoped ? scope_ : root_).get(), statement.unset));
      execute(statement.body);
      break;
    }
    case StmtType::kBreak: return Flow::kBreak;
    case StmtType::kContinue: return Flow::kContinue;
    case StmtType::kFail: raise(ErrorType::kType, statement.text);
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (truthy(evaluate(*condition))) return execute(body);
  }
  return execute(statement.otherwise);
}

void Interpreter::execute_set(const Stmt& statement) {
  check_namespaces(*statement.target);
  assign(*statement.target, evaluate(*statement.expr));
}

void Interpreter::check_namespaces(const Expr& target) {
  for (const Expr* item : target.items) check_namespaces(*item);
  if (target.type == ExprType::kNamespaceRef &&
      !evaluate_name(target.symbol).is(Kind::kNamespace)) {
    raise(ErrorType::kRuntime, "cannot assign attribute on non-namespace object");
  }
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (target.type == ExprType::kName) {
    scope_->set(target.symbol, value);
    return;
  }
  if (target.type == ExprType::kNamespaceRef) {
    if (target.text.starts_with('_')) {
      raise(ErrorType::kSecurity, "namespaces can't store '{}'", target.text);
    }
    Value space = evaluate_name(target.symbol);
    auto& object = static_cast<NamespaceObject&>(*space.pointer());
    if (Value* existing = object.find(target.text)) {
      *existing = value;
    } else {
      if (object.attributes.size() > 10000) raise(ErrorType::kLimit, "a namespace is too large");
      object.attributes.emplace_back(target.text, value);
    }
    return;
  }
  std::vector<Value> items = to_vector(*this, value);
  if (items.size() != target.items.size()) {
    raise(ErrorType::kValue, "{} values to unpack (expected {}, got {})",
          items.size() > target.items.size() ? "too many" : "not enough", target.items.size(),
          items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i]);
}

Interpreter::Flow Interpreter::execute_set_block(const Stmt& statement) {
  Value value;
  {
    ScopeGuard guard(*this, inner_scope(statement.unset));
    Capture capture(*this);
    Flow flow = execute(statement.body);
    if (flow != Flow::kNormal) return flow;
    value = Value::string(capture.take());
    if (statement.expr) value = evaluate_filter(*statement.expr, &value);
  }
  check_namespaces(*statement.target);
  assign(*statement.target, value);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_filter_block(const Stmt& statement) {
  Value value;
  {
    ScopeGuard guard(*this, inner_scope(statement.unset));
    Capture capture(*this);
    Flow flow = execute(statement.body);
    if (flow != Flow::kNormal) return flow;
    value = Value::string(capture.take());
    value = evaluate_filter(*statement.expr, &value);
  }
  if (!value.is_string()) {
    raise(ErrorType::kType, "a filter block needs text, not {}", type_name(value));
  }
  emit(value.text());
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_with(const Stmt& statement) {
  ScopePtr scope = inner_scope(statement.unset);
  for (const auto& [target, expr] : statement.bindings) {
    Value value = evaluate(*expr);
    ScopeGuard guard(*this, scope);
    assign(*target, value);
  }
  ScopeGuard guard(*this, scope);
  return execute(statement.body);
}

// The items of the loop that pass its condition, lazily as in jinja2: the body may change what
// the condition sees.
IteratorPtr Interpreter::loop_items(const Stmt& statement, const Value& iterable) {
  IteratorPtr items = iterate(iterable);
  if (!statement.condition) return items;
  ScopePtr outer = scope_;
  auto next = [this, &statement, items, outer](Value& out) {
    while (items->next(out)) {
      charge_steps(1);
      ScopeGuard guard(*this, std::make_shared<Scope>(outer));
      assign(*statement.target, out);
      if (truthy(evaluate(*statement.condition))) return true;
    }
    return false;
  };
  return std::make_shared<Iterator>(next, items->depth);
}

Interpreter::Flow Interpreter::execute_for(const Stmt& statement) {
  Value iterable = evaluate(*statement.expr);
  if (statement.recursive) {
    emit(run_loop(statement, scope_, iterable, 0));
    return Flow::kNormal;
  }
  return execute_loop(statement, iterable, 0);
}

std::string Interpreter::run_loop(const Stmt& statement, const ScopePtr& scope,
                                  const Value& iterable, Int depth0) {
  CallGuard calls(*this);
  ScopeGuard guard(*this, scope);
  Capture capture(*this);
  execute_loop(statement, iterable, depth0);
  return capture.take();
}

Interpreter::Flow Interpreter::execute_loop(const Stmt& statement, const Value& iterable,
                                            Int depth0) {
  IteratorPtr items = loop_items(statement, iterable);
  auto loop =
      std::make_shared<LoopObject>(iterable, statement.condition != nullptr, items,
                                   statement.recursive ? &statement : nullptr, scope_, depth0);
  static const std::string kLoop = "loop";
  auto found = ast_.symbols.find(kLoop);
  bool completed = false;
  Value item;
  while (loop->next(item)) {
    charge_steps(1);
    ScopeGuard guard(*this, inner_scope(statement.unset));
    if (found != ast_.symbols.end()) {
      scope_->set(found->second, Value::object(Kind::kObject, loop));
    }
    assign(*statement.target, item);
    Flow flow = execute(statement.body);
    if (flow == Flow::kBreak) break;
    // As in jinja2, an iteration that `continue` leaves does not count against `else`.
    if (flow == Flow::kNormal) completed = true;
  }
  if (completed || statement.otherwise.empty()) return Flow::kNormal;
  ScopeGuard guard(*this, inner_scope(statement.unset_otherwise));
  return execute(statement.otherwise);
}

Value Interpreter::make_macro(const Stmt& statement, std::string name) {
  for (ScopePtr scope = scope_; scope; scope = scope->parent) {
    if (!captured_.empty() && captured_.back() == scope) break;
    captured_.push_back(scope);
    charge_steps(100);
  }
  std::vector<Value> arguments;
  for (const auto& parameter : statement.signature.parameters) {
    arguments.push_back(Value::string(ast_.names[static_cast<size_t>(parameter.first)]));
  }
  return Value::object(
      Kind::kObject,
      std::make_shared<MacroObject>(statement, scope_, std::move(name), std::move(arguments)));
}

void Interpreter::define_macro(const Stmt& statement) {
  scope_->set(statement.symbol, make_macro(statement, statement.text));
}

Value Interpreter::call_macro(const Stmt& macro, const ScopePtr& scope, const std::string& name,
                              Arguments& arguments) {
  CallGuard calls(*this);
  ScopeGuard guard(*this, make_scope(scope, macro.unset));
  Capture capture(*this);
  int line = line_;
  bind_macro_arguments(macro, name, arguments);
  execute(macro.body);
  line_ = line;
  return Value::string(capture.take());
}

void Interpreter::bind_macro_arguments(const Stmt& macro, const std::string& name,
                                       Arguments& arguments) {
  const Signature& signature = macro.signature;
  auto& positional = arguments.positional;
  size_t count = signature.parameters.size();
  auto set_special = [&](const char* special, Value value) {
    auto symbol = ast_.symbols.find(special);
    if (symbol != ast_.symbols.end()) scope_->set(symbol->second, std::move(value));
  };
  // Defaults see the other arguments.
  std::vector<const std::pair<Symbol, Expr*>*> missing;
  for (size_t i = 0; i < count; ++i) {
    const auto& parameter = signature.parameters[i];
    const std::string& parameter_name = ast_.names[static_cast<size_t>(parameter.first)];
    Value value;
    if (i < positional.size()) {
      value = positional[i];
    } else if (!take_named(arguments, parameter_name, value)) {
      value = Value::undefined("parameter '" + parameter_name + "' was not provided");
      if (parameter.second) missing.push_back(&parameter);
    }
    scope_->set(parameter.first, std::move(value));
  }
  for (const auto* parameter : missing) scope_->set(parameter->first, evaluate(*parameter->second));
  if (signature.uses_caller) {
    Value caller;
    if (!take_named(arguments, "caller", caller) || caller.is_none()) {
      caller = Value::undefined("No caller defined");
    }
    set_special("caller", caller);
  }
  if (signature.uses_kwargs) {
    set_special("kwargs", dict_of(std::move(arguments.named)));
  } else if (!arguments.named.empty()) {
    raise(ErrorType::kType, "macro '{}' takes no keyword argument '{}'", name,
          arguments.named.front().first);
  }
  if (signature.uses_varargs) {
    auto begin =
        positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, positional.size()));
    set_special("varargs", Value::tuple(std::vector<Value>(begin, positional.end())));
  } else if (positional.size() > count) {
    raise(ErrorType::kType, "macro '{}' takes not more than {} argument(s)", name, count);
  }
}

void Interpreter::execute_call_block(const Stmt& statement) {
  Value caller = make_macro(statement, "");
  emit(to_str(evaluate_call(*statement.expr, &caller)));
}

void Interpreter::execute_generation(const Stmt& statement) {
  Arguments none;
  emit(call_macro(statement, scope_, "", none).text());
}

}  // namespace mica::jinja
