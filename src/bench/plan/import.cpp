#include "bench/plan/import.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/models_file.h"
#include "bench/plan/yaml_reader.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

// Keys of the old files that need no change, in the new file's order.
const std::vector<std::string> kModelKeys = {"include",   "exclude",   "files",     "revision",
                                             "revisions", "local_dir", "repo_type", "format"};

// Old args that are fields of requests now.
bool is_sampling(const std::string& name) {
  return name == "frequency_penalty" || name == "repetition_penalty";
}

class Importer {
 public:
  explicit Importer(const BackendTable& table) : table_(table) { out_ << YAML::BeginMap; }
  void read(const ImportSource& source);
  ImportedModels finish();

 private:
  template <typename... Args>
  void note(const YamlValue& value, fmt::format_string<Args...> text, Args&&... args) {
    report_.push_back(value.place() + ": " + fmt::format(text, std::forward<Args>(args)...));
  }
  const BackendDescriptor* backend(const std::string& name, const YamlValue& value);
  void defaults(const YamlValue& value);
  void backends(const YamlValue& value, bool patterns);
  void layer(const YamlValue& value, const BackendDescriptor& of);
  bool layer_key(const std::string& key, const YamlValue& value, const BackendDescriptor& of);
  void arguments(const YamlValue& value, const BackendDescriptor& of);
  void cache_types(const YamlValue& value, const BackendDescriptor& of);
  void texts(const char* key, const YamlValue& value);
  void words(const char* key, const YamlValue& value);
  void patterns(const YamlValue& value, const BackendDescriptor& of);
  void model(const YamlValue& value);
  void profiles(const YamlValue& value, const BackendDescriptor* of);
  void sidecars(const YamlMap& map);

  const BackendTable& table_;
  YAML::Emitter out_;
  std::vector<std::string> report_;
  std::map<std::string, std::string> sampling_;  // of the layer that is being written
  std::vector<std::vector<std::string>> extra_;  // more of its extra_args
};

// One glob or several for a regular expression of letters, ".*", "." and "|"; empty for others. It
// was searched for in the whole path, so text may come before and behind.
std::vector<std::string> globs_of(const std::string& pattern) {
  std::vector<std::string> globs;
  std::string glob = "*";
  for (size_t i = 0; i <= pattern.size(); ++i) {
    if (i == pattern.size() || pattern[i] == '|') {
      globs.push_back(glob + "*");
      glob = "*";
    } else if (pattern[i] == '\\' && i + 1 < pattern.size() &&
               std::string("./-_").find(pattern[i + 1]) != std::string::npos) {
      glob += pattern[++i];
    } else if (pattern[i] == '.') {
      const bool many = i + 1 < pattern.size() && (pattern[i + 1] == '*' || pattern[i + 1] == '+');
      glob += many ? '*' : '?';
      i += many;
    } else if (std::isalnum(static_cast<unsigned char>(pattern[i])) ||
               std::string("-_/ ").find(pattern[i]) != std::string::npos) {
      glob += pattern[i];
    } else {
      return {};
    }
  }
  for (std::string& each : globs)
    for (size_t at = each.find("**"); at != each.npos; at = each.find("**")) each.erase(at, 1);
  return globs;
}

const BackendDescriptor* Importer::backend(const std::string& name, const YamlValue& value) {
  const BackendDescriptor* found = table_.find(name);
  if (!found)
    note(value, "{} is no backend of Mica{}; it was left out", hub::printable(name, 60),
         meant_instead(name, table_.names()));
  else if (found->name != name)
    note(value, "{} is {} now", name, found->name);
  return found;
}

void Importer::texts(const char* key, const YamlValue& value) {
  out_ << YAML::Key << key << YAML::Value << YAML::BeginMap;
  const YamlMap map = value.map(key);
  for (const auto& [name, each] : map.entries())
    if (each.is_text())
      out_ << YAML::Key << name << YAML::Value << YAML::DoubleQuoted << each.text();
  out_ << YAML::EndMap;
}

