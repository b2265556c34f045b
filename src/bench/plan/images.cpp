#include "bench/plan/images.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/expand.h"
#include "bench/plan/yaml_reader.h"

namespace mica {
namespace {

// Images that are built for what nobody publishes have names of Mica's, so that they are never
// taken for the publisher's.
constexpr const char* kOwnRepository = "mica-bench/";
constexpr size_t kShownDigits = 12;

std::string with_version(std::string text, const std::string& version) {
  constexpr std::string_view kPlace = "{version}";
  if (const size_t at = text.find(kPlace); at != text.npos)
    text.replace(at, kPlace.size(), version);
  return text;
}

const Sourced* scalar(const MergedLayers& merged, const char* name) {
  const auto found = merged.scalars.find(name);
  return found == merged.scalars.end() ? nullptr : &found->second;
}

std::set<int> architectures(const PlanFacts& facts) {
  std::set<int> found;
  for (const PlanGpu& gpu : facts.gpus)
    if (gpu.compute > 0) found.insert(gpu.compute);
  return found;
}

// "8.0 12.0" or "80;120"
std::string architecture_list(const std::set<int>& found, bool torch) {
  std::string text;
  for (const int compute : found) {
    if (!text.empty()) text += torch ? ' ' : ';';
    text += torch ? fmt::format("{}.{}", compute / 10, compute % 10) : std::to_string(compute);
  }
  return text;
}

void add_arguments(ChosenImage& chosen, const BackendDocker& docker, const MergedLayers& merged,
                   const PlanFacts& facts, const std::string& version) {
  std::map<std::string, PlanVariable> variables;
  for (const auto& [name, value] : docker.build_arguments)
    variables[name] = {name, with_version(value, version), false, {}};
  const std::set<int> found = architectures(facts);
  if (const std::string& name = docker.architectures.argument; !name.empty() && !found.empty())
    variables[name] = {name,
                       architecture_list(found, docker.architectures.torch),
                       false,
                       {"derived: the GPUs found"}};
  for (const auto& [name, value] : merged.build_arguments) {
    if (value)
      variables[name] = {name, with_version(value->value, version), is_secret_name(name),
                         value->origin};
    else
      variables.erase(name);
  }
  for (auto& [name, variable] : variables) chosen.arguments.push_back(std::move(variable));
}

std::string tag_of(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '_') c = '-';
  return text.empty() ? "unversioned" : text;
}

// The folder of the pull request's commit over the image that was chosen.
void lay_over(ChosenImage& chosen, const BackendDescriptor& backend, const Sourced& wanted,
              const std::string& version) {
  const BackendOverlay& overlay = backend.docker->overlay;
  if (overlay.repository.empty())
    throw Error(ErrorKind::kUsage,
                "[plan] {}: pr: nothing says which folder of {} a pull request replaces: its "
                "descriptor has no docker.overlay",
                wanted.origin.text, backend.name);
  const size_t at = wanted.value.find('@');
  const std::string number = wanted.value.substr(0, at), commit = wanted.value.substr(at + 1);
  chosen.dockerfile = fmt::format("FROM {}\nADD {}#{}:{} {}\n", chosen.name(), overlay.repository,
                                  commit, overlay.folder, overlay.into);
  std::string tag = tag_of(version);
  if (!chosen.digest.empty()) tag += "-" + chosen.digest.substr(7, kShownDigits);
  chosen.image = {fmt::format("{}{}:{}-pr-{}-{}", kOwnRepository, backend.name, tag, number,
                              commit.substr(0, kShownDigits)),
                  wanted.origin};
  chosen.digest.clear();
  chosen.build = true;
}

void choose_build(ChosenImage& chosen, const BackendDescriptor& backend, const MergedLayers& merged,
                  const PlanFacts& facts, const std::string& version) {
  const BackendDocker& docker = *backend.docker;
  const Sourced *context = scalar(merged, "build_context"), *file = scalar(merged, "build_file");
  if (context) {
    chosen.context = expand_variables(context->value,
                                      [&](const std::string& name) -> std::optional<std::string> {
                                        const auto found = facts.environment.find(name);
                                        if (found == facts.environment.end()) return std::nullopt;
                                        return found->second;
                                      });
    // Of the descriptor's file only where the context is the same repository's, which is not known.
    if (file) chosen.file = file->value;
  } else {
    chosen.context = docker.build_context;
    chosen.file = file ? file->value : docker.build_file;
    chosen.dockerfile = docker.dockerfile;
  }
  chosen.context = with_version(chosen.context, version);
  if (chosen.context.empty() && chosen.dockerfile.empty())
    throw Error(ErrorKind::kUsage,
                "[plan] {}: image_type is build, and there is no build_context with a Dockerfile",
                backend.name);
  add_arguments(chosen, docker, merged, facts, version);
  if (scalar(merged, "image") || docker.image_type == "build") return;
  std::string tag = tag_of(version);
  if (!docker.architectures.argument.empty())
    for (const int compute : architectures(facts)) tag += fmt::format("-sm{}", compute);
  chosen.image.value = fmt::format("{}{}:{}", kOwnRepository, backend.name, tag);
}

}  // namespace

