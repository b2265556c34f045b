#include "text/template/loop.h"

#include <utility>

#include "text/template/arguments.h"

namespace mica::jinja {
namespace {

// loop.cycle and loop.changed.
class LoopMethod : public CallableObject {
 public:
  using Body = std::function<Value(Interpreter&, Arguments&)>;
  explicit LoopMethod(Body body) : body_(std::move(body)) {}
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return body_(interpreter, arguments);
  }
  std::string repr() const override { return "<bound method of LoopContext>"; }

 private:
  Body body_;
};

}  // namespace

LoopObject::LoopObject(Value iterable, bool filtered, IteratorPtr items, const Stmt* recursive,
                       ScopePtr scope, Int depth0)
    : iterable_(std::move(iterable)),
      filtered_(filtered),
      items_(std::move(items)),
      recursive_(recursive),
      scope_(std::move(scope)),
      depth0_(depth0) {
  depth = items_->depth;
}

bool LoopObject::peek(Value& out) {
  if (!has_after_) has_after_ = items_->next(after_);
  if (has_after_) out = after_;
  return has_after_;
}

bool LoopObject::next(Value& out) {
  Value item;
  if (has_after_) {
    item = std::move(after_);
    has_after_ = false;
  } else if (!items_->next(item)) {
    return false;
  }
  ++index0_;
  before_ = std::move(current_);
  current_ = item;
  out = std::move(item);
  return true;
}

Int LoopObject::length(Interpreter& interpreter) {
  if (length_ >= 0) return length_;
  if (!filtered_ && has_length(iterable_)) return length_ = length_of(iterable_);
  std::vector<Value> rest = to_vector(interpreter, Value::object(Kind::kIterator, items_));
  length_ = static_cast<Int>(rest.size()) + index0_ + 1 + (has_after_ ? 1 : 0);
  items_ = iterate(Value::list(std::move(rest)));
  return length_;
}

Value LoopObject::cycle(const Arguments& arguments) const {
  if (!arguments.named.empty()) raise(ErrorType::kType, "cycle() takes no keyword arguments");
  if (arguments.positional.empty()) raise(ErrorType::kType, "no items for cycling given");
  return arguments.positional[static_cast<size_t>(index0_) % arguments.positional.size()];
}

Value LoopObject::changed(Interpreter& interpreter, const Arguments& arguments) {
  if (!arguments.named.empty()) raise(ErrorType::kType, "changed() takes no keyword arguments");
  Value value = Value::tuple(arguments.positional);
  if (has_changed_ && equals(value, last_changed_)) return Value::boolean(false);
  if (!has_changed_) interpreter.keep(shared_from_this());
  has_changed_ = true;
  last_changed_ = std::move(value);
  return Value::boolean(true);
}

Value LoopObject::call(Interpreter& interpreter, Arguments& arguments) {
  if (!recursive_) {
    raise(ErrorType::kType, "The loop must have the 'recursive' marker to be called recursively.");
  }
  Bound bound = bind("loop", arguments, {"iterable"}, 1);
  return Value::string(interpreter.run_loop(*recursive_, scope_, bound[0], depth0_ + 1));
}

bool LoopObject::attribute(Interpreter& interpreter, const std::string& name, Value& out) {
  auto method = [&](LoopMethod::Body body) {
    out = Value::object(Kind::kObject, std::make_shared<LoopMethod>(std::move(body)));
  };
  auto self = shared_from_this();
  if (name == "index") {
    out = Value::integer(index0_ + 1);
  } else if (name == "index0") {
    out = Value::integer(index0_);
  } else if (name == "revindex") {
    out = Value::integer(length(interpreter) - index0_);
  } else if (name == "revindex0") {
    out = Value::integer(length(interpreter) - index0_ - 1);
  } else if (name == "first") {
    out = Value::boolean(index0_ == 0);
  } else if (name == "last") {
    Value after;
    out = Value::boolean(!peek(after));
  } else if (name == "length") {
    out = Value::integer(length(interpreter));
  } else if (name == "depth") {
    out = Value::integer(depth0_ + 1);
  } else if (name == "depth0") {
    out = Value::integer(depth0_);
  } else if (name == "previtem") {
    out = index0_ == 0 ? Value::undefined("there is no previous item") : before_;
  } else if (name == "nextitem") {
    if (!peek(out)) out = Value::undefined("there is no next item");
  } else if (name == "cycle") {
    method([self](Interpreter&, Arguments& a) { return self->cycle(a); });
  } else if (name == "changed") {
    method([self](Interpreter& i, Arguments& a) { return self->changed(i, a); });
  } else {
    return false;
  }
  return true;
}

}  // namespace mica::jinja
