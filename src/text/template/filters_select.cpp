// map, select, reject, selectattr, rejectattr: lazy, as in jinja2.
#include <algorithm>
#include <utility>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/lookup.h"

namespace mica::jinja {

Lookup::Lookup(const Value& path, Value otherwise) : otherwise_(std::move(otherwise)) {
  if (path.is_none()) return;
  if (!path.is_string()) {
    parts_.push_back(path);
    return;
  }
  const std::string& text = path.text();
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find('.', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    bool is_number =
        !part.empty() && part.size() < 10 &&
        std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    parts_.push_back(is_number ? Value::integer(std::stoi(part)) : Value::string(part));
    begin = end + 1;
  }
}

Value Lookup::operator()(Interpreter& interpreter, Value item) const {
  for (const Value& part : parts_) {
    interpreter.charge_steps(1);
    item = interpreter.item(item, part);
    if (item.is_undefined() && !otherwise_.is_none()) item = otherwise_;
  }
  return item;
}

std::vector<Lookup> split_lookups(const Value& paths) {
  std::vector<Lookup> lookups;
  if (!paths.is_string()) {
    lookups.emplace_back(paths);
    return lookups;
  }
  const std::string& text = paths.text();
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    lookups.emplace_back(Value::string(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lookups;
}

namespace {

// What is left of `arguments` behind the first `count` positional ones.
Arguments rest_of(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() +
                            static_cast<std::ptrdiff_t>(std::min(count, rest.positional.size())));
  return rest;
}

using Transform = std::function<Value(Interpreter&, const Value&)>;

Transform map_function(const Arguments& arguments) {
  if (arguments.positional.empty() && !arguments.named.empty()) {
    Bound bound = bind("map", arguments, {"attribute", "default"}, 0);
    if (!bound.has(0)) raise(ErrorType::kValue, "map requires a filter argument");
    Lookup lookup(bound[0], bound[1]);
    return [lookup](Interpreter& i, const Value& item) { return lookup(i, item); };
  }
  if (arguments.positional.empty()) raise(ErrorType::kValue, "map requires a filter argument");
  Value name = arguments.positional[0];
  Arguments rest = rest_of(arguments, 1);
  return [name, rest](Interpreter& i, const Value& item) {
    return i.filter(require_string(name), item, rest);
  };
}

// Finds its function at the first item, as a Python generator does.
Value map(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  if (!truthy(input)) return Value::generator([](Value&) { return false; }, Value());
  Transform transform;
  IteratorPtr items;
  Interpreter* owner = &interpreter;
  return Value::generator(
      [owner, input, arguments, transform, items](Value& out) mutable {
        if (!transform) {
          transform = map_function(arguments);
          items = iterate(input);
        }
        Value item;
        if (!items->next(item)) return false;
        owner->charge_steps(1);
        out = transform(*owner, item);
        return true;
      },
      input);
}

using Predicate = std::function<bool(Interpreter&, const Value&)>;

Predicate select_function(const Arguments& arguments, bool by_attribute) {
  Lookup lookup{Value()};
  size_t offset = by_attribute ? 1 : 0;
  if (by_attribute) {
    if (arguments.positional.empty()) {
      raise(ErrorType::kValue, "Missing parameter for attribute name");
    }
    lookup = Lookup(arguments.positional[0]);
  }
  if (arguments.positional.size() <= offset) {
    return [lookup](Interpreter& i, const Value& item) { return truthy(lookup(i, item)); };
  }
  Value name = arguments.positional[offset];
  Arguments rest = rest_of(arguments, offset + 1);
  return [lookup, name, rest](Interpreter& i, const Value& item) {
    return i.test(require_string(name), lookup(i, item), rest);
  };
}

template <bool by_attribute, bool wanted>
Value select(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  if (!truthy(input)) return Value::generator([](Value&) { return false; }, Value());
  Predicate predicate;
  IteratorPtr items;
  Interpreter* owner = &interpreter;
  return Value::generator(
      [owner, input, arguments, predicate, items](Value& out) mutable {
        if (!predicate) {
          predicate = select_function(arguments, by_attribute);
          items = iterate(input);
        }
        while (items->next(out)) {
          owner->charge_steps(1);
          if (predicate(*owner, out) == wanted) return true;
        }
        return false;
      },
      input);
}

constexpr FilterEntry kFilters[] = {
    {"map", map},
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
};

}  // namespace

FilterBody find_select_filter(std::string_view name) {
  for (const FilterEntry& entry : kFilters) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja
