// Truth, equality, order, membership, length and iteration of values, as Python defines them.
#include <algorithm>
#include <bit>
#include <cmath>

#include "text/template/interpreter.h"
#include "text/template/unicode.h"
#include "text/template/value.h"

namespace mica::jinja {
namespace {

const DictViewObject& view_of(const Value& value) {
  return static_cast<const DictViewObject&>(*value.pointer());
}

bool ordered(int sign, Order order) {
  switch (order) {
    case Order::kLess: return sign < 0;
    case Order::kGreater: return sign > 0;
    case Order::kLessEqual: return sign <= 0;
    default: return sign >= 0;
  }
}

bool compare_doubles(double a, double b, Order order) {
  if (std::isnan(a) || std::isnan(b)) return false;
  return ordered(a < b ? -1 : a > b, order);
}

const char* symbol(Order order) {
  switch (order) {
    case Order::kLess: return "<";
    case Order::kGreater: return ">";
    case Order::kLessEqual: return "<=";
    default: return ">=";
  }
}

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
  return a.as_double() == b.as_double();
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!is_same(a[i], b[i]) && !equals(a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(const DictObject& a, const DictObject& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (!other || !equals(value, *other)) return false;
  }
  return true;
}

// Keys and items compare as sets, values only with themselves.
bool equal_views(const DictViewObject& a, const DictViewObject& b) {
  if (&a == &b) return true;
  if (a.part != b.part || a.part == DictPart::kValues) return false;
  const DictObject& left = a.dict.dict_object();
  const DictObject& right = b.dict.dict_object();
  if (a.part == DictPart::kItems) return equal_dicts(left, right);
  if (left.entries().size() != right.entries().size()) return false;
  return std::all_of(left.entries().begin(), left.entries().end(),
                     [&](const auto& entry) { return right.find(entry.first) != nullptr; });
}

bool equal_ranges(const RangeObject& a, const RangeObject& b) {
  if (a.size() != b.size()) return false;
  return a.size() == 0 || (a.start == b.start && (a.size() == 1 || a.step == b.step));
}

}  // namespace

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool:
    case Kind::kInt: return value.as_int() != 0;
    case Kind::kFloat: return value.as_double() != 0;
    case Kind::kString: return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple: return !value.items().empty();
    case Kind::kDict: return !value.dict_object().entries().empty();
    case Kind::kRange: return value.range().size() != 0;
    case Kind::kDictView: return !view_of(value).dict.dict_object().entries().empty();
    default: return true;
  }
}

bool is_same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.pointer() || b.pointer()) {
    // Equal short strings and the empty tuple are the same object in CPython.
    if (a.is_string()) return a.pointer() == b.pointer() || a.text() == b.text();
    return a.pointer() == b.pointer();
  }
  if (a.is_integral()) return a.as_int() == b.as_int();
  if (a.is(Kind::kFloat))
    return std::bit_cast<uint64_t>(a.as_double()) == std::bit_cast<uint64_t>(b.as_double());
  return true;
}

bool equals(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString: return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: return a.pointer() == b.pointer() || equal_items(a.items(), b.items());
    case Kind::kDict: return equal_dicts(a.dict_object(), b.dict_object());
    case Kind::kRange: return equal_ranges(a.range(), b.range());
    case Kind::kDictView: return equal_views(view_of(a), view_of(b));
    default: return a.pointer() == b.pointer();
  }
}

size_t hash_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return 7;
    case Kind::kNone: return 13;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat: return std::hash<double>()(value.as_double() + 0.0);
    case Kind::kString: return std::hash<std::string_view>()(value.text());
    case Kind::kTuple: {
      size_t hash = 0x345678;
      for (const Value& item : value.items()) hash = hash * 1000003 ^ hash_of(item);
      return hash;
    }
    case Kind::kRange: return std::hash<double>()(static_cast<double>(value.range().size()));
    case Kind::kDictView:
      if (view_of(value).part == DictPart::kValues)
        return std::hash<const void*>()(value.pointer().get());
      [[fallthrough]];
    case Kind::kList:
    case Kind::kDict: raise(ErrorType::kType, "unhashable type: '{}'", type_name(value));
    default: return std::hash<const void*>()(value.pointer().get());
  }
}

bool compare(const Value& a, const Value& b, Order order) {
  if (a.is_integral() && b.is_integral()) {
    return ordered(a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int(), order);
  }
  if (a.is_number() && b.is_number()) return compare_doubles(a.as_double(), b.as_double(), order);
  // UTF-8 bytes order as code points do.
  if (a.is_string() && b.is_string()) return ordered(a.text().compare(b.text()), order);
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto& x = a.items();
    const auto& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!is_same(x[i], y[i]) && !equals(x[i], y[i])) return compare(x[i], y[i], order);
    }
    return ordered(x.size() < y.size() ? -1 : x.size() > y.size(), order);
  }
  if (a.is_undefined()) raise_undefined(a);
  if (b.is_undefined()) raise_undefined(b);
  raise(ErrorType::kType, "'{}' not supported between instances of '{}' and '{}'", symbol(order),
        type_name(a), type_name(b));
}