void Importer::words(const char* key, const YamlValue& value) {
  out_ << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const std::string& word : value.texts()) out_ << YAML::DoubleQuoted << word;
  out_ << YAML::EndSeq;
}

// Types of keys and values were two options; most of them are kv_bits now.
void Importer::cache_types(const YamlValue& value, const BackendDescriptor& of) {
  const std::string key =
      "--" + std::string(value.name() == "cache_type_k" ? "cache-type-k" : "cache-type-v");
  if (!of.setting("kv_bits")) return;
  extra_.push_back({key, value.text()});
  note(value, "{} is {} in extra_args now", value.name(), key);
}

void Importer::arguments(const YamlValue& value, const BackendDescriptor& of) {
  const YamlMap map = value.map("args");
  std::map<std::string, YamlValue> kept;
  for (const auto& [key, each] : map.entries()) {
    const BackendSetting* setting = of.setting(key);
    if (is_sampling(key)) {
      sampling_[key] = each.text();
      note(each, "{} went into sampling: it is a field of requests", key);
    } else if (key == "cache_type_k" || key == "cache_type_v") {
      cache_types(each, of);
    } else if (!setting) {
      note(each, "{} has no setting {}{}; it was left out", of.name, hub::printable(key, 60),
           meant_instead(key, of.setting_names()));
    } else {
      if (setting->name != key) note(each, "{} is {} now", key, setting->name);
      kept.emplace(setting->name, each);
    }
  }
  if (kept.empty()) return;
  out_ << YAML::Key << "args" << YAML::Value << YAML::BeginMap;
  for (const auto& [key, each] : kept) {
    out_ << YAML::Key << key << YAML::Value;
    if (each.is_list()) {
      out_ << YAML::Flow << YAML::BeginSeq;
      for (const std::string& word : each.texts()) out_ << word;
      out_ << YAML::EndSeq;
    } else {
      out_ << each.text();
    }
  }
  out_ << YAML::EndMap;
}

void Importer::patterns(const YamlValue& value, const BackendDescriptor& of) {
  out_ << YAML::Key << "model_patterns" << YAML::Value << YAML::BeginSeq;
  for (const YamlValue& item : value.list()) {
    YamlMap map = item.map("a model pattern");
    const YamlValue pattern = map.require("pattern");
    const std::vector<std::string> globs = globs_of(pattern.text());
    if (globs.empty()) {
      note(pattern, "'{}' can't be written as globs; it was left out with its arguments",
           hub::printable(pattern.text(), 80));
      continue;
    }
    note(pattern, "pattern '{}' is match now: globs over the repository's name, not over the path",
         hub::printable(pattern.text(), 80));
    out_ << YAML::BeginMap << YAML::Key << "match" << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const std::string& glob : globs) out_ << YAML::DoubleQuoted << glob;
    out_ << YAML::EndSeq;
    if (const auto args = map.find("args")) words("extra_args", *args);
    if (const auto env = map.find("env_vars")) texts("env", *env);
    out_ << YAML::EndMap;
    for (const auto& [key, each] : map.entries())
      if (key != "pattern" && key != "args" && key != "env_vars")
        note(each, "{} of a pattern of {} is not known; it was left out", hub::printable(key, 60),
             of.name);
  }
  out_ << YAML::EndSeq;
}

