// The words of a plan's command line.
#include <algorithm>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/numbers.h"
#include "bench/plan/resolver.h"

namespace mica {
namespace {

using Type = BackendSetting::Type;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

Words filled(const Words& words, const std::string& value) {
  const std::filesystem::path path(value);
  Words out;
  for (const std::string& word : words)
    out.push_back(replaced(replaced(replaced(word, "{parent}", path.parent_path().string()),
                                    "{name}", path.filename().string()),
                           "{}", value));
  return out;
}

// Whether so many GPUs get equal parts of the attention heads; those of keys and values are dealt
// out, or each is kept by several GPUs. What is not known is no obstacle.
bool shares_heads(const ModelFacts& model, int64_t gpus) {
  const int64_t heads = model.attention_heads, kv = model.kv.heads;
  if (gpus <= 1 || heads <= 0) return true;
  return heads % gpus == 0 && (kv <= 0 || kv % gpus == 0 || gpus % kv == 0);
}

class Arguments {
 public:
  explicit Arguments(PlanBuild& build) : build_(build), plan_(build.out.plan) {}
  void run();

 private:
  std::optional<SettingValue> value_of(const BackendSetting& setting);
  std::optional<SettingValue> written_file(const BackendSetting& setting);
  std::optional<SettingValue> explicit_value(const BackendSetting& setting) const;
  std::optional<SettingValue> derived(const BackendSetting& setting) const;
  int64_t most_gpus(const BackendSetting& setting) const;
  std::optional<SettingValue> of_gpus(const BackendSetting& setting) const;
  std::optional<SettingValue> of_model(const BackendSetting& setting) const;
  void multiply(const BackendSetting& setting, SettingValue& value) const;
  void emit(const BackendSetting& setting, const SettingValue& value);
  void add(Words words, const Origin& origin) {
    if (!words.empty()) plan_.arguments.push_back({std::move(words), origin});
  }
  void remember_numbers();
  void remember_gpus(int64_t wanted);

