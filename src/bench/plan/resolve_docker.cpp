// The container of a plan, and the variables of both kinds of start.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/expand.h"
#include "bench/plan/images.h"
#include "bench/plan/resolver.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::string expanded(const std::string& text, const PlanFacts& facts) {
  return expand_variables(text, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = facts.environment.find(name);
    if (found == facts.environment.end()) return std::nullopt;
    return found->second;
  });
}

std::string with(std::string text, const std::string& placeholder, const std::string& value) {
  if (const size_t at = text.find(placeholder); at != text.npos)
    text.replace(at, placeholder.size(), value);
  return text;
}

const Sourced* scalar(const PlanBuild& build, const char* name) {
  const auto found = build.merged.scalars.find(name);
  return found == build.merged.scalars.end() ? nullptr : &found->second;
}

void use_image(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  ChosenImage chosen = choose_image(build.backend, build.merged, build.facts);
  plan.image = std::move(chosen.image);
  plan.digest = std::move(chosen.digest);
  plan.build = chosen.build;
  plan.build_context = std::move(chosen.context);
  plan.build_file = std::move(chosen.file);
  plan.dockerfile = std::move(chosen.dockerfile);
  plan.build_arguments = std::move(chosen.arguments);
  plan.image_hint = build.backend.docker->hint;
}

bool is_gpu_option(const PlanArgument& option) {
  return option.words.front() == "--gpus" || option.words.front() == "--runtime";
}

// The descriptor's options that stay, then the user's.
void choose_options(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const MergedLayers& merged = build.merged;
  const std::set<std::string> repeatable = {
      "-v",      "--volume", "--env",      "-e", "--ulimit",  "-l",        "--label",
      "--mount", "--device", "--add-host", "-p", "--publish", "--cap-add", "--security-opt"};
  std::vector<PlanArgument> options;
  for (const std::vector<std::string>& words : build.backend.docker->options) {
    PlanArgument option{words, {build.backend.place}};
    for (std::string& word : option.words) word = with(word, "{user}", build.facts.user);
    options.push_back(std::move(option));
  }
  if (merged.replaces_docker_options) options.clear();
  const bool no_gpu = build.facts.gpus.empty() && build.backend.cpu;
  std::erase_if(options, [&](const PlanArgument& option) {
    const std::string flag = flag_of(option);
    const auto is = [&](const PlanArgument& other) {
      return flag_of(other) == flag && !repeatable.contains(flag);
    };
    const auto same = [&](const PlanArgument& gone) {
      return gone.words == option.words || (gone.words.size() == 1 && gone.words.front() == flag);
    };
    return (no_gpu && is_gpu_option(option)) ||
           std::any_of(merged.removed_docker_options.begin(), merged.removed_docker_options.end(),
                       same) ||
           std::any_of(merged.docker_options.begin(), merged.docker_options.end(), is);
  });
  options.insert(options.end(), merged.docker_options.begin(), merged.docker_options.end());
  plan.docker_options = std::move(options);
  if (build.request.gpus.empty()) return;
  std::string devices;
  for (const int index : build.request.gpus)
    devices += (devices.empty() ? "" : ",") + std::to_string(index);
  for (PlanArgument& option : plan.docker_options)
    if (flag_of(option) == "--gpus")
      option = {{"--gpus", "\"device=" + devices + "\""}, {"--gpus"}};
}

void add_mount(LaunchPlan& plan, const fs::path& host, const std::string& container, bool writable,
               const Origin& origin) {
  for (const PlanMount& mount : plan.mounts)
    if (mount.container == container) return;
  for (const std::string& path : {host.string(), container})
    if (path.find(':') != path.npos)
      throw Error(ErrorKind::kUsage, "[plan] Docker can't mount '{}': its -v ends a path at ':'",
                  path);
  plan.mounts.push_back({host.string(), container, writable, origin});
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && relative.begin()->string() != "..";
}

// Folders outside of `folder` in which targets of its links lie.
std::set<fs::path> link_targets(const fs::path& folder) {
  constexpr size_t kMaxEntries = 20'000;
  std::set<fs::path> targets;
  std::error_code failed;
  size_t seen = 0;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied,
                                      failed);
  for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
    if (++seen > kMaxEntries) break;
    std::error_code ignored;
    if (!fs::is_symlink(it->symlink_status(ignored))) continue;
    const fs::path target = fs::weakly_canonical(it->path(), ignored);
    if (fs::is_regular_file(target, ignored) && !is_below(target, folder))
      targets.insert(target.parent_path());
  }
  return targets;
}

