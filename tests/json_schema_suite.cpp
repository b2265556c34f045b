// The official JSON-Schema-Test-Suite against the grammars:
//   json_schema_suite SUITE/tests/draft2020-12 [--verbose]
// A schema outside the subset is counted by the keyword of its error, a valid instance that the
// documented limits leave out by the limit's name. Every other valid instance must be accepted and
// every invalid one refused. Instances are written compactly; members in the order of the schema's
// properties and constants (the order of the grammars), others behind them as they are; numbers
// without a fraction as integers. Objects are open where the schema is silent. Not read:
// format.json, where formats only annotate (optional/format holds those that count), and the rest
// of optional/.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/error.h"
#include "text/grammar/grammar.h"

namespace {

using Json = nlohmann::ordered_json;

// The members of constants, at any depth.
void collect_keys(const Json& value, std::vector<std::string>& names) {
  if (value.is_object())
    for (auto it = value.begin(); it != value.end(); ++it) names.push_back(it.key());
  if (value.is_structured())
    for (const Json& inner : value) collect_keys(inner, names);
}

void collect_names(const Json& schema, std::vector<std::string>& names) {
  for (const char* key : {"const", "enum"})
    if (schema.is_object() && schema.contains(key)) collect_keys(schema[key], names);
  if (schema.is_object() && schema.contains("properties") && schema["properties"].is_object())
    for (auto it = schema["properties"].begin(); it != schema["properties"].end(); ++it)
      names.push_back(it.key());
  if (schema.is_object() && schema.contains("required") && schema["required"].is_array())
    for (const Json& name : schema["required"])
      if (name.is_string()) names.push_back(name.get<std::string>());
  if (schema.is_structured())
    for (const Json& inner : schema) collect_names(inner, names);
}

Json arranged(const Json& value, const std::vector<std::string>& names) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    constexpr double kLimit = 9223372036854775808.0;  // 2^63
    if (std::floor(number) == number && std::fabs(number) < kLimit)
      return static_cast<int64_t>(number);
  }
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(arranged(item, names));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::object();
  for (const std::string& name : names)
    if (value.contains(name)) out[name] = arranged(value[name], names);
  for (auto it = value.begin(); it != value.end(); ++it)
    if (!out.contains(it.key())) out[it.key()] = arranged(*it, names);
  return out;
}

// The last part of the JSON pointer in an error, or its text when there is none.
std::string keyword_of(const std::string& message) {
  const size_t end = message.find(": ");
  const std::string place = message.substr(0, end);
  const size_t slash = place.rfind('/');
  if (place.find('#') == std::string::npos || slash == std::string::npos)
    return message.substr(0, 60);
  return place.substr(slash + 1);
}

// What docs/structured-output.md leaves out of values that a schema allows: no text of these is
// made, although it would be valid.
struct Limit {
  const char* name;
  bool (*holds)(const Json& schema, const Json& value);
};

bool has_format(const Json& schema, std::initializer_list<const char*> names) {
  if (!schema.is_object() || !schema.contains("format")) return false;
  return std::find(names.begin(), names.end(), schema["format"]) != names.end();
}

bool finds(const Json& value, const char* pattern) {
  return value.is_string() && std::regex_search(value.get<std::string>(), std::regex(pattern));
}

constexpr Limit kLimits[] = {
    {"leap seconds",
     [](const Json& schema, const Json& value) {
       return has_format(schema, {"time", "date-time"}) && finds(value, "^(.*[Tt])?..:..:60");
     }},
    {"A-labels",
     [](const Json& schema, const Json& value) {
       return has_format(schema, {"hostname"}) && finds(value, R"((^|\.)[Xx][Nn]--)");
     }},
    {"more than 18 digits",
     [](const Json& schema, const Json& value) {
       return has_format(schema, {"duration"}) && finds(value, "[0-9]{19}");
     }},
    {"other meta-schemas",
     [](const Json& schema, const Json&) {
       return schema.is_object() && schema.contains("$schema") &&
              !schema["$schema"].get<std::string>().starts_with("https://json-schema.org/");
     }},
};

const char* limit_of(const Json& schema, const Json& value) {
  for (const Limit& limit : kLimits)
    if (limit.holds(schema, value)) return limit.name;
  return nullptr;
}

struct Counts {
  int groups = 0, outside = 0, valid = 0, accepted = 0, invalid = 0, refused = 0;
  std::map<std::string, int> keywords, limits;
};

void run_group(const std::string& file, const Json& group, mica::GrammarCompiler& compiler,
               bool verbose, Counts& counts) {
  counts.groups++;
  mica::GrammarSpec spec;
  spec.kind = mica::GrammarSpec::Kind::kJsonSchema;
  spec.text = group["schema"].dump();
  spec.open_objects = true;
  std::shared_ptr<const mica::CompiledGrammar> grammar;
  bool nothing = false;
  try {
    grammar = compiler.compile(spec);
  } catch (const mica::Error& error) {
    // A schema that no value satisfies is refused as a whole, as are its instances.
    nothing = std::string(error.what()).find("no text can match") != std::string::npos;
    if (!nothing) {
      counts.outside++;
      counts.keywords[keyword_of(error.what())]++;
      if (verbose) std::printf("outside %s: %s\n", file.c_str(), error.what());
      return;
    }
  }
  std::vector<std::string> names;
  collect_names(group["schema"], names);
  for (const Json& test : group["tests"]) {
    const std::string text = arranged(test["data"], names).dump();
    bool accepted = false;
    if (!nothing) {
      mica::GrammarMatcher matcher(grammar);
      accepted = matcher.accept_text(text) && matcher.can_end();
    }
    const bool valid = test["valid"].get<bool>();
    if (const char* limit = limit_of(group["schema"], test["data"]); limit && valid) {
      counts.limits[limit]++;
      continue;
    }
    (valid ? counts.valid : counts.invalid)++;
    counts.accepted += valid && accepted;
    counts.refused += !valid && !accepted;
    if (valid != accepted)
      std::printf("%s %s: %s / %s: %s\n", valid ? "refused" : "ACCEPTED", file.c_str(),
                  group["description"].get<std::string>().c_str(),
                  test["description"].get<std::string>().c_str(), text.substr(0, 200).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: json_schema_suite SUITE/tests/draft2020-12 [--verbose]\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::vector<std::filesystem::path> files;
  for (const auto& directory : {folder, folder / "optional" / "format"})
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      if (entry.path().extension() == ".json" && entry.path() != folder / "format.json")
        files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  mica::GrammarCompiler compiler(std::make_shared<mica::TokenVocabulary>(
      std::vector<std::string>{"a"}, std::vector<int32_t>(), std::vector<bool>()));
  Counts counts;
  for (const auto& path : files) {
    std::ifstream file(path);
    for (const Json& group : Json::parse(file))
      run_group(path.filename(), group, compiler, argc > 2, counts);
  }
  std::printf("schemas %d, outside the subset %d\n", counts.groups, counts.outside);
  std::printf("valid instances inside %d, accepted %d; invalid %d, refused %d\n", counts.valid,
              counts.accepted, counts.invalid, counts.refused);
  std::printf("valid instances left out by a limit:\n");
  for (const auto& [limit, count] : counts.limits) std::printf("%4d %s\n", count, limit.c_str());
  std::printf("schemas outside by keyword:\n");
  for (const auto& [keyword, count] : counts.keywords)
    std::printf("%4d %s\n", count, keyword.c_str());
  return counts.refused == counts.invalid && counts.accepted == counts.valid ? 0 : 1;
}