  PlanBuild& build_;
  LaunchPlan& plan_;
};

std::optional<SettingValue> Arguments::explicit_value(const BackendSetting& setting) const {
  const auto said = build_.merged.settings.find(setting.name);
  return said == build_.merged.settings.end() ? std::nullopt : said->second;
}

std::optional<SettingValue> Arguments::derived(const BackendSetting& setting) const {
  const PlanFacts& facts = build_.facts;
  const auto number = [](int64_t n, const std::string& why) -> std::optional<SettingValue> {
    if (n < 1) return std::nullopt;
    return SettingValue{{std::to_string(n)}, {"derived: " + why}};
  };
  if (setting.derive == "gpus") return of_gpus(setting);
  if (setting.derive == "cores") return number(facts.cores, "physical cores of this machine");
  if (setting.derive == "numa_nodes") return number(facts.numa_nodes, "NUMA nodes");
  if (setting.derive == "device")
    return facts.gpus.empty() ? SettingValue{{"cpu"}, {"derived: no GPU found"}}
                              : SettingValue{{"cuda"}, {"derived: a GPU was found"}};
  if (setting.derive == "quantization" && build_.out.model) {
    const auto mapped = setting.map.find(build_.out.model->quantization);
    if (mapped != setting.map.end())
      return SettingValue{{mapped->second}, {"derived: the model is in " + mapped->first}};
  }
  return std::nullopt;
}

int64_t Arguments::most_gpus(const BackendSetting& setting) const {
  auto gpus = static_cast<int64_t>(build_.facts.gpus.size());
  while (setting.divides_heads && build_.out.model && !shares_heads(*build_.out.model, gpus))
    --gpus;
  return gpus;
}

// All GPUs, or as many of them as can share the model's heads.
std::optional<SettingValue> Arguments::of_gpus(const BackendSetting& setting) const {
  const auto found = static_cast<int64_t>(build_.facts.gpus.size());
  if (found < 1) return std::nullopt;
  const int64_t used = most_gpus(setting);
  if (used == found)
    return SettingValue{{std::to_string(found)}, {fmt::format("derived: {} GPUs found", found)}};
  return SettingValue{{std::to_string(used)},
                      {fmt::format("derived: of {} GPUs found as many as divide the model's {} "
                                   "attention heads",
                                   found, build_.out.model->attention_heads)}};
}

// Model, address and what follows from the model.
std::optional<SettingValue> Arguments::of_model(const BackendSetting& setting) const {
  const bool docker = plan_.mode == LaunchMode::kDocker;
  const ModelPlace& place = build_.out.place;
  if (setting.name == "model") return SettingValue{{plan_.model.value}, plan_.model.origin};
  if (setting.name == "host")
    return docker ? SettingValue{{"0.0.0.0"}, {"inside the container"}}
                  : SettingValue{{plan_.host.value}, plan_.host.origin};
  if (setting.name == "port")
    return docker ? SettingValue{{std::to_string(plan_.container_port)}, {"inside the container"}}
                  : SettingValue{{plan_.port.value}, plan_.port.origin};
  if (setting.name == "served_name" && plan_.served_name.value != plan_.model.value)
    return SettingValue{{plan_.served_name.value}, plan_.served_name.origin};
  if (setting.name == "revision" && !place.is_here() && !place.revision.empty())
    return SettingValue{{place.revision}, {"the model's revision"}};
  if (setting.name == "projector" && !place.projector.empty())
    return SettingValue{{place.projector.string()}, {"found beside the model"}};
  return std::nullopt;
}

std::optional<SettingValue> Arguments::written_file(const BackendSetting& setting) {
  const fs::path path =
      build_.facts.state / "files" / (build_.backend.name + "-" + setting.file_name);
  const Origin origin{build_.backend.place + (setting.why.empty() ? "" : ": " + setting.why)};
  plan_.files.push_back({path.string(), setting.file_text, origin});
  mount_file(build_, path.string(), {"options of the backend, read-only"});
  return SettingValue{{path.string()}, origin};
}

std::optional<SettingValue> Arguments::value_of(const BackendSetting& setting) {
  if (build_.merged.settings.contains(setting.name)) {
    auto value = explicit_value(setting);
    std::error_code ignored;
    if (value && !setting.file_name.empty() && fs::exists(value->values.front(), ignored)) {
      value->values = {fs::absolute(value->values.front()).lexically_normal().string()};
      mount_file(build_, value->values.front(), value->origin);
    }
    return value;
  }
  if (auto value = of_model(setting)) return value;
  if (auto value = derived(setting)) return value;
  if (setting.default_value)
    return SettingValue{{*setting.default_value},
                        {build_.backend.place + (setting.why.empty() ? "" : ": " + setting.why)}};
  return setting.file_name.empty() ? std::nullopt : written_file(setting);
}

// llama.cpp's context is that of all slots together.
void Arguments::multiply(const BackendSetting& setting, SettingValue& value) const {
  const BackendSetting* factor = build_.backend.setting(setting.times);
  const auto times = factor ? explicit_value(*factor) : std::nullopt;
  if (!times) return;
  const auto one = parse_integer(value.values.front()), many = parse_integer(times->values.front());
  int64_t product = 0;
  if (!one || !many || *one < 1 || *many < 1 || __builtin_mul_overflow(*one, *many, &product))
    throw Error(ErrorKind::kUsage, "[plan] {}: {} of {} times {} of {} can't be",
                build_.backend.name, setting.name, value.values.front(), factor->name,
                times->values.front());
  value.origin.text = fmt::format("{} tokens ({}) for each of {} ({})", *one, value.origin.text,
                                  counted(*many, "sequence"), times->origin.text);
  value.values = {std::to_string(product)};
}

void Arguments::emit(const BackendSetting& setting, const SettingValue& value) {
  const std::string& first = value.values.front();
  if (!setting.unless.empty() && first == setting.unless) return;
  switch (setting.type) {
    case Type::kBoolean: add(*parse_boolean(first) ? setting.on : setting.off, value.origin); break;
    case Type::kChoice: add(setting.choices.at(first), value.origin); break;
    case Type::kList:
      for (const std::string& each : value.values) add(filled(setting.words, each), value.origin);
      break;
    case Type::kWords: {
      Words words = setting.words;
      if (!words.empty() && words.back() == "{}") words.pop_back();
      words.insert(words.end(), value.values.begin(), value.values.end());
      add(std::move(words), value.origin);
      break;
    }
    default: {
      const bool process = plan_.mode == LaunchMode::kProcess && !setting.process.empty();
      const bool remote = !setting.remote.empty() && !build_.out.place.is_here();
      add(filled(remote    ? setting.remote
                 : process ? setting.process
                           : setting.words,
                 first),
          value.origin);
    }
  }
}

// The figures that measuring and the memory's estimate go by.
void Arguments::remember_numbers() {
  const auto said = [&](const char* name) -> std::optional<std::string> {
    const BackendSetting* setting = build_.backend.setting(name);
    const auto value = setting ? explicit_value(*setting) : std::nullopt;
    if (value) return value->values.front();
    const auto asked = build_.request.settings.find(name);
    if (asked == build_.request.settings.end()) return std::nullopt;
    return asked->second;
  };
  const auto number = [&](const char* name) {
    const auto text = said(name);
    return text ? parse_integer(*text).value_or(0) : 0;
  };
  plan_.context = number("context");
  plan_.concurrency = number("concurrency");
  if (const int64_t bits = number("kv_bits"); bits > 0) plan_.kv_bits = static_cast<int>(bits);
  const auto fraction = said("memory_fraction");
  if (fraction && build_.backend.setting("memory_fraction"))  // else nobody is told
    plan_.memory_fraction = parse_number(*fraction).value_or(0);
  plan_.on_cpu = (build_.facts.gpus.empty() && build_.backend.cpu) ||
                 (build_.backend.setting("device") && said("device") == "cpu");
  if (const auto layers = said("gpu_layers"))
    plan_.gpu_layers = parse_integer(*layers).value_or(-1);
  if (plan_.gpu_layers == 0) plan_.on_cpu = true;
  if (const auto offload = said("cpu_offload"))
    plan_.cpu_offload_gib = parse_number(*offload).value_or(0);
  remember_gpus(number("tensor_parallel"));
}

void Arguments::remember_gpus(int64_t wanted) {
  const auto found = static_cast<int64_t>(build_.facts.gpus.size());
  const BackendSetting* setting = build_.backend.setting("tensor_parallel");
  const bool divides = setting && setting->divides_heads && build_.out.model;
  const bool derives = divides && !build_.merged.settings.contains(setting->name);
  const int64_t used = wanted > 0 ? wanted : derives ? most_gpus(*setting) : found;
  plan_.gpus = static_cast<int>(used);
  if (wanted > found && found > 0)
    plan_.warnings.push_back(
        fmt::format("tensor_parallel is {}, and {} GPUs were found", wanted, found));
  if (!divides) return;
  const ModelFacts& model = *build_.out.model;
  if (wanted > 0 && !shares_heads(model, wanted))
    plan_.warnings.push_back(fmt::format(
        "tensor_parallel is {}, which does not divide the model's {} attention heads ({} of keys "
        "and values): {} will refuse it",
        wanted, model.attention_heads, model.kv.heads, build_.backend.title));
  if (wanted == 0 && used < found)
    plan_.warnings.push_back(fmt::format(
        "{} of {} GPUs stay idle: {} do not divide the model's {} attention heads ({} of keys and "
        "values)",
        found - used, found, found, model.attention_heads, model.kv.heads));
}

void Arguments::run() {
  const auto& given = plan_.mode == LaunchMode::kDocker ? build_.backend.docker->arguments
                                                        : build_.backend.process->arguments;
  for (const std::string& name : given) {
    const BackendSetting& setting = *build_.backend.setting(name);
    emit(setting, *of_model(setting));
  }
  for (const BackendSetting& setting : build_.backend.settings) {
    if (is_of_the_plan(setting.name)) continue;
    std::optional<SettingValue> value = value_of(setting);
    if (!value || value->values.empty()) continue;
    if (!setting.times.empty()) multiply(setting, *value);
    emit(setting, *value);
  }
  for (const PlanArgument& argument : build_.merged.extra_arguments)
    plan_.arguments.push_back(argument);
  if (const std::string& key = build_.request.key; !key.empty())
    add(filled(build_.backend.key.words, key), {"the key of its clients"});
  remember_numbers();
}

}  // namespace

void build_arguments(PlanBuild& build) {
  Arguments(build).run();
}

Layer needs_layer(const PlanRequest& request, const BackendDescriptor& backend) {
  Layer layer;
  layer.title = "the load";
  for (const auto& [name, value] : request.needs)
    if (backend.setting(name))
      layer.settings[name] = SettingValue{{value}, {"derived: the load needs it"}};
  return layer;
}

Layer request_layer(const PlanRequest& request, const BackendDescriptor& backend,
                    std::vector<std::string>& warnings) {
  Layer layer;
  layer.title = "the command line";
  for (const auto& [name, value] : request.settings) {
    std::string flag = "--" + replaced(name, "_", "-");
    if (!backend.setting(name)) {
      // What a running server calls its model is no setting.
      const bool attaches = request.mode == LaunchMode::kAttach || !request.url.empty();
      if (name == "served_name" && attaches) continue;
      warnings.push_back(fmt::format("{} has no setting for {}", backend.name, flag));
      continue;
    }
    layer.settings[name] = SettingValue{{value}, {flag, true}};
  }
  for (const auto& [name, value] : request.own_settings) {
    const BackendSetting* setting = backend.setting(name);
    if (setting && is_of_the_plan(setting->name))
      throw Error(ErrorKind::kUsage, "[plan] --set {}: it can't be set here; --{} says it", name,
                  setting->name);
    layer.settings[name] = SettingValue{{value}, {"--set " + name, true}};
  }
  if (!request.version.empty()) layer.scalars["version"] = {request.version, {"--backend-version"}};
  if (!request.image.empty()) layer.scalars["image"] = {request.image, {"--image"}};
  for (const auto& [name, value] : request.environment)
    layer.environment[name] = Sourced{value, {"--env"}};
  layer.extra_arguments.add = group_words(request.extra_arguments, {"the command line", true});
  layer.docker_options.add = group_words(request.docker_options, {"--docker-option"});
  return layer;
}

}  // namespace mica
