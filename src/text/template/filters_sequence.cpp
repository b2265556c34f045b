// Filters on sequences and mappings.
#include <algorithm>
#include <random>

#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/lookup.h"
#include "text/template/loop.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

Value fold_case(const Value& value) {
  return value.is_string() ? Value::string(to_lower(value.text())) : value;
}

Value default_value(Interpreter&, const Value& input, const Arguments& arguments) {
  Bound bound = bind("default", arguments, {"default_value", "boolean"}, 0);
  bool use = input.is_undefined() || (bound.flag(1, false) && !truthy(input));
  if (!use) return input;
  return bound.has(0) ? bound[0] : Value::string("");
}

Value length(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("length", arguments, {}, 0);
  Value of_loop;
  if (input.is(Kind::kObject) && dynamic_cast<LoopObject*>(&input.callable_object()) &&
      input.callable_object().attribute(interpreter, "length", of_loop)) {
    return of_loop;
  }
  return Value::integer(length_of(input));
}

Value first(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("first", arguments, {}, 0);
  Value item;
  if (iterate(input)->next(item)) return item;
  return Value::undefined("No first item, sequence was empty.");
}

// Items from the end; generators and what has no order from behind raise TypeError.
std::vector<Value> reversed(Interpreter& interpreter, const Value& input) {
  if (input.is(Kind::kIterator) || !is_iterable(input)) {
    raise(ErrorType::kType, "'{}' object is not reversible", type_name(input));
  }
  std::vector<Value> items = to_vector(interpreter, input);
  std::reverse(items.begin(), items.end());
  return items;
}

Value last(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("last", arguments, {}, 0);
  if (input.is_sequence() && !input.items().empty()) return input.items().back();
  if (input.is_string() && !input.text().empty())
    return slice(interpreter, input, Value::integer(-1), Value(), Value());
  std::vector<Value> items = reversed(interpreter, input);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.front();
}

Value reverse(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("reverse", arguments, {}, 0);
  if (input.is_string()) {
    return slice(interpreter, input, Value(), Value(), Value::integer(-1));
  }
  if (!is_iterable(input)) raise(ErrorType::kValue, "argument must be iterable");
  if (input.is(Kind::kIterator)) {
    std::vector<Value> items = to_vector(interpreter, input);
    std::reverse(items.begin(), items.end());
    return Value::list(std::move(items));
  }
  Value items = Value::list(reversed(interpreter, input));
  IteratorPtr iterator = iterate(items);
  return Value::generator([iterator](Value& out) { return iterator->next(out); }, items,
                          "reversed");
}

Value list(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  bind("list", arguments, {}, 0);
  return Value::list(to_vector(interpreter, input));
}

Value items(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("items", arguments, {}, 0);
  bool started = false;
  IteratorPtr inner;
  return Value::generator(
      [input, started, inner](Value& out) mutable {
        if (!started) {
          started = true;
          if (input.is_undefined()) return false;
          if (!input.is(Kind::kDict)) {
            raise(ErrorType::kType, "Can only get item pairs from a mapping.");
          }
          inner = iterate(Value::object(Kind::kDictView,
                                        std::make_shared<DictViewObject>(input, DictPart::kItems)));
        }
        return inner && inner->next(out);
      },
      input);
}

Value join(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("join", arguments, {"d", "attribute"}, 0);
  std::string separator = bound.has(0) ? to_str(bound[0]) : "";
  Lookup lookup(bound.has(1) ? bound[1] : Value());
  std::string out;
  bool is_first = true;
  IteratorPtr iterator = iterate(input);
  Value item;
  while (iterator->next(item)) {
    if (!is_first) out += separator;
    is_first = false;
    out += to_str(lookup(interpreter, item));
    interpreter.charge_steps(1);
    if (out.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
  }
  interpreter.charge_bytes(out.size());
  return Value::string(std::move(out));
}

// Stable, by keys that are compared as Python does; both directions keep equal items in order.
void sort_by_keys(Interpreter& interpreter, std::vector<std::pair<Value, Value>>& keyed,
                  bool reverse) {
  interpreter.charge_steps(keyed.size());
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    interpreter.charge_steps(1);
    return reverse ? compare(b.first, a.first, Order::kLess)
                   : compare(a.first, b.first, Order::kLess);
  });
}

