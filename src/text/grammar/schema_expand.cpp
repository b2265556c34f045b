// References and the keywords that combine schemas.
#include <algorithm>
#include <array>
#include <tuple>

#include "base/error.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxText = size_t{2} << 20;
constexpr int kMaxNesting = 200;
constexpr size_t kMaxAlternatives = 2000;
constexpr int64_t kMaxWork = 1'000'000;   // schemas looked at, each time
constexpr size_t kMaxConjunction = 1000;  // schemas that are followed for one value
constexpr int kMaxOneOf = 40;             // oneOf inside oneOf

constexpr const char* kAssertions[] = {"type",
                                       "properties",
                                       "required",
                                       "additionalProperties",
                                       "patternProperties",
                                       "propertyNames",
                                       "minProperties",
                                       "maxProperties",
                                       "items",
                                       "prefixItems",
                                       "additionalItems",
                                       "minItems",
                                       "maxItems",
                                       "uniqueItems",
                                       "enum",
                                       "const",
                                       "minLength",
                                       "maxLength",
                                       "pattern",
                                       "format",
                                       "minimum",
                                       "maximum",
                                       "exclusiveMinimum",
                                       "exclusiveMaximum",
                                       "multipleOf",
                                       "nullable"};
constexpr const char* kOthers[] = {"$ref",
                                   "$defs",
                                   "definitions",
                                   "allOf",
                                   "anyOf",
                                   "oneOf",
                                   "not",
                                   "title",
                                   "description",
                                   "default",
                                   "examples",
                                   "example",
                                   "deprecated",
                                   "readOnly",
                                   "writeOnly",
                                   "$comment",
                                   "$schema",
                                   "$anchor",
                                   "$vocabulary",
                                   "contentMediaType",
                                   "contentEncoding",
                                   "contentSchema",
                                   "discriminator",
                                   "xml",
                                   "externalDocs"};

bool in(const std::string& name, std::span<const char* const> list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

uint8_t type_bits(const std::string& name) {
  static const std::map<std::string, uint8_t> bits{
      {"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger}, {"number", kNumber},
      {"string", kString}, {"array", kArray},     {"object", kObject}};
  const auto it = bits.find(name);
  return it == bits.end() ? 0 : it->second;
}

std::string escaped(const std::string& key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// How deeply brackets nest, strings aside: known before anything recursive reads the text.
int nesting(std::string_view text) {
  int depth = 0, most = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); i++) {
    if (in_string && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      in_string = !in_string;
    else if (!in_string && (text[i] == '{' || text[i] == '['))
      most = std::max(most, ++depth);
    else if (!in_string && (text[i] == '}' || text[i] == ']'))
      depth--;
  }
  return most;
}

}  // namespace

SchemaCompiler::SchemaCompiler(Grammar& grammar, JsonText& json, std::string_view text,
                               const SchemaOptions& options)
    : grammar_(grammar), json_(json), options_(options) {
  if (text.size() > kMaxText || nesting(text) > kMaxNesting)
    throw Error(
        ErrorKind::kUsage,
        "[json schema] expected at most {} MiB and {} nested brackets, found {} bytes and {}",
        kMaxText >> 20, kMaxNesting, text.size(), nesting(text));
  try {
    document_ = Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kUsage, "[json schema] not JSON: {}", error.what());
  }
  index(document_, "", 0);
}

void SchemaCompiler::fail(const Json& schema, const std::string& keyword,
                          const std::string& message) const {
  const auto it = pointers_.find(&schema);
  throw Error(ErrorKind::kUsage, "[json schema] #{}{}: {}", it == pointers_.end() ? "" : it->second,
              keyword.empty() ? "" : "/" + escaped(keyword), message);
}

void SchemaCompiler::index(const Json& value, const std::string& pointer, int depth) {
  pointers_[&value] = pointer;
  if (value.is_array())
    for (size_t i = 0; i < value.size(); i++)
      index(value[i], pointer + "/" + std::to_string(i), depth + 1);
  if (!value.is_object()) return;
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (it.key() == "enum" || it.key() == "const" || it.key() == "default" ||
        it.key() == "examples") {
      pointers_[&*it] = pointer + "/" + it.key();
      if (!it->is_object()) continue;  // else it may be a property of that name
    }
    index(*it, pointer + "/" + escaped(it.key()), depth + 1);
  }
  const auto anchor = value.find("$anchor");
  if (anchor != value.end() && anchor->is_string()) anchors_[anchor->get<std::string>()] = &value;
}