// False for a key that went or is not known.
bool Importer::layer_key(const std::string& key, const YamlValue& value,
                         const BackendDescriptor& of) {
  if (key == "version" || key == "backend_version") {
    if (key != "version") note(value, "backend_version is version now");
    out_ << YAML::Key << "version" << YAML::Value << YAML::DoubleQuoted << value.text();
  } else if (key == "image_type") {
    const std::string type = value.text();
    const bool built_here = type == "build" && of.docker && of.docker->image_type != "build";
    if (type != "prebuilt" && type != "build")
      note(value, "image_type {} chose a Dockerfile of the scripts; it was left out", type);
    else if (built_here)
      note(value,
           "image_type build: the scripts' Dockerfile is not here; the project's image is "
           "taken (or set build_context)");
    else
      out_ << YAML::Key << "image_type" << YAML::Value << type;
  } else if (key == "docker_image") {
    note(value, "docker_image is image now");
    out_ << YAML::Key << "image" << YAML::Value << YAML::DoubleQuoted << value.text();
  } else if (key == "env" || key == "env_vars") {
    if (key != "env") note(value, "env_vars is env now");
    texts("env", value);
  } else if (key == "args") {
    arguments(value, of);
  } else if (key == "sampling") {
    const YamlMap map = value.map("sampling");
    for (const auto& [name, each] : map.entries()) sampling_[name] = each.text();
  } else {
    return false;
  }
  return true;
}

void Importer::layer(const YamlValue& value, const BackendDescriptor& of) {
  const YamlMap map = value.map("a backend");
  std::optional<YamlValue> extra;
  for (const auto& [key, each] : map.entries()) {
    if (each.is_null() || key == "model_patterns" || key == "backend") continue;
    if (key == "extra_args")
      extra = each;
    else if (key == "tabby_version")
      note(each, "tabby_version was read by nothing; it was left out");
    else if (key == "pr_number")
      note(each,
           "pr_number is pr now, with a commit: pr: {0}@COMMIT, as said by git ls-remote {1} "
           "refs/pull/{0}/head; it was left out",
           hub::printable(each.text(), 20),
           of.docker && !of.docker->overlay.repository.empty() ? of.docker->overlay.repository
                                                               : "REPOSITORY");
    else if (key == "pr_overlay")
      note(each, "pr_overlay is what pr does; it was left out");
    else if (!layer_key(key, each, of))
      note(each, "{} is not known; it was left out", hub::printable(key, 60));
  }
  if (extra || !extra_.empty()) {
    out_ << YAML::Key << "extra_args" << YAML::Value << YAML::Flow << YAML::BeginSeq;
    if (extra)
      for (const std::string& word : extra->texts()) out_ << YAML::DoubleQuoted << word;
    for (const auto& more : extra_)
      for (const std::string& word : more) out_ << YAML::DoubleQuoted << word;
    out_ << YAML::EndSeq;
  }
  if (!sampling_.empty()) {
    out_ << YAML::Key << "sampling" << YAML::Value << YAML::BeginMap;
    for (const auto& [name, text] : sampling_) out_ << YAML::Key << name << YAML::Value << text;
    out_ << YAML::EndMap;
  }
  sampling_.clear();
  extra_.clear();
}

void Importer::backends(const YamlValue& value, bool with_patterns) {
  const YamlMap all = value.map("backends");
  out_ << YAML::Key << "backends" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, each] : all.entries()) {
    const BackendDescriptor* of = backend(name, each);
    if (!of || !each.is_map()) continue;
    out_ << YAML::Key << of->name << YAML::Value << YAML::BeginMap;
    layer(each, *of);
    YamlMap map = each.map("a backend");
    if (const auto list = map.find("model_patterns")) {
      if (with_patterns)
        patterns(*list, *of);
      else
        note(*list, "model_patterns of one model: its arguments belong into the model; left out");
    }
    out_ << YAML::EndMap;
  }
  out_ << YAML::EndMap;
}

void Importer::defaults(const YamlValue& value) {
  YamlMap map = value.map("defaults");
  out_ << YAML::Key << "defaults" << YAML::Value << YAML::BeginMap;
  if (const auto storage = map.find("storage")) texts("storage", *storage);
  if (const auto all = map.find("backends")) backends(*all, true);
  out_ << YAML::EndMap;
  for (const auto& [key, each] : map.entries())
    if (key != "storage" && key != "backends")
      note(each, "defaults: {} is not known; it was left out", hub::printable(key, 60));
}