Sourced wanted_version(const BackendDescriptor& backend, const MergedLayers& merged) {
  const Sourced* version = scalar(merged, "version");
  return version ? *version : Sourced{backend.version, {backend.place}};
}

ChosenImage choose_image(const BackendDescriptor& backend, const MergedLayers& merged,
                         const PlanFacts& facts) {
  const Sourced version = wanted_version(backend, merged);
  const Sourced* image = scalar(merged, "image");
  ChosenImage chosen;
  chosen.image = image
                     ? Sourced{with_version(image->value, version.value), image->origin}
                     : Sourced{with_version(backend.docker->image, version.value), version.origin};
  const Sourced* type = scalar(merged, "image_type");
  chosen.build = (type ? type->value : backend.docker->image_type) == "build";
  if (chosen.build) choose_build(chosen, backend, merged, facts, version.value);
  const auto pinned = facts.pins.find(chosen.image.value);
  if (const Sourced* digest = scalar(merged, "digest"))
    chosen.digest = digest->value;
  else if (pinned != facts.pins.end())
    chosen.digest = pinned->second;
  if (const Sourced* wanted = scalar(merged, "pr"))
    lay_over(chosen, backend, *wanted, version.value);
  return chosen;
}

std::map<std::string, std::string> parse_pins(std::string_view yaml, const std::string& place) {
  std::map<std::string, std::string> pins;
  const YamlValue file = YamlValue::parse(yaml, place);
  if (file.is_null()) return pins;
  const YamlMap map = file.map("pins");
  for (const auto& [image, digest] : map.entries()) {
    pins[image] = digest.text();
    if (!pins[image].starts_with("sha256:")) digest.expected("'sha256:' and 64 hexadecimal digits");
  }
  return pins;
}

std::string pins_yaml(const std::map<std::string, std::string>& pins) {
  std::string yaml = "# Written by `mica images pin --write`: digests of images.\n";
  for (const auto& [image, digest] : pins) yaml += fmt::format("\"{}\": {}\n", image, digest);
  return yaml;
}

std::vector<NamedImage> named_images(const BackendTable& table, const ModelsFile& models,
                                     const PlanFacts& facts) {
  std::vector<NamedImage> images;
  std::set<std::string> seen;
  const auto add = [&](const BackendDescriptor& backend, const std::string& user,
                       const ModelEntry* entry, const ModelProfile* profile) {
    const MergedLayers merged = merge_layers(
        backend, models.layers(backend.name, entry ? entry->repo_id : "", entry, profile));
    NamedImage named{backend.name, user, choose_image(backend, merged, facts)};
    if (seen.insert(backend.name + " " + named.chosen.name()).second)
      images.push_back(std::move(named));
  };
  for (const BackendDescriptor& backend : table.all()) {
    if (!backend.docker) continue;
    add(backend, "defaults", nullptr, nullptr);
    for (const ModelEntry& entry : models.models) {
      if (entry.backends.contains(backend.name))
        add(backend, "model " + entry.repo_id, &entry, nullptr);
      for (const ModelProfile& profile : entry.profiles)
        if (profile.backend && profile.backend->value == backend.name)
          add(backend, fmt::format("profile {} of {}", profile.name, entry.repo_id), &entry,
              &profile);
    }
  }
  return images;
}

}  // namespace mica
