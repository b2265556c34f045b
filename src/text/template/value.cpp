#include "text/template/value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

thread_local MemoryBudget* active_budget = nullptr;

uint32_t deeper(uint32_t depth) {
  if (depth >= kMaxContainerDepth) raise(ErrorType::kLimit, "values are nested too deeply");
  return depth + 1;
}

uint32_t depth_of_items(const std::vector<Value>& items) {
  uint32_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return deeper(depth);
}

}  // namespace

void raise(ErrorType type, const std::string& message) {
  throw TemplateError(type, message);
}

MemoryBudget::MemoryBudget(size_t limit) : outer_(active_budget), limit_(limit) {
  active_budget = this;
}

MemoryBudget::~MemoryBudget() {
  active_budget = outer_;
}

size_t MemoryBudget::charge(size_t bytes) {
  if (!active_budget) return 0;
  if (active_budget->used_ + bytes > active_budget->limit_) {
    raise(ErrorType::kLimit, "the values of the template need more than {} bytes",
          active_budget->limit_);
  }
  active_budget->used_ += bytes;
  return bytes;
}

void MemoryBudget::release(size_t bytes) {
  if (active_budget) active_budget->used_ -= std::min(bytes, active_budget->used_);
}

Object::Object(size_t bytes) : charged_(MemoryBudget::charge(bytes)) {}
Object::~Object() {
  if (charged_) MemoryBudget::release(charged_);
}

StringObject::StringObject(std::string t, bool m)
    : Object(t.size() + 96), text(std::move(t)), ascii(is_ascii(text)), markup(m) {
  if (text.size() > kMaxStringBytes) {
    raise(ErrorType::kLimit, "a string of {} bytes, the limit is {}", text.size(), kMaxStringBytes);
  }
}

ListObject::ListObject(std::vector<Value> v)
    : Object(v.size() * sizeof(Value) + 96), items(std::move(v)) {
  if (items.size() > kMaxElements) raise(ErrorType::kLimit, "a list of {} items", items.size());
  depth = depth_of_items(items);
}
ListObject::~ListObject() = default;

Int RangeObject::size() const {
  if (step > 0) return stop > start ? (stop - start + step - 1) / step : 0;
  return start > stop ? (start - stop - step - 1) / -step : 0;
}

Iterator::Iterator(Next next, uint32_t source_depth, std::string n)
    : Object(160), name(std::move(n)), next_(std::move(next)) {
  depth = deeper(source_depth);
}

bool CallableObject::attribute(Interpreter&, const std::string&, Value&) {
  return false;
}

Value Value::undefined(std::string message, ErrorType type) {
  return object(Kind::kUndefined, std::make_shared<UndefinedObject>(std::move(message), type));
}

Value Value::boolean(bool value) {
  Value v;
  v.kind_ = Kind::kBool;
  v.int_ = value;
  return v;
}

Value Value::integer(Int value) {
  Value v;
  v.kind_ = Kind::kInt;
  v.int_ = value;
  return v;
}

Value Value::real(double value) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.float_ = value;
  return v;
}

Value Value::string(std::string text, bool markup) {
  return object(Kind::kString, std::make_shared<StringObject>(std::move(text), markup));
}

Value Value::list(std::vector<Value> items) {
  return object(Kind::kList, std::make_shared<ListObject>(std::move(items)));
}

Value Value::tuple(std::vector<Value> items) {
  return object(Kind::kTuple, std::make_shared<ListObject>(std::move(items)));
}

Value Value::dict(std::shared_ptr<DictObject> dict) {
  return object(Kind::kDict, std::move(dict));
}

Value Value::object(Kind kind, std::shared_ptr<Object> object) {
  Value v;
  v.kind_ = kind;
  v.object_ = std::move(object);
  return v;
}

Value Value::generator(Iterator::Next next, const Value& source, std::string name) {
  return object(Kind::kIterator,
                std::make_shared<Iterator>(std::move(next), source.depth(), std::move(name)));
}

