// Objects: the properties with names in the order of the schema, then others.
#include <algorithm>

#include "base/error.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxPatterns = 4;  // patternProperties that may hold for one name
constexpr size_t kMaxObjectStates = 50'000;

}  // namespace

// Names in the order in which the schemas list them, then those only required.
ObjectShape SchemaCompiler::object_shape(const Flat& flat) {
  ObjectShape shape;
  std::set<std::string> known;
  const auto add = [&](const std::string& name) {
    if (known.insert(name).second) shape.names.push_back(name);
  };
  bool silent = false, open = options_.open_objects;
  for (const Json* schema : flat.schemas) {
    const Json* properties = keyword(*schema, "properties");
    if (properties)
      for (auto it = properties->begin(); it != properties->end(); ++it) add(it.key());
    const Json* additional = keyword(*schema, "additionalProperties");
    open |= (additional && *additional != false) || keyword(*schema, "patternProperties");
    silent |= properties && !additional;
    if (keyword(*schema, "minProperties"))
      shape.min = std::max(shape.min, count(*schema, "minProperties"));
    if (keyword(*schema, "maxProperties")) {
      const int64_t max = count(*schema, "maxProperties");
      shape.max = shape.max == kNoMaximum ? max : std::min(shape.max, max);
    }
  }
  for (const Json* schema : flat.schemas)
    if (const Json* required = keyword(*schema, "required"))
      for (const Json& name : *required) {
        add(name.get<std::string>());
        shape.required.insert(name.get<std::string>());
      }
  shape.closed = silent && !open;
  return shape;
}

// What the value of a property must satisfy.
Schemas SchemaCompiler::property(const Flat& flat, const std::string& name) {
  Schemas out;
  for (const Json* schema : flat.schemas) {
    bool named = false;
    const Json* properties = keyword(*schema, "properties");
    if (properties && properties->contains(name)) {
      out.push_back(&properties->at(name));
      named = true;
    }
    if (const Json* patterns = keyword(*schema, "patternProperties"))
      for (auto it = patterns->begin(); it != patterns->end(); ++it)
        if (pattern_dfa(*schema, it.key(), true).matches(name)) {
          out.push_back(&*it);
          named = true;
        }
    const Json* additional = keyword(*schema, "additionalProperties");
    if (additional && !named) out.push_back(additional);
    const Json* names = keyword(*schema, "propertyNames");
    static const Json never = false;
    if (names && !satisfies(Json(name), *names)) out.push_back(&never);
  }
  return out;
}

ExprId SchemaCompiler::member(ExprId key, ExprId value) {
  return grammar_.sequence({key, json_.colon(), value});
}

// The names that match exactly the patterns of `match`, no named property and every propertyNames;
// nothing when there is none.
ExprId SchemaCompiler::other_key(const Flat& flat, const ObjectShape& shape,
                                 const std::vector<std::pair<const Json*, std::string>>& patterns,
                                 uint32_t match) {
  Grammar characters;
  std::vector<CharTerm> terms;
  for (size_t i = 0; i < patterns.size(); i++)
    terms.push_back(
        {pattern(characters, *patterns[i].first, patterns[i].second), (match >> i & 1) == 0});
  for (const Json* schema : flat.schemas) {
    const Json* names = keyword(*schema, "propertyNames");
    if (!names) continue;
    const std::vector<Flat> flats = expand({names});
    if (flats.empty()) return grammar_.nothing();
    if (flats.size() > 1)
      fail(*schema, "propertyNames", "alternatives are not supported for names");
    if (!(flats[0].types & kString)) return grammar_.nothing();
    for (const CharTerm& term : string_terms(flats[0], characters)) terms.push_back(term);
  }
  if (!shape.names.empty()) {
    std::vector<ExprId> names;
    for (const std::string& name : shape.names) {
      std::vector<uint32_t> text;
      decode_utf8(name, text);
      std::vector<ExprId> letters;
      for (const uint32_t c : text) letters.push_back(characters.one_of(CodePoints::single(c)));
      names.push_back(characters.sequence(std::move(letters)));
    }
    terms.push_back({characters.choice(std::move(names)), true});
  }
  if (terms.empty()) return json_.any_string();
  if (terms.size() == 1 && !terms[0].negated) return json_.string(characters, terms[0].expr);
  const std::string place =
      "[json schema] #" + pointers_[flat.schemas[0]] + ": names of properties";
  const CharDfa dfa = intersect(characters, terms, place);
  return dfa.empty ? kEmptyEdge : json_.string(dfa);
}