Value dictsort(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  std::string by = bound.has(1) ? to_str(bound[1]) : "key";
  if (by != "key" && by != "value") {
    raise(ErrorType::kValue, "You can only sort by either \"key\" or \"value\"");
  }
  if (input.is_undefined()) raise_undefined(input);
  if (!input.is(Kind::kDict)) raise(ErrorType::kType, "dictsort needs a mapping");
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : input.dict_object().entries()) {
    const Value& part = by == "key" ? key : value;
    keyed.emplace_back(bound.flag(0, false) ? part : fold_case(part), Value::tuple({key, value}));
  }
  sort_by_keys(interpreter, keyed, bound.integer(2, 0) != 0);
  std::vector<Value> out;
  for (auto& [key, pair] : keyed) out.push_back(std::move(pair));
  return Value::list(std::move(out));
}

Value sort(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  std::vector<Lookup> lookups = split_lookups(bound[2]);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : to_vector(interpreter, input)) {
    std::vector<Value> keys;
    for (const Lookup& lookup : lookups) {
      Value key = lookup(interpreter, item);
      keys.push_back(bound.flag(1, false) ? key : fold_case(key));
    }
    keyed.emplace_back(Value::list(std::move(keys)), item);
  }
  sort_by_keys(interpreter, keyed, bound.integer(0, 0) != 0);
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return Value::list(std::move(out));
}

Value unique(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("unique", arguments, {"case_sensitive", "attribute"}, 0);
  Lookup lookup(bound[1]);
  std::vector<DictObject::Entry> entries;
  std::vector<Value> all = to_vector(interpreter, input);
  std::vector<Value> out;
  for (const Value& item : all) {
    Value key = lookup(interpreter, item);
    entries.emplace_back(bound.flag(0, false) ? key : fold_case(key),
                         Value::integer(static_cast<Int>(entries.size())));
  }
  // The first of equal keys: built from the end, the earliest wins.
  std::reverse(entries.begin(), entries.end());
  DictObject first_of(entries);
  std::reverse(entries.begin(), entries.end());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (first_of.find(entries[i].first)->as_int() == static_cast<Int>(i)) out.push_back(all[i]);
  }
  Value kept = Value::list(std::move(out));
  IteratorPtr iterator = iterate(kept);
  return Value::generator([iterator](Value& next) { return iterator->next(next); }, kept);
}

template <bool greatest>
Value extreme(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind(greatest ? "max" : "min", arguments, {"case_sensitive", "attribute"}, 0);
  Lookup lookup(bound[1]);
  IteratorPtr iterator = iterate(input);
  Value item, best, best_key;
  bool any = false;
  while (iterator->next(item)) {
    interpreter.charge_steps(1);
    Value key = lookup(interpreter, item);
    if (!bound.flag(0, false)) key = fold_case(key);
    if (any && !compare(key, best_key, greatest ? Order::kGreater : Order::kLess)) continue;
    any = true;
    best = item;
    best_key = key;
  }
  return any ? best : Value::undefined("No aggregated item, sequence was empty.");
}

Value sum(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("sum", arguments, {"attribute", "start"}, 0);
  Lookup lookup(bound[0]);
  Value total = bound.has(1) ? bound[1] : Value::integer(0);
  if (total.is_string()) raise(ErrorType::kType, "sum() can't sum strings");
  IteratorPtr iterator = iterate(input);
  Value item;
  while (iterator->next(item)) {
    interpreter.charge_steps(1);
    total = binary(interpreter, "+", total, lookup(interpreter, item));
  }
  return total;
}