double Value::as_double() const {
  return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_);
}
const StringObject& Value::string_object() const {
  return static_cast<const StringObject&>(*object_);
}
const std::vector<Value>& Value::items() const {
  return static_cast<const ListObject&>(*object_).items;
}
const DictObject& Value::dict_object() const {
  return static_cast<const DictObject&>(*object_);
}
const RangeObject& Value::range() const {
  return static_cast<const RangeObject&>(*object_);
}
Iterator& Value::iterator() const {
  return static_cast<Iterator&>(*object_);
}
const UndefinedObject& Value::undefined_object() const {
  return static_cast<const UndefinedObject&>(*object_);
}
CallableObject& Value::callable_object() const {
  return static_cast<CallableObject&>(*object_);
}

DictObject::DictObject(std::vector<Entry> entries)
    : Object(entries.size() * (sizeof(Entry) + 24) + 128) {
  if (entries.size() > kMaxElements) raise(ErrorType::kLimit, "a dict of {} items", entries.size());
  size_t capacity = 8;
  while (capacity < entries.size() * 2) capacity *= 2;
  slots_.assign(capacity, 0);
  uint32_t deepest = 0;
  for (Entry& entry : entries) {
    size_t hash = hash_of(entry.first);
    deepest = std::max({deepest, entry.first.depth(), entry.second.depth()});
    size_t slot = locate(entry.first, hash);
    if (slots_[slot]) {
      entries_[slots_[slot] - 1].second = std::move(entry.second);
      continue;
    }
    entries_.push_back(std::move(entry));
    hashes_.push_back(hash);
    slots_[slot] = static_cast<uint32_t>(entries_.size());
  }
  depth = deeper(deepest);
}
DictObject::~DictObject() = default;

size_t DictObject::locate(const Value& key, size_t hash) const {
  size_t mask = slots_.size() - 1;
  size_t slot = (hash * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (slots_[slot]) {
    size_t index = slots_[slot] - 1;
    if (hashes_[index] == hash && equals(entries_[index].first, key)) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

const Value* DictObject::find(const Value& key) const {
  uint32_t index = slots_[locate(key, hash_of(key))];
  return index ? &entries_[index - 1].second : nullptr;
}

const Value* DictObject::find(std::string_view key) const {
  size_t hash = std::hash<std::string_view>()(key);
  size_t mask = slots_.size() - 1;
  size_t slot = (hash * 0x9E3779B97F4A7C15u >> 20) & mask;
  for (; slots_[slot]; slot = (slot + 1) & mask) {
    const Entry& entry = entries_[slots_[slot] - 1];
    if (hashes_[slots_[slot] - 1] == hash && entry.first.is_string() && entry.first.text() == key) {
      return &entry.second;
    }
  }
  return nullptr;
}

Value DictViewObject::at(size_t index) const {
  const DictObject::Entry& entry = dict.dict_object().entries()[index];
  if (part == DictPart::kKeys) return entry.first;
  if (part == DictPart::kValues) return entry.second;
  return Value::tuple({entry.first, entry.second});
}

Value* NamespaceObject::find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

Value from_json(const nlohmann::ordered_json& json, int depth) {
  using Type = nlohmann::ordered_json::value_t;
  if (depth > static_cast<int>(kMaxContainerDepth)) {
    raise(ErrorType::kLimit, "the JSON is nested too deeply");
  }
  switch (json.type()) {
    case Type::null: return Value();
    case Type::boolean: return Value::boolean(json.get<bool>());
    case Type::number_integer: return Value::integer(json.get<int64_t>());
    case Type::number_unsigned: return Value::integer(json.get<uint64_t>());
    case Type::number_float: return Value::real(json.get<double>());
    case Type::string: return Value::string(json.get_ref<const std::string&>());
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Type::object: {
      std::vector<DictObject::Entry> entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(Value::string(key), from_json(item, depth + 1));
      }
      return Value::dict(std::make_shared<DictObject>(std::move(entries)));
    }
    default: raise(ErrorType::kType, "a JSON value of an unknown type");
  }
}

}  // namespace mica::jinja
