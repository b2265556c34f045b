#include "bench/plan/resolver.h"

#include <algorithm>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/images.h"
#include "bench/plan/numbers.h"

namespace mica {
namespace {

struct Choice {
  std::string backend;
  Origin origin;
  const ModelProfile* profile = nullptr;
};

// The backend that is asked for, or the profile's, or the entry's, or the format's own.
Choice choose_backend(const PlanRequest& request, const BackendTable& table,
                      const ModelEntry* entry, const std::string& format) {
  Choice choice;
  if (!request.backend.empty()) choice = {table.get(request.backend).name, {"--backend"}};
  if (entry)
    choice.profile = choose_profile(*entry, request.profile, choice.backend);
  else if (!request.profile.empty() && request.profile != "none")
    throw Error(ErrorKind::kUsage,
                "[plan] --profile {}: the models file has no entry for '{}', and so no profiles",
                request.profile, request.model);
  if (!choice.backend.empty()) return choice;
  const std::optional<Sourced>* said = nullptr;
  if (choice.profile && choice.profile->backend)
    said = &choice.profile->backend;
  else if (entry && entry->backend)
    said = &entry->backend;
  const bool attaches = !request.url.empty() || request.mode == LaunchMode::kAttach;
  if (!said && attaches)
    throw Error(
        ErrorKind::kUsage,
        "[plan] attach: --backend says which engine answers at the URL, and so its dialect");
  if (said) {
    choice.backend = (*said)->value;
    choice.origin = (*said)->origin;
  } else {
    choice.backend = format == "gguf"   ? "llamacpp"
                     : format == "exl3" ? "exllamav3"
                     : format == "mlx"  ? "mica"
                                        : "vllm";
    choice.origin.text = "derived: the model's format is " + (format.empty() ? "unknown" : format);
  }
  return choice;
}

// Of a model that is not here, a backend that reads one format says which it must be.
void assume_format(const BackendDescriptor& backend, ResolvedPlan& out) {
  if (!out.place.format.empty() || out.place.is_here()) return;
  const bool one = backend.formats.size() == 1;
  if (one) out.place.format = backend.formats.front();
  out.plan.warnings.push_back(
      "the model is not on this machine, and its name does not tell its format" +
      (one ? fmt::format("; taken for {}, as {} reads nothing else", out.place.format,
                         backend.title)
           : ""));
}

LaunchMode parse_mode(const std::string& word) {
  if (word == "docker") return LaunchMode::kDocker;
  return word == "process" ? LaunchMode::kProcess : LaunchMode::kAttach;
}

LaunchMode choose_mode(const PlanBuild& build) {
  const auto said = build.merged.scalars.find("mode");
  LaunchMode mode = build.backend.mode;
  if (said != build.merged.scalars.end()) mode = parse_mode(said->second.value);
  if (!build.request.url.empty()) mode = LaunchMode::kAttach;
  if (build.request.mode) mode = *build.request.mode;
  if (mode == LaunchMode::kDocker && !build.backend.docker)
    throw Error(ErrorKind::kUsage, "[plan] {} has no start in Docker; try --mode process",
                build.backend.name);
  if (mode == LaunchMode::kProcess && !build.backend.process)
    throw Error(ErrorKind::kUsage, "[plan] {} has no start as a process; try --mode docker",
                build.backend.name);
  return mode;
}

bool has_key(const PlanBuild& build) {
  return build.backend.key.is_taken() && !build.request.key.empty();
}

// Where it listens, and the URL to ask.
void build_address(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const bool docker = plan.mode == LaunchMode::kDocker;
  const int port = docker ? build.backend.docker->port : build.backend.process->port;
  plan.container_port = docker ? port : 0;
  plan.host = build.request.host.empty()
                  ? Sourced{"127.0.0.1", {"loopback, unless --host says more"}}
                  : Sourced{build.request.host, {"--host"}};
  plan.port = build.request.port.empty() ? Sourced{std::to_string(port), {build.backend.place}}
                                         : Sourced{build.request.port, {"--port"}};
  const auto number = parse_integer(plan.port.value);
  if (!number || *number < 1 || *number > 65535)
    throw Error(ErrorKind::kUsage, "[plan] --port: expected 1 to 65535, found '{}'",
                plan.port.value);
  if (!is_loopback(plan.host.value))
    plan.warnings.push_back(fmt::format("{} takes requests from other machines at {}, {}",
                                        build.backend.title, plan.host.value,
                                        has_key(build) ? "with the key" : "and no key is set"));
  const bool all = plan.host.value == "0.0.0.0" || plan.host.value == "::";
  plan.url = fmt::format("http://{}:{}", all ? "127.0.0.1" : plan.host.value, plan.port.value);
}

void build_attach(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const auto said = build.merged.scalars.find("url");
  plan.url = build.request.url;
  if (plan.url.empty() && said != build.merged.scalars.end()) plan.url = said->second.value;
  while (plan.url.ends_with('/')) plan.url.pop_back();
  if (plan.url.ends_with("/v1")) plan.url.resize(plan.url.size() - 3);
  const bool http = plan.url.starts_with("http://") || plan.url.starts_with("https://");
  if (!http || plan.url.size() < 9)
    throw Error(ErrorKind::kUsage,
                "[plan] attach: expected --url as http://127.0.0.1:8000, found '{}'", plan.url);
  const size_t begin = plan.url.find("://") + 3;
  const size_t end = std::min(plan.url.find('/', begin), plan.url.size());
  const std::string address = plan.url.substr(begin, end - begin);
  const size_t colon = address.rfind(':');
  const bool has_port = colon != address.npos && address.find(']', colon) == address.npos;
  plan.host = {address.substr(0, has_port ? colon : address.npos), {"--url"}};
  const std::string standard = plan.url.starts_with("https") ? "443" : "80";
  plan.port = {has_port ? address.substr(colon + 1) : standard, {"--url"}};
}

// What the backend is told of the model's name in requests, or how it calls the model itself.
void build_names(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const ModelPlace& place = build.out.place;
  const auto said = build.merged.settings.find("served_name");
  const bool given = said != build.merged.settings.end() && said->second;
  const std::string name = !place.repo_id.empty() ? place.repo_id
                           : place.is_here()      ? place.path().filename().string()
                                                  : build.request.model;
  // A running server has its names, whatever flags its backend has to set one.
  const auto& asked = build.request.settings;
  const auto named = plan.mode == LaunchMode::kAttach ? asked.find("served_name") : asked.end();
  if (named != asked.end())
    plan.served_name = {named->second, {"--served-name, or the server's only model"}};
  else if (given)
    plan.served_name = {said->second->values.front(), said->second->origin};
  else if (plan.mode == LaunchMode::kAttach || build.backend.setting("served_name"))
    plan.served_name = {name, {"derived: the model's name"}};
  else if (build.backend.names_model == "directory" && place.is_here())
    plan.served_name = {place.folder.filename().string(),
                        {"derived: " + build.backend.name + " calls it by its folder"}};
  else
    plan.served_name = {plan.model.value,
                        {"derived: " + build.backend.name + " calls it as it is given"}};
}

void build_sampling(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const auto& known = build.backend.sampling;
  for (const auto& [name, value] : build.merged.sampling) {
    if (!value) continue;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      plan.warnings.push_back(fmt::format("{}: {} takes no field {}; it is left out",
                                          value->origin.text, build.backend.name, name));
      continue;
    }
    plan.sampling.push_back({name, value->value, false, value->origin});
  }
}

std::vector<PlanGpu> chosen_gpus(const PlanRequest& request, const PlanFacts& facts) {
  if (request.gpus.empty()) return facts.gpus;
  std::vector<PlanGpu> chosen;
  for (const int index : request.gpus) {
    const auto found = std::find_if(facts.gpus.begin(), facts.gpus.end(),
                                    [&](const PlanGpu& gpu) { return gpu.index == index; });
    if (found == facts.gpus.end())
      throw Error(ErrorKind::kUsage, "[plan] --gpus: there is no GPU {}; found {} of them", index,
                  facts.gpus.size());
    chosen.push_back(*found);
  }
  return chosen;
}

// ":Q4_K_M" for a backend that downloads one file of a repository; empty = its own choice.
std::string remote_file(const std::string& wanted, const ModelEntry* entry) {
  std::string name = wanted;
  if (name.empty() && entry && entry->include.size() == 1) name = entry->include.front();
  std::erase(name, '*');
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  const bool plain =
      !name.empty() && name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == name.npos;
  return plain ? ":" + name : "";
}

void start_plan(PlanBuild& build, const Choice& choice, const ModelEntry* entry) {
  LaunchPlan& plan = build.out.plan;
  plan.backend = build.backend.name;
  plan.mode = choose_mode(build);
  plan.profile = choice.profile ? choice.profile->name : "";
  plan.repo_id = build.out.place.repo_id;
  plan.revision = build.out.place.revision;
  if (build.out.place.is_here()) plan.model_path = build.out.place.path().string();
  // Attached to: whatever runs there, unless one was asked for.
  if (plan.mode != LaunchMode::kAttach || build.merged.scalars.contains("version"))
    plan.backend_version = wanted_version(build.backend, build.merged);
  plan.needs_gpu = !build.backend.cpu;
  plan.probes = build.backend.probes;
  plan.dialect = build.backend.dialect;
  plan.deadlines = build.backend.deadlines;
  plan.model = {build.out.place.is_here() ? build.out.place.path().string() : plan.repo_id,
                build.out.place.origin};
  const BackendSetting& model = *build.backend.setting("model");
  if (!model.remote.empty() && !build.out.place.is_here())
    plan.model.value += remote_file(build.request.gguf, entry);
  if (build.backend.local_models && !build.out.place.is_here() && plan.mode != LaunchMode::kAttach)
    throw Error(ErrorKind::kUsage,
                "[plan] {} starts from a folder, and {} is not on this machine; `mica pull {}` "
                "fetches it",
                build.backend.name, plan.repo_id, plan.repo_id);
}

}  // namespace