bool contains(Interpreter& interpreter, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string()) {
        raise(ErrorType::kType, "'in <string>' requires string as left operand, not {}",
              type_name(item));
      }
      interpreter.charge_bytes(container.text().size());
      return container.text().find(item.text()) != std::string::npos;
    case Kind::kDict: return container.dict_object().find(item) != nullptr;
    case Kind::kRange: {
      const RangeObject& range = container.range();
      if (!item.is_number()) return false;
      double number = item.as_double();
      if (item.is(Kind::kFloat) && (number != std::floor(number) || std::fabs(number) > 1e30)) {
        return false;
      }
      Int wanted = item.is_integral() ? item.as_int() : static_cast<Int>(number);
      Int index = (wanted - range.start) / range.step;
      return index >= 0 && index < range.size() && range.start + index * range.step == wanted;
    }
    case Kind::kDictView:
      if (view_of(container).part == DictPart::kKeys) {
        return view_of(container).dict.dict_object().find(item) != nullptr;
      }
      break;
    default: break;
  }
  if (!is_iterable(container)) {
    raise(ErrorType::kType, "argument of type '{}' is not iterable", type_name(container));
  }
  IteratorPtr iterator = iterate(container);
  Value candidate;
  while (iterator->next(candidate)) {
    interpreter.charge_steps(1);
    if (is_same(candidate, item) || equals(candidate, item)) return true;
  }
  return false;
}

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kDictView: return true;
    default: return false;
  }
}

Int length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return 0;
    case Kind::kString: {
      const StringObject& string = value.string_object();
      return static_cast<Int>(string.ascii ? string.text.size() : count_code_points(string.text));
    }
    case Kind::kList:
    case Kind::kTuple: return static_cast<Int>(value.items().size());
    case Kind::kDict: return static_cast<Int>(value.dict_object().entries().size());
    case Kind::kRange: return value.range().size();
    case Kind::kDictView:
      return static_cast<Int>(view_of(value).dict.dict_object().entries().size());
    default: raise(ErrorType::kType, "object of type '{}' has no len()", type_name(value));
  }
}

bool is_iterable(const Value& value) {
  return value.is(Kind::kIterator) || has_length(value);
}

IteratorPtr iterate(const Value& value) {
  auto counted = [&](size_t size, auto get) {
    size_t index = 0;
    return std::make_shared<Iterator>(
        [value, size, index, get](Value& out) mutable {
          if (index >= size) return false;
          out = get(value, index++);
          return true;
        },
        value.depth());
  };
  switch (value.kind()) {
    case Kind::kUndefined: return std::make_shared<Iterator>([](Value&) { return false; }, 0);
    case Kind::kString: {
      size_t position = 0;
      return std::make_shared<Iterator>(
          [value, position](Value& out) mutable {
            const std::string& text = value.text();
            if (position >= text.size()) return false;
            size_t bytes = code_point_bytes(text, position);
            out = Value::string(text.substr(position, bytes));  // Markup gives plain characters
            position += bytes;
            return true;
          },
          0);
    }
    case Kind::kList:
    case Kind::kTuple:
      return counted(value.items().size(), [](const Value& v, size_t i) { return v.items()[i]; });
    case Kind::kDict:
      return counted(value.dict_object().entries().size(),
                     [](const Value& v, size_t i) { return v.dict_object().entries()[i].first; });
    case Kind::kDictView:
      return counted(view_of(value).dict.dict_object().entries().size(),
                     [](const Value& v, size_t i) { return view_of(v).at(i); });
    case Kind::kRange:
      return counted(static_cast<size_t>(value.range().size()), [](const Value& v, size_t i) {
        return Value::integer(v.range().start + v.range().step * static_cast<Int>(i));
      });
    case Kind::kIterator: return std::static_pointer_cast<Iterator>(value.pointer());
    default: raise(ErrorType::kType, "'{}' object is not iterable", type_name(value));
  }
}

std::vector<Value> to_vector(Interpreter& interpreter, const Value& value) {
  if (value.is_sequence()) return value.items();
  std::vector<Value> items;
  IteratorPtr iterator = iterate(value);
  Value item;
  while (iterator->next(item)) {
    interpreter.charge_steps(1);
    if (items.size() >= kMaxElements) raise(ErrorType::kLimit, "a list of too many items");
    items.push_back(std::move(item));
  }
  return items;
}

void raise_undefined(const Value& value) {
  raise(value.undefined_object().type, value.undefined_object().message);
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return value.is_markup() ? "Markup" : "str";
    case Kind::kList: return "list";
    case Kind::kTuple: return "tuple";
    case Kind::kDict: return "dict";
    case Kind::kRange: return "range";
    case Kind::kDictView: return "dict_view";
    case Kind::kIterator: return value.iterator().name;
    case Kind::kNamespace: return "Namespace";
    default: return "object";
  }
}

}  // namespace mica::jinja
