#include "bench/plan/layers.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/spelling.h"

namespace mica {
namespace {

using Type = BackendSetting::Type;

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Whether `wanted` (of a `remove`) means `argument`: its flag, or all of its words.
bool means(const PlanArgument& wanted, const PlanArgument& argument) {
  if (wanted.words == argument.words) return true;
  const std::string flag = flag_of(wanted);
  return wanted.words.size() == 1 && !flag.empty() && flag == flag_of(argument);
}

// A mount is known by where it lies in the container, too.
bool means_mount(const PlanArgument& wanted, const PlanArgument& mount) {
  const std::string& word = mount.words.front();
  return wanted.words == mount.words || word.ends_with(":" + wanted.words.front()) ||
         word.ends_with(":" + wanted.words.front() + ":rw");
}

void change_list(const ListChange& change, std::vector<PlanArgument>& list,
                 std::vector<PlanArgument>& removed,
                 bool (*same)(const PlanArgument&, const PlanArgument&)) {
  if (change.replace) list.clear();
  for (const PlanArgument& gone : change.remove) {
    std::erase_if(list, [&](const PlanArgument& argument) { return same(gone, argument); });
    removed.push_back(gone);
  }
  list.insert(list.end(), change.add.begin(), change.add.end());
}

void merge_texts(const TextMap& above, TextMap& below) {
  for (const auto& [key, value] : above) below[key] = value;
}

const BackendSetting& known_setting(const BackendDescriptor& backend, const std::string& name,
                                    const std::string& place) {
  if (const BackendSetting* setting = backend.setting(name)) return *setting;
  throw Error(ErrorKind::kUsage,
              "[plan] {}: '{}' is no setting of {}{}; flags of its own go into "
              "extra_args",
              place, name, backend.name, meant_instead(name, backend.setting_names()));
}

void merge_settings(const BackendDescriptor& backend, const Layer& layer, MergedLayers& merged) {
  for (const auto& [name, value] : layer.settings) {
    const std::string place = value ? value->origin.text : layer.title;
    const BackendSetting& setting = known_setting(backend, name, place);
    if (value && value->values.size() != 1 && setting.type != Type::kList &&
        setting.type != Type::kWords)
      throw Error(ErrorKind::kUsage, "[plan] {}: {}: expected one value, found {}", place, name,
                  value->values.size());
    if (value)
      for (const std::string& each : value->values) setting.check(each, place);
    const std::vector<std::string> flags = setting.flags();
    std::erase_if(merged.extra_arguments, [&](const PlanArgument& argument) {
      return has(flags, flag_of(argument)) && setting.type != Type::kList;
    });
    merged.settings[setting.name] = value;
  }
}

// What an argument says of a setting that has its flag; nullopt where it says it in another way.
std::optional<std::string> value_in(const PlanArgument& argument, const BackendSetting& setting) {
  if (has(setting.on, flag_of(argument)) && argument.words == setting.on) return "true";
  if (has(setting.off, flag_of(argument)) && argument.words == setting.off) return "false";
  for (const auto& [choice, words] : setting.choices)
    if (argument.words == words) return choice;
  if (setting.words.size() != 2 || setting.words[1] != "{}") return std::nullopt;
  const std::string& first = argument.words.front();
  const size_t equals = first.find('=');
  if (equals != first.npos && argument.words.size() == 1) return first.substr(equals + 1);
  if (argument.words.size() == 2) return argument.words[1];
  return std::nullopt;
}

const BackendSetting* setting_with(const BackendDescriptor& backend, const std::string& flag) {
  for (const BackendSetting& setting : backend.settings)
    if (!flag.empty() && has(setting.flags(), flag)) return &setting;
  return nullptr;
}

void add_extra(const BackendDescriptor& backend, const PlanArgument& argument,
               MergedLayers& merged) {
  const std::string flag = flag_of(argument);
  const BackendSetting* setting = setting_with(backend, flag);
  if (setting && is_of_the_plan(setting->name))
    throw Error(ErrorKind::kUsage,
                "[plan] {}: {} is said by Mica; it can't be an extra argument; --{} says it",
                argument.origin.text, flag, setting->name);
  if (!setting || setting->type == Type::kList) {
    for (const PlanArgument& other : merged.extra_arguments)
      if (!flag.empty() && !setting && flag_of(other) == flag)
        merged.warnings.push_back(
            fmt::format("{} is there twice: {} and {}; most backends take the "
                        "last one",
                        flag, other.origin.text, argument.origin.text));
    merged.extra_arguments.push_back(argument);
    return;
  }
  const std::optional<std::string> value = value_in(argument, *setting);
  const std::vector<std::string> flags = setting->flags();
  if (!value) {  // its own way of saying it stays as it is
    merged.settings[setting->name] = std::nullopt;
    merged.extra_arguments.push_back(argument);
    return;
  }
  setting->check(*value, argument.origin.text);
  std::erase_if(merged.extra_arguments,
                [&](const PlanArgument& other) { return has(flags, flag_of(other)); });
  merged.settings[setting->name] = SettingValue{{*value}, argument.origin};
}

void merge_extra(const BackendDescriptor& backend, const Layer& layer, MergedLayers& merged) {
  const ListChange& change = layer.extra_arguments;
  auto& list = merged.extra_arguments;
  if (change.replace) list.clear();
  for (const PlanArgument& gone : change.remove) {
    const size_t before = list.size();
    std::erase_if(list, [&](const PlanArgument& argument) { return means(gone, argument); });
    const BackendSetting* setting = setting_with(backend, flag_of(gone));
    if (setting) merged.settings[setting->name] = std::nullopt;
    if (!setting && list.size() == before)
      merged.warnings.push_back(
          fmt::format("{}: there is no {} to remove", gone.origin.text, gone.words.front()));
  }
  for (const PlanArgument& argument : change.add) add_extra(backend, argument, merged);
}

// A digest belongs to the image that its layer names: where a later one names another, it goes.
void merge_scalars(const Layer& layer, MergedLayers& merged) {
  for (const char* key : {"version", "image", "image_type", "pr"})
    if (layer.scalars.contains(key)) merged.scalars.erase("digest");
  for (const auto& [key, value] : layer.scalars) merged.scalars[key] = value;
}

}  // namespace

bool is_of_the_plan(const std::string& setting) {
  return setting == "model" || setting == "host" || setting == "port";
}

bool begins_argument(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1])) &&
         word[1] != '.';
}