Value groupby(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  Lookup lookup(bound[0], bound[1]);
  bool case_sensitive = bound.flag(2, false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : to_vector(interpreter, input)) {
    Value key = lookup(interpreter, item);
    keyed.emplace_back(case_sensitive ? key : fold_case(key), item);
  }
  sort_by_keys(interpreter, keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    std::vector<Value> members;
    size_t begin = i;
    for (; i < keyed.size() && equals(keyed[i].first, keyed[begin].first); ++i) {
      members.push_back(keyed[i].second);
    }
    Value key = lookup(interpreter, members[0]);
    auto group = std::make_shared<ListObject>(std::vector<Value>{key, Value::list(members)});
    group->is_group = true;
    groups.push_back(Value::object(Kind::kTuple, group));
    if (i == begin) raise(ErrorType::kValue, "a group key is not equal to itself");
  }
  return Value::list(std::move(groups));
}

Value generator_of(std::vector<Value> items) {
  Value all = Value::list(std::move(items));
  IteratorPtr iterator = iterate(all);
  return Value::generator([iterator](Value& out) { return iterator->next(out); }, all);
}

Value batch(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("batch", arguments, {"linecount", "fill_with"}, 1);
  std::vector<Value> rows;
  std::vector<Value> row;
  Int count = require_int(bound[0]);
  for (const Value& item : to_vector(interpreter, input)) {
    if (static_cast<Int>(row.size()) == count) rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (count > static_cast<Int>(kMaxElements)) raise(ErrorType::kLimit, "the batch is too large");
    while (!bound[1].is_none() && static_cast<Int>(row.size()) < count) row.push_back(bound[1]);
    rows.push_back(Value::list(std::move(row)));
  }
  return generator_of(std::move(rows));
}

Value slice_filter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("slice", arguments, {"slices", "fill_with"}, 1);
  std::vector<Value> all = to_vector(interpreter, input);
  Int slices = require_int(bound[0]);
  if (slices == 0) raise(ErrorType::kZeroDivision, "integer division or modulo by zero");
  if (slices > 100000) raise(ErrorType::kLimit, "too many slices");
  Int size = static_cast<Int>(all.size());
  std::vector<Value> out;
  Int begin = 0;
  for (Int i = 0; i < slices; ++i) {
    Int end = begin + size / slices + (i < size % slices ? 1 : 0);
    std::vector<Value> part(all.begin() + static_cast<std::ptrdiff_t>(begin),
                            all.begin() + static_cast<std::ptrdiff_t>(end));
    if (!bound[1].is_none() && i >= size % slices) part.push_back(bound[1]);
    out.push_back(Value::list(std::move(part)));
    begin = end;
  }
  interpreter.charge_steps(out.size());
  return generator_of(std::move(out));
}

Value random(Interpreter&, const Value& input, const Arguments& arguments) {
  bind("random", arguments, {}, 0);
  Int size = length_of(input);
  if (size == 0) return Value::undefined("No random item, sequence was empty.");
  thread_local std::mt19937_64 engine{std::random_device{}()};
  Int wanted = std::uniform_int_distribution<int64_t>(0, static_cast<int64_t>(size) - 1)(engine);
  if (input.is(Kind::kDict) || input.is(Kind::kDictView)) {
    raise(ErrorType::kType, "'{}' object has no order", type_name(input));
  }
  IteratorPtr iterator = iterate(input);
  Value item;
  for (Int i = 0; i <= wanted; ++i) iterator->next(item);
  return item;
}

Value attr(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Bound bound = bind("attr", arguments, {"name"}, 1);
  const std::string& name = require_string(bound[0]);
  bool is_special = name.starts_with("__") && name.ends_with("__");
  if (input.is_undefined() && !is_special) raise_undefined(input);
  Value out;
  if (builtin_attribute(interpreter, input, name, out)) return out;
  return Value::undefined(fmt::format("'{}' object has no attribute '{}'", type_name(input), name));
}

constexpr FilterEntry kFilters[] = {
    {"default", default_value},
    {"d", default_value},
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"reverse", reverse},
    {"list", list},
    {"items", items},
    {"join", join},
    {"dictsort", dictsort},
    {"sort", sort},
    {"unique", unique},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"sum", sum},
    {"groupby", groupby},
    {"batch", batch},
    {"slice", slice_filter},
    {"random", random},
    {"attr", attr},
};

}  // namespace

FilterBody find_sequence_filter(std::string_view name) {
  for (const FilterEntry& entry : kFilters) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja
