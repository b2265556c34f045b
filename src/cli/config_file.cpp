#include "cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/spelling.h"

namespace mica {
namespace {

constexpr const char* kFlag = "--config";

const CLI::App* chosen_command(const CLI::App& app, const std::vector<std::string>& given) {
  for (const std::string& argument : given) {
    const auto found = app.get_subcommands(
        [&](const CLI::App* command) { return command->get_name() == argument; });
    if (!found.empty()) return found.front();
  }
  return nullptr;
}

std::optional<std::string> config_path(const std::vector<std::string>& given) {
  const std::string with_value = std::string(kFlag) + "=";
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] == kFlag && i + 1 < given.size()) return given[i + 1];
    if (given[i].rfind(with_value, 0) == 0) return given[i].substr(with_value.size());
  }
  return std::nullopt;
}

// Values inside of a flag that takes JSON; a quoted scalar is a string.
nlohmann::ordered_json json_of(const YAML::Node& node) {
  nlohmann::ordered_json json;
  switch (node.Type()) {
    case YAML::NodeType::Map:
      json = nlohmann::ordered_json::object();
      for (const auto& item : node) json[item.first.as<std::string>()] = json_of(item.second);
      return json;
    case YAML::NodeType::Sequence:
      json = nlohmann::ordered_json::array();
      for (const auto& item : node) json.push_back(json_of(item));
      return json;
    case YAML::NodeType::Scalar: {
      bool truth = false;
      if (node.Tag() == "!") return node.Scalar();
      if (YAML::convert<bool>::decode(node, truth)) return truth;
      const auto number = nlohmann::ordered_json::parse(node.Scalar(), nullptr, false);
      if (number.is_number()) return number;
      return node.Scalar();
    }
    default: return nullptr;
  }
}

// "max_tokens" and "--max-tokens" are "max-tokens".
std::string flag_name(const YAML::Node& key) {
  std::string name = key.Scalar();
  name.erase(0, name.find_first_not_of('-'));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// Flags that say nothing in a file.
bool is_excluded(const std::string& name) {
  return name == "config" || name == "help" || name == "version";
}

class ConfigFile {
 public:
  ConfigFile(std::string path, const CLI::App& command, const std::vector<std::string>& given)
      : path_(std::move(path)), command_(command), given_(given) {}
  std::vector<std::string> arguments();

 private:
  template <typename... Args>
  [[noreturn]] void fail(const YAML::Mark& mark, fmt::format_string<Args...> text, Args&&... args) {
    throw Error(ErrorKind::kUsage, "[config] {}:{}: {}", path_, mark.line + 1,
                fmt::format(text, std::forward<Args>(args)...));
  }
  YAML::Node read();
  const CLI::Option& option(const std::string& key, const YAML::Mark& mark);
  std::vector<std::string> known() const;
  bool is_given(const CLI::Option& option) const;
  void add(const CLI::Option& option, const YAML::Node& key, const YAML::Node& value);

  const std::string path_;
  const CLI::App& command_;
  const std::vector<std::string>& given_;
  std::vector<std::string> arguments_;
};

YAML::Node ConfigFile::read() {
  std::ifstream file(path_);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw Error(ErrorKind::kUsage, "[config] {}: it can't be read, or is empty; is the path right?",
                path_);
  try {
    return YAML::Load(text.str());
  } catch (const YAML::Exception& error) {
    fail(error.mark, "expected YAML, found: {}", error.msg);
  }
}

std::vector<std::string> ConfigFile::known() const {
  std::vector<std::string> names;
  for (const CLI::App* app : {&command_, static_cast<const CLI::App*>(command_.get_parent())}) {
    if (!app) continue;
    for (const CLI::Option* option : app->get_options())
      for (const std::string& name : option->get_lnames())
        if (!is_excluded(name)) names.push_back(name);
  }
  return names;
}

const CLI::Option& ConfigFile::option(const std::string& key, const YAML::Mark& mark) {
  for (const CLI::App* app : {&command_, static_cast<const CLI::App*>(command_.get_parent())}) {
    const CLI::Option* found = app ? app->get_option_no_throw("--" + key) : nullptr;
    if (found && !is_excluded(key)) return *found;
  }
  fail(mark, "'{}' is no flag of `{}`{}", key, command_.get_name(), meant_instead(key, known()));
}

bool ConfigFile::is_given(const CLI::Option& option) const {
  const auto is = [&](const std::string& argument, const std::string& name) {
    return argument == name || argument.rfind(name + "=", 0) == 0;
  };
  return std::any_of(given_.begin(), given_.end(), [&](const std::string& argument) {
    for (const std::string& name : option.get_lnames())
      if (is(argument, "--" + name)) return true;
    for (const std::string& name : option.get_snames())
      if (argument.rfind("-" + name, 0) == 0) return true;
    return false;
  });
}

void ConfigFile::add(const CLI::Option& option, const YAML::Node& key, const YAML::Node& value) {
  const std::string flag = "--" + flag_name(key);
  if (option.get_expected_max() == 0 || option.get_type_size_max() == 0) {  // takes no value
    bool on = false;
    if (!value.IsScalar() || !YAML::convert<bool>::decode(value, on))
      fail(key.Mark(), "{} takes true or false", flag);
    if (on) arguments_.push_back(flag);
    return;
  }
  if (value.IsNull()) fail(key.Mark(), "{} has no value; leave the line out", flag);
  if (value.IsMap()) {
    arguments_.push_back(flag + "=" + json_of(value).dump());
  } else if (value.IsSequence()) {
    for (const auto& item : value) {
      if (!item.IsScalar()) fail(item.Mark(), "{} takes a list of plain values", flag);
      arguments_.push_back(flag + "=" + item.Scalar());
    }
  } else {
    arguments_.push_back(flag + "=" + value.Scalar());
  }
}

std::vector<std::string> ConfigFile::arguments() {
  const YAML::Node root = read();
  if (!root.IsMap())
    fail(root.Mark(), "expected lines as 'name: value', with the flags' names without dashes");
  std::set<std::string> seen;
  for (const auto& item : root) {
    if (!item.first.IsScalar()) fail(item.first.Mark(), "expected the name of a flag");
    const std::string key = flag_name(item.first);
    if (!seen.insert(key).second) fail(item.first.Mark(), "'{}' is there twice", key);
    const CLI::Option& found = option(key, item.first.Mark());
    if (!is_given(found)) add(found, item.first, item.second);
  }
  return std::move(arguments_);
}

}  // namespace

std::vector<std::string> with_config_file(const CLI::App& app, std::vector<std::string> given) {
  const CLI::App* command = chosen_command(app, given);
  const CLI::Option* option = command ? command->get_option_no_throw(kFlag) : nullptr;
  // Elsewhere --config is another name of a flag for files of another kind.
  if (!option || option->get_lnames().front() != kFlag + 2) return given;
  const auto path = config_path(given);
  if (!path) return given;
  for (std::string& argument : ConfigFile(*path, *command, given).arguments())
    given.push_back(std::move(argument));
  return given;
}

}  // namespace mica
