// The `loop` variable of a for statement.
#pragma once

#include <memory>
#include <string>

#include "text/template/interpreter.h"

namespace mica::jinja {

class LoopObject : public CallableObject, public std::enable_shared_from_this<LoopObject> {
 public:
  // `recursive` is the statement to run again on loop(…), null when the loop is not recursive.
  LoopObject(Value iterable, bool filtered, IteratorPtr items, const Stmt* recursive,
             ScopePtr scope, Int depth0);
  bool next(Value& out);
  void clear() { last_changed_ = Value(); }

  Value call(Interpreter& interpreter, Arguments& arguments) override;
  bool attribute(Interpreter& interpreter, const std::string& name, Value& out) override;
  std::string repr() const override { return "<LoopContext>"; }

 private:
  Int length(Interpreter& interpreter);
  bool peek(Value& out);
  Value cycle(const Arguments& arguments) const;
  Value changed(Interpreter& interpreter, const Arguments& arguments);

  Value iterable_;
  bool filtered_;
  IteratorPtr items_;
  const Stmt* recursive_;
  ScopePtr scope_;
  Int depth0_;
  Int index0_ = -1;
  Int length_ = -1;
  bool has_after_ = false;
  Value before_, current_, after_;
  bool has_changed_ = false;
  Value last_changed_;
};

}  // namespace mica::jinja
