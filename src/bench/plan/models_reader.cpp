// The models file's YAML, key by key.
#include <algorithm>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/layer_reader.h"
#include "bench/plan/models_file.h"
#include "bench/plan/yaml_reader.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

class Reader {
 public:
  Reader(const std::string& place, const BackendTable& table) : table_(table) {
    file_.path = place;
  }
  ModelsFile read(std::string_view yaml);

 private:
  const BackendDescriptor& backend(const std::string& name, const YamlValue& value) const;
  void read_storage(const YamlValue& value);
  void read_defaults(const YamlValue& value);
  void read_patterns(const YamlValue& value, const BackendDescriptor& of);
  void read_model(const YamlValue& value);
  void read_profiles(const YamlValue& value, ModelEntry& entry);
  void read_sidecars(const YamlValue& value);
  void check_names() const;

  const BackendTable& table_;
  ModelsFile file_;
};

std::vector<std::string> read_globs(const YamlValue& value) {
  std::vector<std::string> globs = value.texts();
  for (const std::string& glob : globs)
    if (glob.empty()) value.expected("a glob such as 'mlx-community/*'");
  return globs;
}

const BackendDescriptor& Reader::backend(const std::string& name, const YamlValue& value) const {
  if (const BackendDescriptor* found = table_.find(name)) return *found;
  throw Error(ErrorKind::kUsage, "[yaml] {}: '{}' is no backend{}", value.place(),
              hub::printable(name, 60), meant_instead(name, table_.names()));
}

void Reader::read_storage(const YamlValue& value) {
  YamlMap map = value.map("storage");
  if (const auto root = map.find("primary")) file_.primary = {root->text(), {root->place()}};
  if (const auto root = map.find("gguf")) file_.gguf = {root->text(), {root->place()}};
  map.finish();
}

void Reader::read_patterns(const YamlValue& value, const BackendDescriptor& of) {
  for (const YamlValue& item : value.list()) {
    YamlMap map = item.map("a model pattern");
    ModelPattern pattern;
    pattern.backend = of.name;
    pattern.globs = read_globs(map.require("match"));
    const std::string first = pattern.globs.empty() ? "" : pattern.globs.front();
    pattern.layer = read_layer(map, "pattern '" + first + "'", &of, table_);
    map.finish();
    file_.patterns.push_back(std::move(pattern));
  }
}

void Reader::read_defaults(const YamlValue& value) {
  YamlMap map = value.map("defaults");
  if (const auto storage = map.find("storage")) read_storage(*storage);
  if (const auto backends = map.find("backends")) {
    const YamlMap all = backends->map("backends");
    for (const auto& [name, each] : all.entries()) {
      const BackendDescriptor& of = backend(name, each);
      if (file_.defaults.contains(of.name)) each.fail("the backend is there twice");
      YamlMap keys = each.map("a backend");
      file_.defaults[of.name] = read_layer(keys, "defaults", &of, table_);
      if (const auto patterns = keys.find("model_patterns")) read_patterns(*patterns, of);
      keys.finish();
    }
  }
  map.finish();
}

void Reader::read_profiles(const YamlValue& value, ModelEntry& entry) {
  const YamlMap all = value.map("profiles");
  for (const auto& [name, each] : all.entries()) {
    if (name.empty() || name == "none") each.fail("it is no name for a profile");
    YamlMap map = each.map("a profile");
    ModelProfile profile;
    profile.name = name;
    profile.place = each.place();
    const BackendDescriptor* of = nullptr;
    if (const auto chosen = map.find("backend")) {
      of = &backend(chosen->text(), *chosen);
      profile.backend = {of->name, {chosen->place()}};
    }
    profile.layer = read_layer(map, "profile " + name, of, table_);
    map.finish();
    entry.profiles.push_back(std::move(profile));
  }
}