// A model lies in the container where it lies here, so that links of its files lead there, too. Of
// a snapshot the whole repository is seen: its files are links to ../../blobs.
void mount_model(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const ModelPlace& place = build.out.place;
  const Origin origin{"the model, read-only"};
  const fs::path root = place.repository.empty() ? place.folder : place.repository;
  add_mount(plan, root, root.string(), false, origin);
  if (place.repository.empty())
    for (const fs::path& target : link_targets(place.folder))
      add_mount(plan, target, target.string(), false, {"targets of the model's links, read-only"});
  if (!place.projector.empty() && !is_below(place.projector, root))
    add_mount(plan, place.projector.parent_path(), place.projector.parent_path().string(), false,
              {"the vision projector, read-only"});
}

// A model that is not here is downloaded by the backend, into the cache that others use.
void mount_cache(PlanBuild& build) {
  const BackendDocker& docker = *build.backend.docker;
  if (docker.cache.empty()) return;
  const Origin origin{"the model is downloaded into this cache"};
  if (!docker.host_cache.empty())
    return add_mount(build.out.plan, expanded(docker.host_cache, build.facts), docker.cache, true,
                     origin);
  const fs::path hub = build.facts.hub_cache;
  if (hub.filename() == "hub")
    add_mount(build.out.plan, hub.parent_path(), docker.cache, true, origin);
  else
    add_mount(build.out.plan, hub, docker.cache + "/hub", true, origin);
}

void choose_mounts(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  for (const PlanMount& mount : build.backend.docker->mounts) {
    const bool gone = std::any_of(
        build.merged.removed_mounts.begin(), build.merged.removed_mounts.end(),
        [&](const PlanArgument& removed) { return removed.words.front() == mount.container; });
    if (!gone)
      add_mount(plan, expanded(mount.host, build.facts), mount.container, mount.writable,
                mount.origin);
  }
  for (const PlanArgument& mount : build.merged.mounts) {
    const std::string& word = mount.words.front();
    const bool writable = word.ends_with(":rw");
    const size_t end = writable || word.ends_with(":ro") ? word.size() - 3 : word.size();
    const size_t colon = word.find(':');
    add_mount(plan, expanded(word.substr(0, colon), build.facts),
              word.substr(colon + 1, end - colon - 1), writable, mount.origin);
  }
  if (build.out.place.is_here())
    mount_model(build);
  else
    mount_cache(build);
}

}  // namespace

void build_docker(PlanBuild& build) {
  use_image(build);
  choose_options(build);
  choose_mounts(build);
}

void mount_file(PlanBuild& build, const std::string& path, const Origin& origin) {
  if (build.out.plan.mode == LaunchMode::kDocker)
    add_mount(build.out.plan, path, path, false, origin);
}

void build_environment(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const bool docker = plan.mode == LaunchMode::kDocker;
  plan.program = docker ? build.backend.docker->program : build.backend.process->program;
  if (build.merged.program) plan.program = build.merged.program->values;
  if (!docker && !build.merged.program && !plan.program.empty()) {
    const auto found = build.facts.programs.find(plan.program.front());
    if (found != build.facts.programs.end()) plan.program.front() = found->second;
  }
  if (const Sourced* directory = scalar(build, "directory"))
    plan.directory = expanded(directory->value, build.facts);
  std::map<std::string, PlanVariable> variables;
  for (const PlanVariable& variable : build.backend.environment)
    variables[variable.name] = variable;
  const auto token = build.facts.environment.find("HF_TOKEN");
  if (token != build.facts.environment.end() && !build.out.place.is_here())
    variables["HF_TOKEN"] = {"HF_TOKEN", token->second, true, {"this shell, for the download"}};
  const BackendKey& key = build.backend.key;
  const bool has_key = !build.request.key.empty();
  if (has_key && !key.is_taken())
    plan.warnings.push_back(
        fmt::format("{} has no way to be told a key: it answers without", build.backend.title));
  if (!docker && !build.request.gpus.empty()) {
    std::string devices;
    for (const int index : build.request.gpus)
      devices += (devices.empty() ? "" : ",") + std::to_string(index);
    variables["CUDA_VISIBLE_DEVICES"] = {"CUDA_VISIBLE_DEVICES", devices, false, {"--gpus"}};
  }
  for (const auto& [name, value] : build.merged.environment) {
    if (value)
      variables[name] = {name, expanded(value->value, build.facts), is_secret_name(name),
                         value->origin};
    else
      variables.erase(name);
  }
  if (has_key && !key.variable.empty())
    variables[key.variable] = {key.variable, build.request.key, true, {"the key of its clients"}};
  for (auto& [name, variable] : variables) plan.environment.push_back(std::move(variable));
}

}  // namespace mica