void SchemaCompiler::check_keywords(const Json& schema) {
  if (!checked_.insert(&schema).second) return;
  for (auto it = schema.begin(); it != schema.end(); ++it) {
    const std::string& key = it.key();
    if (in(key, kAssertions) || in(key, kOthers) || key.starts_with("x-")) continue;
    if (key == "$id" && &schema == &document_) continue;
    if ((key == "unevaluatedProperties" || key == "unevaluatedItems") && *it == true) continue;
    fail(schema, key, "the keyword '" + key + "' is not supported");
  }
  for (const char* key : {"allOf", "anyOf", "oneOf"}) {
    const Json* list = keyword(schema, key);
    if (list && (!list->is_array() || list->empty()))
      fail(schema, key, "expected a list of schemas");
  }
  const Json* required = keyword(schema, "required");
  if (required &&
      (!required->is_array() || !std::all_of(required->begin(), required->end(),
                                             [](const Json& v) { return v.is_string(); })))
    fail(schema, "required", "expected a list of names");
  for (const char* key : {"properties", "patternProperties"})
    if (keyword(schema, key) && !keyword(schema, key)->is_object())
      fail(schema, key, "expected an object");
  const Json* unique = keyword(schema, "uniqueItems");
  if (unique && *unique != false) {
    const Json* max = keyword(schema, "maxItems");
    if (!max || !max->is_number() || max->get<double>() > 1)
      fail(schema, "uniqueItems", "uniqueItems is not supported: items can't be compared");
  }
  if (keyword(schema, "enum") && !keyword(schema, "enum")->is_array())
    fail(schema, "enum", "expected a list of values");
  types_of(schema);
}

// A keyword's value, nullptr without it.
const Json* SchemaCompiler::keyword(const Json& schema, const char* name) const {
  const auto it = schema.find(name);
  return it == schema.end() ? nullptr : &*it;
}

int64_t SchemaCompiler::count(const Json& schema, const char* name) const {
  const Json& value = *keyword(schema, name);
  if (!value.is_number() || value.get<double>() < 0 ||
      value.get<double>() !=
          static_cast<double>(static_cast<int64_t>(std::min(value.get<double>(), 1e15))))
    if (!value.is_number() || value.get<double>() < 1e15)
      fail(schema, name, "expected a whole number, 0 or more, found " + value.dump());
  return static_cast<int64_t>(std::min(value.get<double>(), 1e15));
}

const Json& SchemaCompiler::resolve(const Json& schema, const std::string& ref) {
  std::string fragment = ref;
  const Json* id = keyword(document_, "$id");
  if (document_.is_object() && id && id->is_string() &&
      fragment.starts_with(id->get_ref<const std::string&>()))
    fragment.erase(0, id->get_ref<const std::string&>().size());
  if (fragment.empty()) fragment = "#";
  if (fragment[0] != '#')
    fail(schema, "$ref",
         "only references into this schema (#…) are supported, found '" + ref + "'");
  fragment.erase(0, 1);
  if (!fragment.empty() && fragment[0] != '/') {
    const auto it = anchors_.find(fragment);
    if (it == anchors_.end()) fail(schema, "$ref", "there is no $anchor '" + fragment + "'");
    return *it->second;
  }
  std::string decoded;
  for (size_t i = 0; i < fragment.size(); i++) {
    const std::string hex = fragment[i] == '%' ? fragment.substr(i + 1, 2) : "";
    const bool is_hex =
        hex.size() == 2 && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    decoded += is_hex ? static_cast<char>(std::stoi(hex, nullptr, 16)) : fragment[i];
    if (is_hex) i += 2;
  }
  try {
    return document_.at(Json::json_pointer(decoded));
  } catch (const nlohmann::json::exception&) {
    fail(schema, "$ref", "there is nothing at '" + ref + "'");
  }
}

uint8_t SchemaCompiler::types_of(const Json& schema) const {
  const Json* type = keyword(schema, "type");
  if (!type) return kAnyType;
  uint8_t out = 0;
  const auto add = [&](const Json& name) {
    const uint8_t bits = name.is_string() ? type_bits(name.get_ref<const std::string&>()) : 0;
    if (bits == 0) fail(schema, "type", "expected the name of a type, found " + name.dump());
    out |= bits;
  };
  if (type->is_array())
    for (const Json& name : *type) add(name);
  else
    add(*type);
  const Json* nullable = keyword(schema, "nullable");
  if (nullable && *nullable == true) out |= kNull;
  return out;
}

// `not` is supported of nothing but types.
uint8_t SchemaCompiler::not_types(const Json& schema) const {
  const Json& inner = *keyword(schema, "not");
  if (inner.is_boolean()) return inner == true ? kAnyType : 0;
  if (inner.is_object() && inner.empty()) return kAnyType;
  if (!inner.is_object() || inner.size() != 1 || !keyword(inner, "type"))
    fail(schema, "not", "'not' is supported of a schema with only 'type'");
  return types_of(inner);
}

