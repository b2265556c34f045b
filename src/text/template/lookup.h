// The `attribute` argument of filters: "name", "a.b.0" or a number.
#pragma once

#include <optional>
#include <vector>

#include "text/template/interpreter.h"

namespace mica::jinja {

class Lookup {
 public:
  // None looks nothing up. An undefined part becomes `otherwise` unless that is None.
  explicit Lookup(const Value& path, Value otherwise = Value());
  Value operator()(Interpreter& interpreter, Value item) const;

 private:
  std::vector<Value> parts_;
  Value otherwise_;
};

// "a,b" gives one lookup each.
std::vector<Lookup> split_lookups(const Value& paths);

}  // namespace mica::jinja