void read_revisions(YamlMap& map, ModelEntry& entry) {
  const auto one = map.find("revision");
  const auto several = map.find("revisions");
  if (one && several) several->fail("expected 'revision' or 'revisions', found both");
  if (one) entry.revisions = {one->text()};
  if (several) entry.revisions = several->texts();
  for (const std::string& revision : entry.revisions)
    if (!hub::is_revision(revision)) (one ? *one : *several).expected("branches, tags or commits");
}

void Reader::read_model(const YamlValue& value) {
  YamlMap map = value.map("a model");
  ModelEntry entry;
  entry.place = value.place();
  const YamlValue repo = map.require("repo_id");
  entry.repo_id = repo.text();
  if (!hub::is_repo_id(entry.repo_id)) repo.expected("a repository as org/name");
  map.read("name", entry.name);
  if (const auto match = map.find("match")) entry.match = read_globs(*match);
  if (const auto include = map.find("include")) entry.include = read_globs(*include);
  if (const auto exclude = map.find("exclude")) entry.exclude = read_globs(*exclude);
  map.read("files", entry.files);
  read_revisions(map, entry);
  map.read("local_dir", entry.local_dir);
  if (const auto type = map.find("repo_type"))
    entry.repo_type = type->one_of({"model", "dataset", "space"});
  if (const auto format = map.find("format"))
    entry.format = format->one_of({"mlx", "safetensors", "gguf", "exl3"});
  if (const auto chosen = map.find("backend"))
    entry.backend = {backend(chosen->text(), *chosen).name, {chosen->place()}};
  if (const auto backends = map.find("backends")) {
    const YamlMap all = backends->map("backends");
    for (const auto& [name, each] : all.entries()) {
      const BackendDescriptor& of = backend(name, each);
      if (entry.backends.contains(of.name)) each.fail("the backend is there twice");
      YamlMap keys = each.map("a backend");
      entry.backends[of.name] = read_layer(keys, "model " + entry.repo_id, &of, table_);
      keys.finish();
    }
  }
  if (const auto profiles = map.find("profiles")) read_profiles(*profiles, entry);
  map.finish();
  file_.models.push_back(std::move(entry));
}

void Reader::read_sidecars(const YamlValue& value) {
  YamlMap all = value.map("sidecars");
  for (const char* name : {"open_webui", "litellm"}) {
    const auto found = all.find(name);
    if (!found) continue;
    YamlMap map = found->map("a sidecar");
    Sidecar& sidecar = file_.sidecars[name];
    map.read("enabled", sidecar.enabled);
    map.read("image", sidecar.image);
    map.read("version", sidecar.version);
    if (const auto port = map.find("port"))
      sidecar.port = static_cast<int>(port->integer(1, 65535));
    if (std::string(name) == "litellm") map.read("alias", sidecar.alias);
    map.finish();
  }
  all.finish();
}

// A short name stands for one model, and is no repository that the file has.
void Reader::check_names() const {
  std::map<std::string, const ModelEntry*> names;
  for (const ModelEntry& entry : file_.models) {
    if (entry.name.empty()) continue;
    const auto [other, is_new] = names.emplace(entry.name, &entry);
    if (!is_new)
      throw Error(ErrorKind::kUsage, "[yaml] {}: name '{}' is that of the model at {} already",
                  entry.place, hub::printable(entry.name, 60), other->second->place);
  }
}

ModelsFile Reader::read(std::string_view yaml) {
  const YamlValue root = YamlValue::parse(yaml, file_.path);
  if (root.is_null()) return std::move(file_);
  YamlMap map = root.map("the models file");
  if (const auto storage = map.find("storage")) read_storage(*storage);
  if (const auto defaults = map.find("defaults")) read_defaults(*defaults);
  if (const auto models = map.find("models"))
    for (const YamlValue& model : models->list()) read_model(model);
  if (const auto sidecars = map.find("sidecars")) read_sidecars(*sidecars);
  map.finish();
  check_names();
  return std::move(file_);
}

}  // namespace

ModelsFile parse_models_file(std::string_view yaml, const std::string& place,
                             const BackendTable& table) {
  return Reader(place, table).read(yaml);
}

}  // namespace mica