bool SchemaCompiler::is_plain(const Json& schema) {
  for (auto it = schema.begin(); it != schema.end(); ++it)
    if (in(it.key(), kAssertions) && it.key() != "type" && it.key() != "nullable") return false;
  return true;
}

// A conjunction on its way to being flat.
struct SchemaCompiler::Open {
  Flat flat;
  Schemas seen;
  Schemas pending;
  std::vector<std::pair<const Json*, bool>> choices;  // lists of alternatives; and is it oneOf
  std::vector<const Json*> owners;                    // of the lists
};

void SchemaCompiler::work(const Json& schema) {
  if (++work_ > kMaxWork) fail(schema, "", "anyOf, oneOf and enum combine in too many ways");
}

void SchemaCompiler::expand_into(Open open, std::vector<Flat>& out) {
  while (!open.pending.empty()) {
    const Json& schema = *open.pending.back();
    open.pending.pop_back();
    work(schema);
    if (schema.is_boolean()) {
      if (schema == true) continue;
      return;
    }
    if (!schema.is_object()) fail(schema, "", "expected a schema, found " + schema.dump());
    if (std::find(open.seen.begin(), open.seen.end(), &schema) != open.seen.end()) continue;
    open.seen.push_back(&schema);
    if (open.seen.size() > kMaxConjunction)
      fail(schema, "", fmt::format("more than {} schemas hold at once", kMaxConjunction));
    check_keywords(schema);
    open.flat.types &= types_of(schema);
    if (!is_plain(schema)) open.flat.schemas.push_back(&schema);
    if (const Json* ref = keyword(schema, "$ref")) {
      if (!ref->is_string()) fail(schema, "$ref", "expected a reference");
      open.pending.push_back(&resolve(schema, ref->get_ref<const std::string&>()));
    }
    if (const Json* all = keyword(schema, "allOf"))
      for (auto it = all->rbegin(); it != all->rend(); ++it) open.pending.push_back(&*it);
    if (keyword(schema, "not")) open.flat.types &= static_cast<uint8_t>(~not_types(schema));
    for (const char* key : {"anyOf", "oneOf"})
      if (const Json* list = keyword(schema, key)) {
        open.choices.push_back({list, key[0] == 'o'});
        open.owners.push_back(&schema);
      }
  }
  if (open.flat.types == 0) return;
  if (open.choices.empty()) {
    if (out.size() >= kMaxAlternatives)
      fail(document_, "",
           fmt::format("anyOf and oneOf combine to more than {} alternatives", kMaxAlternatives));
    // In the order found, for the order of properties; the same for the same schemas.
    out.push_back(std::move(open.flat));
    return;
  }
  const auto [list, exclusive] = open.choices.back();
  const Json& owner = *open.owners.back();
  open.choices.pop_back();
  open.owners.pop_back();
  if (exclusive) check_one_of(owner, open.flat.schemas);
  for (const Json& alternative : *list) {
    Open next = open;
    next.pending = {&alternative};
    expand_into(std::move(next), out);
  }
}

std::vector<Flat> SchemaCompiler::expand(const Schemas& schemas) {
  Open open;
  open.pending.assign(schemas.rbegin(), schemas.rend());
  std::vector<Flat> out;
  expand_into(std::move(open), out);
  return out;
}

// Texts are made of one alternative at a time, so no two may have a value in common.
void SchemaCompiler::check_one_of(const Json& schema, const Schemas& context) {
  if (!one_of_checked_.insert({&schema, context}).second) return;
  if (++one_of_depth_ > kMaxOneOf) fail(schema, "oneOf", "oneOf is nested too deeply");
  const Json& list = *keyword(schema, "oneOf");
  std::vector<std::vector<Flat>> alternatives;
  for (const Json& alternative : list) {
    Open open;
    open.flat.schemas = context;
    for (const Json* s : context) open.flat.types &= types_of(*s);
    open.pending = {&alternative};
    open.seen = {&schema};
    alternatives.emplace_back();
    expand_into(std::move(open), alternatives.back());
  }
  for (size_t i = 0; i < alternatives.size(); i++)
    for (size_t j = 0; j < i; j++)
      for (const Flat& a : alternatives[i])
        for (const Flat& b : alternatives[j])
          if (!disjoint(a, b, 0))
            fail(schema, "oneOf",
                 fmt::format("a value may match both alternative {} and alternative {}; use anyOf, "
                             "or a required property whose constants differ",
                             j, i));
  one_of_depth_--;
}

}  // namespace mica::grammar
