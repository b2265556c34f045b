#include "bench/plan/layer_reader.h"

#include <algorithm>

#include "base/spelling.h"
#include "bench/plan/numbers.h"

namespace mica {
namespace {

// Items are words, or lists of words that belong together.
std::vector<PlanArgument> read_arguments(const YamlValue& value) {
  std::vector<PlanArgument> arguments;
  std::vector<std::string> words;
  Origin origin;
  const auto flush = [&] {
    for (PlanArgument& each : group_words(words, origin)) arguments.push_back(std::move(each));
    words.clear();
  };
  if (!value.is_list()) value.expected("a list of words");
  for (const YamlValue& item : value.list()) {
    const bool begins = item.is_text() && begins_argument(item.text());
    if (!item.is_text() || begins) flush();
    if (words.empty()) origin.text = item.place();
    if (item.is_text()) {
      words.push_back(item.text());
    } else {
      const std::vector<std::string> together = item.texts();
      if (together.empty()) item.expected("at least one word");
      arguments.push_back({together, {item.place()}});
    }
  }
  flush();
  return arguments;
}

std::vector<PlanArgument> read_words(const YamlValue& value) {
  std::vector<PlanArgument> arguments;
  for (const YamlValue& item : value.list()) arguments.push_back({{item.text()}, {item.place()}});
  return arguments;
}

using ReadItems = std::vector<PlanArgument> (*)(const YamlValue&);

// A list, which is added, or a map of append, remove and replace.
ListChange read_change(const YamlValue& value, ReadItems read) {
  ListChange change;
  if (!value.is_map()) {
    change.add = read(value);
    return change;
  }
  YamlMap map = value.map("a list's changes (append, remove, replace)");
  const auto replace = map.find("replace");
  const auto append = map.find("append");
  const auto remove = map.find("remove");
  map.finish();
  if (replace && (append || remove))
    replace->fail("it takes all that was there; append and remove have no place beside it");
  if (!replace && !append && !remove) value.expected("append, remove or replace");
  if (remove) change.remove = read_words(*remove);
  change.replace = replace.has_value();
  if (replace || append) change.add = read(replace ? *replace : *append);
  return change;
}

// "HOST:CONTAINER" or "HOST:CONTAINER:ro|rw"
std::vector<PlanArgument> read_mount_words(const YamlValue& value) {
  std::vector<PlanArgument> mounts = read_words(value);
  for (const PlanArgument& mount : mounts) {
    const std::string& word = mount.words.front();
    const size_t first = word.find(':');
    const size_t second = first == word.npos ? first : word.find(':', first + 1);
    const std::string mode = second == word.npos ? "ro" : word.substr(second + 1);
    const std::string inside = first == word.npos ? "" : word.substr(first + 1, second - first - 1);
    if (first == 0 || inside.empty() || inside[0] != '/' || (mode != "ro" && mode != "rw"))
      value.fail(fmt::format("{}: expected HOST:CONTAINER or HOST:CONTAINER:rw, found '{}'",
                             mount.origin.text, word));
  }
  return mounts;
}

SettingMap read_settings(const YamlValue& value, const BackendDescriptor* backend,
                         const BackendTable& table) {
  SettingMap settings;
  const YamlMap map = value.map("args");
  for (const auto& [name, each] : map.entries()) {
    std::vector<std::string> known;
    const BackendSetting* setting = backend ? backend->setting(name) : nullptr;
    for (const BackendDescriptor& other : table.all()) {
      if (backend && other.name != backend->name) continue;
      if (!setting) setting = other.setting(name);
      const std::vector<std::string> names = other.setting_names();
      known.insert(known.end(), names.begin(), names.end());
    }
    if (!setting)
      throw Error(ErrorKind::kUsage,
                  "[yaml] {}: '{}' is no setting of {}{}; flags of its own go into extra_args",
                  each.place(), name, backend ? backend->name : "any backend",
                  meant_instead(name, known));
    if (is_of_the_plan(setting->name))
      each.fail(fmt::format("it can't be set here; --{} says it", setting->name));
    if (each.is_null()) {
      settings[name] = std::nullopt;
      continue;
    }
    SettingValue read{each.texts(), {each.place()}};
    if (backend)
      for (const std::string& one : read.values) setting->check(one, each.place());
    settings[name] = std::move(read);
  }
  return settings;
}

// Of `env` and `build_args`.
TextMap read_variables(const YamlValue& value, const char* title) {
  TextMap texts;
  const YamlMap map = value.map(title);
  for (const auto& [name, each] : map.entries()) {
    const bool good = !name.empty() && name.find_first_of("= \t\n") == name.npos &&
                      !parse_integer(name.substr(0, 1));
    if (!good) each.fail("expected the name of a variable");
    texts[name] = each.is_null() ? std::nullopt
                                 : std::optional<Sourced>(Sourced{each.text(), {each.place()}});
  }
  return texts;
}

const std::vector<std::string> kSampling = {"temperature",
                                            "top_p",
                                            "top_k",
                                            "min_p",
                                            "seed",
                                            "frequency_penalty",
                                            "presence_penalty",
                                            "repetition_penalty",
                                            "repeat_penalty",
                                            "repeat_last_n",
                                            "chat_template_kwargs"};

// A JSON value: numbers, true and false; of chat_template_kwargs an object of them and of texts.
std::string read_json(const YamlValue& value, const std::string& name) {
  if (name != "chat_template_kwargs") {
    const std::string text = value.text();
    if (!parse_number(text)) value.expected("a number");
    return text;
  }
  std::string json;
  const YamlMap map = value.map(name);
  for (const auto& [key, each] : map.entries()) {
    const std::string text = each.text();
    const bool plain = parse_number(text) || text == "true" || text == "false";
    if (key.find_first_of("\"\\\n") != key.npos || text.find_first_of("\"\\\n") != text.npos)
      each.expected("a plain word, number or truth");
    json += (json.empty() ? "" : ", ") + ("\"" + key + "\": ") + (plain ? text : '"' + text + '"');
  }
  return "{" + json + "}";
}

TextMap read_sampling(const YamlValue& value) {
  TextMap texts;
  YamlMap map = value.map("sampling");
  for (const std::string& name : kSampling) map.find(name);
  map.finish();
  for (const auto& [name, each] : map.entries())
    texts[name] = each.is_null()
                      ? std::nullopt
                      : std::optional<Sourced>(Sourced{read_json(each, name), {each.place()}});
  return texts;
}

// "31575@" and a commit: what a branch holds changes from day to day.
bool is_pinned_request(const std::string& text) {
  constexpr size_t kCommitDigits = 40;
  const size_t at = text.find('@');
  if (at == 0 || at == text.npos || text.size() != at + 1 + kCommitDigits) return false;
  return text.find_first_not_of("0123456789") == at &&
         text.find_first_not_of("0123456789abcdef", at + 1) == text.npos;
}

bool is_digest(const std::string& text) {
  const std::string begin = "sha256:";
  return text.size() == begin.size() + 64 && text.starts_with(begin) &&
         text.find_first_not_of("0123456789abcdef", begin.size()) == text.npos;
}

void read_scalars(YamlMap& map, Layer& layer) {
  for (const char* key :
       {"version", "image", "digest", "build_context", "build_file", "url", "directory"})
    if (const auto value = map.find(key)) layer.scalars[key] = {value->text(), {value->place()}};
  if (const auto value = map.find("image_type"))
    layer.scalars["image_type"] = {value->one_of({"prebuilt", "build"}), {value->place()}};
  if (const auto value = map.find("mode"))
    layer.scalars["mode"] = {value->one_of({"docker", "process", "attach"}), {value->place()}};
  const auto digest = layer.scalars.find("digest");
  if (digest != layer.scalars.end() && !is_digest(digest->second.value))
    map.find("digest")->expected("'sha256:' and 64 hexadecimal digits");
  if (const auto value = map.find("pr")) {
    if (!is_pinned_request(value->text()))
      value->expected("a pull request at a commit, NUMBER@ and 40 hexadecimal digits");
    layer.scalars["pr"] = {value->text(), {value->place()}};
  }
}

}  // namespace

Layer read_layer(YamlMap& map, const std::string& title, const BackendDescriptor* backend,
                 const BackendTable& table) {
  Layer layer;
  layer.title = title;
  read_scalars(map, layer);
  if (const auto value = map.find("program")) {
    layer.program = SettingValue{value->texts(), {value->place()}};
    if (layer.program->values.empty()) value->expected("at least one word");
  }
  if (const auto value = map.find("args")) layer.settings = read_settings(*value, backend, table);
  if (const auto value = map.find("env")) layer.environment = read_variables(*value, "env");
  if (const auto value = map.find("build_args"))
    layer.build_arguments = read_variables(*value, "build_args");
  if (const auto value = map.find("sampling")) layer.sampling = read_sampling(*value);
  if (const auto value = map.find("extra_args"))
    layer.extra_arguments = read_change(*value, read_arguments);
  if (const auto value = map.find("docker_options"))
    layer.docker_options = read_change(*value, read_arguments);
  if (const auto value = map.find("mounts")) layer.mounts = read_change(*value, read_mount_words);
  return layer;
}

}  // namespace mica