std::string flag_of(const PlanArgument& argument) {
  if (argument.words.empty() || !begins_argument(argument.words.front())) return "";
  const std::string& word = argument.words.front();
  return word.substr(0, word.find('='));
}

std::vector<PlanArgument> group_words(const std::vector<std::string>& words, const Origin& origin) {
  std::vector<PlanArgument> arguments;
  for (const std::string& word : words) {
    const size_t space = word.find(' ');
    if (word.starts_with("--") && space != word.npos && space < word.find('='))
      throw Error(ErrorKind::kUsage,
                  "[plan] {}: '{}' is one word for the backend; write it as two items, or as [{}, "
                  "\"{}\"]",
                  origin.text, word, word.substr(0, space), word.substr(space + 1));
    if (begins_argument(word) || arguments.empty() ||
        !begins_argument(arguments.back().words.front()))
      arguments.push_back({{word}, origin});
    else
      arguments.back().words.push_back(word);
  }
  return arguments;
}

MergedLayers merge_layers(const BackendDescriptor& backend, const std::vector<Layer>& layers) {
  MergedLayers merged;
  for (const Layer& layer : layers) {
    merge_scalars(layer, merged);
    merge_settings(backend, layer, merged);
    merge_texts(layer.environment, merged.environment);
    merge_texts(layer.build_arguments, merged.build_arguments);
    merge_texts(layer.sampling, merged.sampling);
    if (layer.program) merged.program = layer.program;
    merge_extra(backend, layer, merged);
    merged.replaces_docker_options |= layer.docker_options.replace;
    change_list(layer.docker_options, merged.docker_options, merged.removed_docker_options, means);
    change_list(layer.mounts, merged.mounts, merged.removed_mounts, means_mount);
  }
  return merged;
}

}  // namespace mica