bool is_loopback(const std::string& host) {
  return host.starts_with("127.") || host == "localhost" || host == "::1";
}

ResolvedPlan resolve_plan(const PlanRequest& request, const BackendTable& table,
                          const ModelsFile& models, const PlanFacts& facts) {
  ResolvedPlan out;
  const ModelWanted wanted = read_wanted(request.model, models, facts);
  const ModelEntry* entry = match_model(models, wanted, request.gguf);
  out.place = locate_model(wanted, entry, models, request, facts);
  const Choice choice = choose_backend(request, table, entry, out.place.format);
  const BackendDescriptor& backend = table.get(choice.backend);
  if (out.place.is_here()) out.model = inspect_model(out.place.path(), out.place.projector);

  std::vector<Layer> layers = {needs_layer(request, backend)};
  for (Layer& layer : models.layers(backend.name, out.place.repo_id, entry, choice.profile))
    layers.push_back(std::move(layer));
  layers.push_back(request_layer(request, backend, out.plan.warnings));
  MergedLayers merged = merge_layers(backend, layers);
  PlanFacts narrowed = facts;
  narrowed.gpus = chosen_gpus(request, facts);
  const bool starts = request.mode != LaunchMode::kAttach && request.url.empty();
  if (starts) limit_context(request, backend, merged, out);
  PlanBuild build{request, narrowed, backend, merged, out};
  if (starts) {
    assume_format(backend, out);
    check_format(build, table, choice.origin.text);
  }
  start_plan(build, choice, entry);
  if (out.plan.mode == LaunchMode::kAttach) {
    build_attach(build);
  } else {
    build_address(build);
    build_environment(build);
    if (out.plan.mode == LaunchMode::kDocker) build_docker(build);
  }
  build_names(build);
  if (out.plan.mode != LaunchMode::kAttach) {
    build_arguments(build);
    check_capability(build, table);
  }
  build_sampling(build);
  add_warnings(build);
  return out;
}

}  // namespace mica
