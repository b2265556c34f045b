#include "bench/plan/plan.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace mica {
namespace {

using Words = std::vector<std::string>;
using Groups = std::vector<Words>;

constexpr const char* kMask = "***";

std::string mount_word(const PlanMount& mount) {
  return mount.host + ":" + mount.container + (mount.writable ? "" : ":ro");
}

// `docker run` and what lies before the image, and the image.
void add_docker(const LaunchPlan& plan, Groups& groups) {
  groups.push_back({"docker", "run"});
  for (const PlanArgument& option : plan.docker_options) groups.push_back(option.words);
  if (plan.container_port > 0)
    groups.push_back(
        {"-p", fmt::format("{}:{}:{}", plan.host.value, plan.port.value, plan.container_port)});
  for (const PlanMount& mount : plan.mounts) groups.push_back({"-v", mount_word(mount)});
  for (const PlanVariable& variable : plan.environment)
    groups.push_back(
        {"--env", variable.secret ? variable.name : variable.name + "=" + variable.value});
  groups.push_back({plan.digest.empty() ? plan.image.value : plan.image.value + "@" + plan.digest});
}

// --api-key X and --api-key=X lose their X.
void mask(Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word.empty() || word[0] != '-') continue;
    const size_t equals = word.find('=');
    if (!is_secret_name(std::string_view(word).substr(0, equals))) continue;
    if (equals != word.npos)
      word.replace(equals + 1, word.npos, kMask);
    else
      for (++i; i < words.size() && (words[i].empty() || words[i][0] != '-'); ++i) words[i] = kMask;
  }
}

}  // namespace

const char* name(LaunchMode mode) {
  switch (mode) {
    case LaunchMode::kDocker: return "docker";
    case LaunchMode::kProcess: return "process";
    case LaunchMode::kAttach: return "attach";
  }
  MICA_CHECK(false);
}

std::vector<std::vector<std::string>> LaunchPlan::grouped_command(bool masked) const {
  Groups groups;
  if (mode == LaunchMode::kAttach) return groups;
  if (mode == LaunchMode::kDocker) add_docker(*this, groups);
  if (!program.empty()) groups.push_back(program);
  for (const PlanArgument& argument : arguments) groups.push_back(argument.words);
  if (masked)
    for (Words& words : groups) mask(words);
  return groups;
}

std::vector<std::string> LaunchPlan::command(bool masked) const {
  Words words;
  for (const Words& group : grouped_command(masked))
    words.insert(words.end(), group.begin(), group.end());
  return words;
}

bool is_secret_name(std::string_view name) {
  std::string last;  // the last of the name's words
  for (const char c : name) {
    if (c == '-' || c == '_')
      last.clear();
    else
      last += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  const std::string_view all[] = {"key", "token", "secret", "password", "passwd", "credentials"};
  return std::find(std::begin(all), std::end(all), last) != std::end(all);
}

}  // namespace mica
