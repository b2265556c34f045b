// Expressions of the interpreter.
#include <algorithm>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/loop.h"

namespace mica::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  charge_steps(1);
  check_stack();
  line_ = expr.line;
  switch (expr.type) {
    case ExprType::kConstant: return expr.constant;
    case ExprType::kName:
    case ExprType::kNamespaceRef: return evaluate_name(expr.symbol);
    case ExprType::kTuple: return Value::tuple(evaluate_items(expr.items));
    case ExprType::kList: return Value::list(evaluate_items(expr.items));
    case ExprType::kDict: return evaluate_dict(expr);
    case ExprType::kConcat: return evaluate_concat(expr);
    case ExprType::kConditional:
      if (truthy(evaluate(*expr.b))) return evaluate(*expr.a);
      if (expr.c) return evaluate(*expr.c);
      return Value::undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    case ExprType::kOr: {
      Value left = evaluate(*expr.a);
      return truthy(left) ? left : evaluate(*expr.b);
    }
    case ExprType::kAnd: {
      Value left = evaluate(*expr.a);
      return truthy(left) ? evaluate(*expr.b) : left;
    }
    case ExprType::kNot: return Value::boolean(!truthy(evaluate(*expr.a)));
    case ExprType::kNegative: return negate(evaluate(*expr.a), true);
    case ExprType::kPositive: return negate(evaluate(*expr.a), false);
    case ExprType::kBinary: {
      Value left = evaluate(*expr.a);
      Value right = evaluate(*expr.b);
      line_ = expr.line;
      return binary(*this, expr.text, left, right);
    }
    case ExprType::kCompare: return evaluate_compare(expr);
    case ExprType::kAttribute: {
      Value object = evaluate(*expr.a);
      line_ = expr.line;
      return attribute(object, expr.text);
    }
    case ExprType::kItem: {
      Value object = evaluate(*expr.a);
      Value key = evaluate(*expr.b);
      line_ = expr.line;
      return item(object, key);
    }
    case ExprType::kSlice: return evaluate_slice(expr);
    case ExprType::kCall: return evaluate_call(expr, nullptr);
    case ExprType::kFilter: return evaluate_filter(expr, nullptr);
    case ExprType::kTest: {
      Value input = evaluate(*expr.a);
      Arguments arguments = evaluate_arguments(expr.arguments);
      line_ = expr.line;
      return Value::boolean(test(expr.text, input, arguments));
    }
  }
  return Value();
}

Value Interpreter::evaluate_name(Symbol symbol) {
  for (Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    if (Value* value = scope->find(symbol)) return *value;
  }
  const std::string& name = ast_.names[static_cast<size_t>(symbol)];
  auto variable = variables_.find(name);
  if (variable != variables_.end()) return variable->second;
  if (const Value* global = find_global(name)) return *global;
  return undefined_name(symbol);
}

std::vector<Value> Interpreter::evaluate_items(const std::vector<Expr*>& items) {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const Expr* item : items) values.push_back(evaluate(*item));
  return values;
}

Value Interpreter::evaluate_dict(const Expr& expr) {
  std::vector<DictObject::Entry> entries;
  for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    Value key = evaluate(*expr.items[i]);
    entries.emplace_back(std::move(key), evaluate(*expr.items[i + 1]));
  }
  return Value::dict(std::make_shared<DictObject>(std::move(entries)));
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  std::string text;
  for (const Expr* item : expr.items) {
    text += to_str(evaluate(*item));
    if (text.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  charge_bytes(text.size());
  return Value::string(std::move(text));
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.a);
  bool result = true;
  for (size_t i = 0; i < expr.items.size() && result; ++i) {
    Value right = evaluate(*expr.items[i]);
    line_ = expr.line;
    switch (expr.operators[i]) {
      case CompareOp::kEq: result = equals(left, right); break;
      case CompareOp::kNe: result = !equals(left, right); break;
      case CompareOp::kLt: result = compare(left, right, Order::kLess); break;
      case CompareOp::kLe: result = compare(left, right, Order::kLessEqual); break;
      case CompareOp::kGt: result = compare(left, right, Order::kGreater); break;
      case CompareOp::kGe: result = compare(left, right, Order::kGreaterEqual); break;
      case CompareOp::kIn: result = contains(*this, right, left); break;
      case CompareOp::kNotIn: result = !contains(*this, right, left); break;
    }
    left = std::move(right);
  }
  return Value::boolean(result);
}

