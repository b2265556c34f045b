// Values of any type, enumerations and arrays.
#include <algorithm>

#include "base/error.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxRules = 20'000;

}  // namespace

ExprId SchemaCompiler::run() {
  const ExprId out = value({&document_});
  // Bodies are made one after the other, not inside each other: references may chain far.
  while (!bodies_.empty()) {
    const auto [flat, rule] = *bodies_.back();
    bodies_.pop_back();
    const ExprId body = flat_body(flat);
    grammar_.rules[static_cast<size_t>(rule)].body = body;
  }
  return grammar_.call(grammar_.add_rule("#", out));
}

ExprId SchemaCompiler::value(const Schemas& schemas) {
  std::vector<ExprId> out;
  for (const Flat& flat : expand(schemas)) out.push_back(flat_value(flat));
  return grammar_.choice(std::move(out));
}

ExprId SchemaCompiler::flat_value(const Flat& flat) {
  if (flat.schemas.empty() && flat.types == kAnyType) return json_.any_value();
  const auto it = rules_.find(flat);
  if (it != rules_.end()) return grammar_.call(it->second);
  if (rules_.size() > kMaxRules)
    fail(document_, "", fmt::format("more than {} combinations of schemas", kMaxRules));
  const std::string name = flat.schemas.empty() ? "" : pointers_[flat.schemas[0]];
  const int32_t rule = grammar_.add_rule("#" + name);
  bodies_.push_back(rules_.emplace(flat, rule).first);
  return grammar_.call(rule);
}

bool SchemaCompiler::has_values(const Flat& flat) {
  return std::any_of(flat.schemas.begin(), flat.schemas.end(), [](const Json* schema) {
    return schema->contains("enum") || schema->contains("const");
  });
}

// The values of the first enumeration that satisfy everything else too.
std::vector<Json> SchemaCompiler::values(const Flat& flat) {
  std::vector<Json> all, out;
  for (const Json* schema : flat.schemas) {
    if (const Json* constant = keyword(*schema, "const")) {
      all = {*constant};
      break;
    }
    if (const Json* list = keyword(*schema, "enum")) {
      all.assign(list->begin(), list->end());
      break;
    }
  }
  for (const Json& value : all)
    if (satisfies_all(value, flat)) out.push_back(value);
  return out;
}

ExprId SchemaCompiler::flat_body(const Flat& flat) {
  std::vector<ExprId> out;
  if (has_values(flat)) {
    for (const Json& value : values(flat)) out.push_back(json_.literal(value));
    return grammar_.choice(std::move(out));
  }
  if (flat.types & kObject) out.push_back(object(flat));
  if (flat.types & kArray) out.push_back(array(flat));
  if (flat.types & kString) out.push_back(string(flat));
  if (flat.types & kNumber) out.push_back(number(flat));
  if (flat.types & kBoolean) {
    out.push_back(grammar_.bytes("true"));
    out.push_back(grammar_.bytes("false"));
  }
  if (flat.types & kNull) out.push_back(grammar_.bytes("null"));
  return grammar_.choice(std::move(out));
}

ArrayShape SchemaCompiler::array_shape(const Flat& flat) const {
  ArrayShape shape;
  for (const Json* schema : flat.schemas) {
    if (keyword(*schema, "minItems")) shape.min = std::max(shape.min, count(*schema, "minItems"));
    if (keyword(*schema, "maxItems")) {
      const int64_t max = count(*schema, "maxItems");
      shape.max = shape.max == kNoMaximum ? max : std::min(shape.max, max);
    }
    for (const char* key : {"prefixItems", "items"}) {
      const Json* list = keyword(*schema, key);
      if (list && list->is_array()) shape.prefix = std::max(shape.prefix, list->size());
    }
    if (shape.min > kMaxCount)
      fail(*schema, "minItems", fmt::format("more than {} is not supported", kMaxCount));
  }
  if (shape.max != kNoMaximum) shape.max = std::min(shape.max, std::max(kMaxCount, shape.min));
  return shape;
}

// The schemas of the item at a position. `items` as a list is prefixItems of older drafts, and
// additionalItems what follows it.
Schemas SchemaCompiler::item(const Flat& flat, size_t position) const {
  Schemas out;
  for (const Json* schema : flat.schemas) {
    const Json* prefix = keyword(*schema, "prefixItems");
    const Json* rest = keyword(*schema, "items");
    if (rest && rest->is_array()) {
      prefix = rest;
      rest = keyword(*schema, "additionalItems");
    }
    if (prefix && !prefix->is_array()) fail(*schema, "prefixItems", "expected a list of schemas");
    if (prefix && position < prefix->size())
      out.push_back(&(*prefix)[position]);
    else if (rest)
      out.push_back(rest);
  }
  return out;
}

ExprId SchemaCompiler::array(const Flat& flat) {
  const ArrayShape shape = array_shape(flat);
  const bool may_be_empty = shape.min == 0;
  if (shape.max != kNoMaximum && shape.max < shape.min) return grammar_.nothing();
  if (shape.max == 0) return grammar_.sequence({grammar_.bytes("["), json_.space(), grammar_.bytes("]")});
  const size_t own = std::max<size_t>(shape.prefix, 1);
  if (own > kMaxCount) fail(*flat.schemas[0], "prefixItems", "too long");
  Machine machine;
  machine.accepting.assign(own + 2, false);
  for (size_t i = 0; i < own; i++) {
    if (shape.max != kNoMaximum && static_cast<int64_t>(i) >= shape.max) break;
    const ExprId one = value(item(flat, i));
    machine.edges.push_back({static_cast<int32_t>(i), static_cast<int32_t>(i + 1),
                             i ? grammar_.sequence({json_.comma(), one}) : one});
    machine.accepting[i + 1] = static_cast<int64_t>(i + 1) >= shape.min;
  }
  const auto done = static_cast<int64_t>(own);
  if (shape.max == kNoMaximum || shape.max > done) {
    const ExprId next = grammar_.sequence({json_.comma(), value(item(flat, own))});
    const auto least = static_cast<int32_t>(std::max<int64_t>(1, shape.min - done));
    const auto most =
        shape.max == kNoMaximum ? kNoMaximum : static_cast<int32_t>(shape.max - done);
    machine.edges.push_back({static_cast<int32_t>(own), static_cast<int32_t>(own + 1),
                             grammar_.repeat(next, least, most)});
    machine.accepting[own + 1] = true;
  }
  const ExprId items = grammar_.machine(std::move(machine));
  return json_.list('[', items, may_be_empty, ']');
}

ExprId add_json_schema(Grammar& grammar, JsonText& json, std::string_view schema,
                       const SchemaOptions& options) {
  return SchemaCompiler(grammar, json, schema, options).run();
}

Grammar parse_json_schema(std::string_view schema, const SchemaOptions& options) {
  Grammar grammar;
  grammar.source = "[json schema]";
  JsonText json(grammar, options.any_whitespace);
  const ExprId root = add_json_schema(grammar, json, schema, options);
  grammar.root = grammar.add_rule("#", root);
  return grammar;
}

}  // namespace mica::grammar