std::vector<ExprId> SchemaCompiler::other_members(const Flat& flat, const ObjectShape& shape) {
  std::vector<std::pair<const Json*, std::string>> patterns;
  for (const Json* schema : flat.schemas)
    if (const Json* all = keyword(*schema, "patternProperties"))
      for (auto it = all->begin(); it != all->end(); ++it) patterns.push_back({schema, it.key()});
  if (patterns.size() > kMaxPatterns)
    fail(*flat.schemas[0], "patternProperties",
         fmt::format("more than {} patterns in one object are not supported", kMaxPatterns));
  std::vector<ExprId> out;
  for (uint32_t match = 0; match < 1u << patterns.size(); match++) {
    if (match == 0 && shape.closed) continue;
    Schemas schemas;
    for (const Json* schema : flat.schemas) {
      bool named = false;
      for (size_t i = 0; i < patterns.size(); i++)
        if (patterns[i].first == schema && (match >> i & 1)) {
          schemas.push_back(&schema->at("patternProperties").at(patterns[i].second));
          named = true;
        }
      const Json* additional = keyword(*schema, "additionalProperties");
      if (additional && !named) schemas.push_back(additional);
    }
    if (expand(schemas).empty()) continue;
    const ExprId key = other_key(flat, shape, patterns, match);
    if (key != kEmptyEdge) out.push_back(member(key, value(schemas)));
  }
  return out;
}

// States: how many of the names are behind and how many members were written, as far as it matters;
// then how many of others. Names may repeat among the others, so these count for at most one
// towards minProperties.
ExprId SchemaCompiler::object_machine(const ObjectShape& shape, const std::vector<ExprId>& members,
                                      const std::vector<ExprId>& others) {
  const auto names = static_cast<int64_t>(members.size());
  const int64_t most = shape.max == kNoMaximum ? -1 : shape.max;
  const int64_t cap = most >= 0 ? std::min(most, std::max<int64_t>(names, 1))
                                : std::max<int64_t>(1, std::min(shape.min, names));
  const int64_t extra = others.empty() ? 0 : most >= 0 ? std::min<int64_t>(most, kMaxCount) : 1;
  const auto states = static_cast<size_t>(2 * (names + 1) * (cap + 1) + (cap + 1) * (extra + 1));
  if (states > kMaxObjectStates) return kEmptyEdge;
  Machine machine;
  machine.accepting.assign(states, false);
  const auto at = [&](int64_t i, int64_t written) {
    return static_cast<int32_t>(2 * (i * (cap + 1) + written));
  };
  // Without a maximum the last two counts go on alike.
  const auto comma = [&](int64_t i, int64_t written) {
    return at(i, most < 0 && written == cap - 1 ? cap : written) + 1;
  };
  const auto beyond = [&](int64_t written, int64_t more) {
    return static_cast<int32_t>(2 * (names + 1) * (cap + 1) + written * (extra + 1) + more);
  };
  // Behind each state stands one with the comma written: the odd ones.
  for (int64_t i = 0; i <= names; i++)
    for (int64_t n = 0; n <= cap; n++)
      machine.edges.push_back({at(i, n), comma(i, n), n ? json_.comma() : kEmptyEdge});
  for (int64_t i = 0; i < names; i++)
    for (int64_t n = 0; n <= cap; n++) {
      if (most < 0 && n == cap - 1) continue;
      const bool full = most >= 0 && n >= most;
      if (!full)
        machine.edges.push_back(
            {comma(i, n), at(i + 1, std::min(n + 1, cap)), members[static_cast<size_t>(i)]});
      if (shape.required.contains(shape.names[static_cast<size_t>(i)])) continue;
      machine.edges.push_back({comma(i, n), comma(i + 1, n), kEmptyEdge});
    }
  for (int64_t n = 0; n <= cap; n++) {
    for (int64_t i = names; i >= 0; i--) {  // up to the last required name
      machine.accepting[static_cast<size_t>(at(i, n))] = n > 0 && n >= shape.min;
      if (i > 0 && shape.required.contains(shape.names[static_cast<size_t>(i - 1)])) break;
    }
    for (int64_t more = 0; more <= extra && extra > 0; more++) {
      const int64_t next = std::min(more + 1, extra);
      if (more > 0) machine.accepting[static_cast<size_t>(beyond(n, more))] = n + 1 >= shape.min;
      if (most >= 0 && n + more >= most) continue;
      for (const ExprId other : others)
        machine.edges.push_back({more ? beyond(n, more) : comma(names, n), beyond(n, next),
                                 more ? grammar_.sequence({json_.comma(), other}) : other});
    }
  }
  return grammar_.machine(std::move(machine));
}

ExprId SchemaCompiler::object(const Flat& flat) {
  ObjectShape shape = object_shape(flat);
  if (flat.schemas.empty()) return json_.any_object();
  std::vector<ExprId> members;
  std::vector<std::string> possible;
  for (const std::string& name : shape.names) {
    const Schemas schemas = property(flat, name);
    if (expand(schemas).empty()) {
      if (shape.required.contains(name)) return grammar_.nothing();
      continue;
    }
    members.push_back(member(json_.string_literal(name), value(schemas)));
    possible.push_back(name);
  }
  const std::vector<ExprId> others = other_members(flat, shape);
  if (shape.max != kNoMaximum && shape.max < shape.min) return grammar_.nothing();
  shape.names = std::move(possible);
  const ExprId filled = object_machine(shape, members, others);
  if (filled == kEmptyEdge)
    fail(*flat.schemas[0], "", "minProperties or maxProperties with too many properties");
  const bool may_be_empty = shape.min == 0 && shape.required.empty();
  return json_.list('{', filled, may_be_empty, '}');
}

}  // namespace mica::grammar