void Importer::profiles(const YamlValue& value, const BackendDescriptor* of) {
  const YamlMap all = value.map("profiles");
  out_ << YAML::Key << "profiles" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, each] : all.entries()) {
    YamlMap map = each.map("a profile");
    const BackendDescriptor* own = of;
    if (const auto chosen = map.find("backend")) own = backend(chosen->text(), *chosen);
    if (!own) {
      note(each, "profile {} is for no backend that is known; it was left out",
           hub::printable(name, 60));
      continue;
    }
    out_ << YAML::Key << name << YAML::Value << YAML::BeginMap;
    out_ << YAML::Key << "backend" << YAML::Value << own->name;
    layer(each, *own);
    out_ << YAML::EndMap;
  }
  out_ << YAML::EndMap;
  note(value,
       "a profile's extra_args are added to those below it now; `replace` takes their place");
}

void Importer::model(const YamlValue& value) {
  YamlMap map = value.map("a model");
  out_ << YAML::BeginMap << YAML::Key << "repo_id" << YAML::Value << map.require("repo_id").text();
  const BackendDescriptor* of = nullptr;
  if (const auto chosen = map.find("backend"))
    if ((of = backend(chosen->text(), *chosen)))
      out_ << YAML::Key << "backend" << YAML::Value << of->name;
  for (const auto& [key, each] : map.entries()) {
    if (each.is_null() || key == "repo_id" || key == "backend") continue;
    if (std::find(kModelKeys.begin(), kModelKeys.end(), key) != kModelKeys.end()) {
      if (each.is_list())
        words(key.c_str(), each);
      else
        out_ << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << each.text();
    } else if (key == "backends") {
      backends(each, false);
    } else if (key == "profiles") {
      profiles(each, of);
    } else if (key == "nightly" || key == "source") {
      note(each, "{} chose a Python environment; it was left out", key);
    } else {
      note(each, "{} is not known; it was left out", hub::printable(key, 60));
    }
  }
  out_ << YAML::EndMap;
}

void Importer::sidecars(const YamlMap& map) {
  out_ << YAML::Key << "sidecars" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, each] : map.entries())
    if (name == "open_webui" || name == "litellm") {
      out_ << YAML::Key << name << YAML::Value << YAML::BeginMap;
      const YamlMap keys = each.map("a sidecar");
      for (const auto& [key, one] : keys.entries())
        if (one.is_text()) out_ << YAML::Key << key << YAML::Value << one.text();
      out_ << YAML::EndMap;
    }
  out_ << YAML::EndMap;
}

void Importer::read(const ImportSource& source) {
  const YamlValue root = YamlValue::parse(source.yaml, source.place);
  YamlMap map = root.map("a models file or server.yaml of the scripts");
  if (const auto value = map.find("defaults")) defaults(*value);
  if (const auto list = map.find("models")) {
    out_ << YAML::Key << "models" << YAML::Value << YAML::BeginSeq;
    for (const YamlValue& each : list->list()) model(each);
    out_ << YAML::EndSeq;
  }
  if (map.find("open_webui") || map.find("litellm")) sidecars(map);
  for (const auto& [key, each] : map.entries())
    if (key != "defaults" && key != "models" && key != "open_webui" && key != "litellm")
      note(each, "{} is not known; it was left out", hub::printable(key, 60));
}

ImportedModels Importer::finish() {
  out_ << YAML::EndMap;
  ImportedModels imported;
  imported.yaml = std::string(out_.c_str()) + "\n";
  imported.report = std::move(report_);
  return imported;
}

}  // namespace

ImportedModels import_models(const std::vector<ImportSource>& sources, const BackendTable& table) {
  Importer importer(table);
  for (const ImportSource& source : sources) importer.read(source);
  ImportedModels imported = importer.finish();
  try {
    parse_models_file(imported.yaml, "the imported file", table);
  } catch (const Error& error) {
    imported.report.push_back(fmt::format("to be mended by hand: {}", error.what()));
  }
  return imported;
}

}  // namespace mica