Value Interpreter::evaluate_slice(const Expr& expr) {
  Value object = evaluate(*expr.a);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.items[i]) parts[i] = evaluate(*expr.items[i]);
  }
  line_ = expr.line;
  return slice(*this, object, parts[0], parts[1], parts[2]);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments) {
  Arguments out;
  out.positional = evaluate_items(arguments.positional);
  if (arguments.star) {
    std::vector<Value> more = to_vector(*this, evaluate(*arguments.star));
    out.positional.insert(out.positional.end(), more.begin(), more.end());
  }
  for (const auto& [name, expr] : arguments.named) out.named.emplace_back(name, evaluate(*expr));
  if (!arguments.double_star) return out;
  Value mapping = evaluate(*arguments.double_star);
  if (!mapping.is(Kind::kDict)) {
    raise(ErrorType::kType, "argument after ** must be a mapping, not {}", type_name(mapping));
  }
  for (const auto& [key, value] : mapping.dict_object().entries()) {
    if (!key.is_string()) raise(ErrorType::kType, "keywords must be strings");
    for (const auto& [name, other] : out.named) {
      if (name == key.text()) raise(ErrorType::kType, "got multiple values for '{}'", name);
    }
    out.named.emplace_back(key.text(), value);
  }
  return out;
}

Value Interpreter::evaluate_call(const Expr& expr, const Value* caller) {
  Value callee = evaluate(*expr.a);
  Arguments arguments = evaluate_arguments(expr.arguments);
  if (caller) {
    for (const auto& [name, value] : arguments.named) {
      if (name == "caller") raise(ErrorType::kType, "got multiple values for 'caller'");
    }
    arguments.named.emplace_back("caller", *caller);
  }
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) raise_undefined(callee);
  if (!callee.is(Kind::kObject) || !callee.callable_object().callable()) {
    raise(ErrorType::kType, "'{}' object is not callable", type_name(callee));
  }
  return callee.callable_object().call(*this, arguments);
}

// With `input` the chain `expr` has no first operand: it is a filter block's.
Value Interpreter::evaluate_filter(const Expr& expr, const Value* input) {
  check_stack();
  Value value = !expr.a                             ? *input
                : expr.a->type == ExprType::kFilter ? evaluate_filter(*expr.a, input)
                                                    : evaluate(*expr.a);
  Arguments arguments = evaluate_arguments(expr.arguments);
  line_ = expr.line;
  return filter(expr.text, value, arguments);
}

Value Interpreter::filter(const std::string& name, const Value& input, const Arguments& arguments) {
  charge_steps(1);
  FilterBody body = find_filter(name);
  if (!body) raise(ErrorType::kRuntime, "No filter named '{}'.", name);
  return body(*this, input, arguments);
}

bool Interpreter::test(const std::string& name, const Value& input, const Arguments& arguments) {
  charge_steps(1);
  TestBody body = find_test(name);
  if (!body) raise(ErrorType::kRuntime, "No test named '{}'.", name);
  return body(*this, input, arguments);
}

namespace {

// obj[key] of Python; false for TypeError and LookupError.
bool subscript(const Value& object, const Value& key, Value& out) {
  if (object.is(Kind::kDict)) {
    if (key.is(Kind::kList) || key.is(Kind::kDict) || key.is(Kind::kDictView)) return false;
    const Value* found = nullptr;
    try {
      found = object.dict_object().find(key);
    } catch (const TemplateError& error) {
      if (error.type != ErrorType::kType) throw;
    }
    if (found) out = *found;
    return found != nullptr;
  }
  bool is_indexed = object.is_sequence() || object.is_string() || object.is(Kind::kRange);
  if (!is_indexed || !key.is_integral()) return false;
  Int size = length_of(object);
  Int index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
  if (index < 0 || index >= size) return false;
  if (object.is_sequence()) {
    out = object.items()[static_cast<size_t>(index)];
  } else if (object.is(Kind::kRange)) {
    out = Value::integer(object.range().start + object.range().step * index);
  } else {
    return false;  // strings: the caller slices
  }
  return true;
}

}  // namespace

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is_undefined()) raise_undefined(object);
  Value out;
  if (subscript(object, key, out)) return out;
  if (object.is_string() && key.is_integral()) {
    Int size = length_of(object);
    Int index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
    if (index >= 0 && index < size) {
      return slice(*this, object, Value::integer(index), Value::integer(index + 1), Value());
    }
  }
  if (key.is_string() && builtin_attribute(*this, object, key.text(), out)) return out;
  std::string name = key.is_string() ? key.text() : to_repr(key);
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", type_name(object), name.substr(0, 200)));
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) return undefined_attribute(object, name);
  Value out;
  if (builtin_attribute(*this, object, name, out)) return out;
  if (object.is(Kind::kDict)) {
    if (const Value* found = object.dict_object().find(std::string_view(name))) return *found;
  }
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", type_name(object), name));
}

}  // namespace mica::jinja
