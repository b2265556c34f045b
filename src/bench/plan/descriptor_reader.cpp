// A descriptor's YAML, key by key.
#include <algorithm>

#include "base/error.h"
#include "bench/plan/descriptor.h"
#include "bench/plan/yaml_reader.h"

namespace mica {
namespace {

using Type = BackendSetting::Type;

const std::vector<std::string> kFormats = {"mlx", "safetensors", "gguf", "exl3"};
const std::vector<std::string> kTypes = {"text",    "integer", "number", "fraction",
                                         "boolean", "list",    "words",  "choice"};

std::vector<std::string> read_formats(YamlMap& map) {
  std::vector<std::string> formats;
  if (const auto value = map.find("formats"))
    for (const YamlValue& each : value->list()) formats.push_back(each.one_of(kFormats));
  return formats;
}

std::map<std::string, std::string> read_texts(const YamlValue& value, const std::string& title) {
  std::map<std::string, std::string> texts;
  const YamlMap map = value.map(title);
  for (const auto& [key, each] : map.entries()) texts[key] = each.text();
  return texts;
}

PlanMount read_mount(const YamlValue& value, const std::string& place) {
  YamlMap map = value.map("a mount");
  PlanMount mount;
  mount.host = map.require("host").text();
  mount.container = map.require("container").text();
  map.read("writable", mount.writable);
  mount.origin.text = place;
  map.finish();
  return mount;
}

std::vector<std::string> read_given(YamlMap& map) {
  const YamlValue value = map.require("arguments");
  std::vector<std::string> given;
  for (const YamlValue& each : value.list())
    given.push_back(each.one_of({"model", "host", "port"}));
  return given;
}

void read_build(const YamlValue& value, BackendDocker& docker) {
  YamlMap keys = value.map("build");
  keys.read("context", docker.build_context);
  keys.read("file", docker.build_file);
  keys.read("dockerfile", docker.dockerfile);
  if (const auto arguments = keys.find("arguments"))
    docker.build_arguments = read_texts(*arguments, "build arguments");
  if (const auto given = keys.find("architectures")) {
    YamlMap map = given->map("architectures");
    docker.architectures.argument = map.require("argument").text();
    docker.architectures.torch = map.require("form").one_of({"torch", "cmake"}) == "torch";
    map.finish();
  }
  keys.finish();
}

BackendDocker read_docker(const YamlValue& value, const std::string& place) {
  YamlMap map = value.map("docker");
  BackendDocker docker;
  docker.image = map.require("image").text();
  map.read("moving", docker.moving);
  docker.image_type = "prebuilt";
  if (const auto type = map.find("image_type"))
    docker.image_type = type->one_of({"prebuilt", "build"});
  map.read("hint", docker.hint);
  if (const auto build = map.find("build")) read_build(*build, docker);
  if (const auto overlay = map.find("overlay")) {
    YamlMap keys = overlay->map("overlay");
    docker.overlay.repository = keys.require("repository").text();
    docker.overlay.folder = keys.require("folder").text();
    docker.overlay.into = keys.require("into").text();
    keys.finish();
  }
  if (const auto options = map.find("options"))
    for (const YamlValue& option : options->list()) docker.options.push_back(option.texts());
  map.read("program", docker.program);
  docker.arguments = read_given(map);
  docker.port = static_cast<int>(map.require("port").integer(1, 65535));
  map.read("cache", docker.cache);
  map.read("host_cache", docker.host_cache);
  if (const auto mounts = map.find("mounts"))
    for (const YamlValue& mount : mounts->list()) docker.mounts.push_back(read_mount(mount, place));
  map.finish();
  return docker;
}

BackendProcess read_process(const YamlValue& value) {
  YamlMap map = value.map("process");
  BackendProcess process;
  const YamlValue program = map.require("program");
  process.program = program.texts();
  if (process.program.empty()) program.expected("at least one word");
  process.arguments = read_given(map);
  process.port = static_cast<int>(map.require("port").integer(1, 65535));
  map.read("hint", process.hint);
  map.finish();
  return process;
}

void read_words(YamlMap& map, BackendSetting& setting) {
  map.read("words", setting.words);
  map.read("process", setting.process);
  map.read("remote", setting.remote);
  map.read("on", setting.on);
  map.read("off", setting.off);
  map.read("same", setting.same);
  map.read("also", setting.also);
  if (const auto choices = map.find("choices")) {
    const YamlMap all = choices->map("choices");
    for (const auto& [choice, words] : all.entries()) setting.choices[choice] = words.texts();
  }
}

BackendSetting read_setting(const std::string& name, const YamlValue& value) {
  YamlMap map = value.map("a setting");
  BackendSetting setting;
  setting.name = name;
  if (const auto type = map.find("type")) {
    const std::string word = type->one_of(kTypes);
    setting.type =
        static_cast<Type>(std::find(kTypes.begin(), kTypes.end(), word) - kTypes.begin());
  }
  read_words(map, setting);
  map.read("why", setting.why);
  if (const auto derive = map.find("derive"))
    setting.derive = derive->one_of({"gpus", "cores", "numa_nodes", "device", "quantization"});
  if (const auto texts = map.find("map")) setting.map = read_texts(*texts, "a setting's map");
  map.read("unless", setting.unless);
  map.read("times", setting.times);
  if (const auto file = map.find("file")) {
    YamlMap keys = file->map("a setting's file");
    const YamlValue name = keys.require("name");
    setting.file_name = name.text();
    if (setting.file_name.find('/') != std::string::npos) name.expected("a name without folders");
    setting.file_text = keys.require("text").text();
    keys.finish();
  }
  map.read("divides_heads", setting.divides_heads);
  if (const auto standard = map.find("default")) {
    setting.default_value = standard->text();
    setting.check(*setting.default_value, standard->place());
  }
  map.finish();
  const bool has_words = !setting.words.empty() || !setting.choices.empty() ||
                         !setting.on.empty() || !setting.off.empty();
  if (!has_words) value.expected("'words', 'choices', 'on' or 'off'");
  if ((setting.type == Type::kChoice) != !setting.choices.empty())
    value.expected("'choices' and 'type: choice' together");
  return setting;
}

void read_settings(const YamlValue& value, BackendDescriptor& backend) {
  const YamlMap map = value.map("settings");
  for (const auto& [name, each] : map.entries()) {
    for (const BackendSetting& other : backend.settings)
      if (std::find(other.also.begin(), other.also.end(), name) != other.also.end())
        each.fail(fmt::format("it is another name of '{}' already", other.name));
    backend.settings.push_back(read_setting(name, each));
  }
  for (const BackendSetting& setting : backend.settings)
    if (!setting.times.empty() && !backend.setting(setting.times))
      value.fail(fmt::format("{}: times: '{}' is no setting", setting.name, setting.times));
  for (const char* name : {"model", "host", "port"})
    if (!backend.setting(name)) value.expected(fmt::format("the setting '{}'", name));
}

BackendKey read_key(const YamlValue& value) {
  YamlMap map = value.map("key");
  BackendKey key;
  map.read("variable", key.variable);
  map.read("words", key.words);
  map.finish();
  if (key.variable.empty() == key.words.empty()) value.expected("'variable' or 'words'");
  return key;
}

PlanProbes read_probes(const YamlValue& value) {
  YamlMap map = value.map("probes");
  PlanProbes probes;
  map.read("health", probes.health);
  map.read("models", probes.models);
  map.read("identity", probes.identity);
  map.read("version", probes.version);
  map.finish();
  return probes;
}

void read_dialect(const YamlValue& value, BackendDescriptor& backend) {
  YamlMap map = value.map("dialect");
  PlanDialect& dialect = backend.dialect;
  map.read("chat", dialect.chat);
  map.read("completions", dialect.completions);
  map.read("ignore_eos", dialect.ignore_eos);
  map.read("min_tokens", dialect.min_tokens);
  map.read("seed", dialect.seed);
  map.read("stream_usage", dialect.stream_usage);
  map.read("token_prompts", dialect.token_prompts);
  map.read("unknown_fields", dialect.unknown_fields);
  map.read("cached_tokens", dialect.cached_tokens);
  map.read("sampling", backend.sampling);
  map.read("cache_reset", dialect.cache_reset);
  if (const auto field = map.find("no_cache")) {
    YamlMap keys = field->map("no_cache");
    dialect.no_cache_field = keys.require("field").text();
    dialect.no_cache_value = keys.require("value").text();
    keys.finish();
  }
  if (const auto metrics = map.find("metrics")) {
    YamlMap keys = metrics->map("metrics");
    dialect.metrics = keys.require("path").text();
    dialect.metrics_dialect = keys.require("dialect").text();
    keys.read("needs", backend.metrics_need);
    keys.finish();
  }
  map.finish();
}

PlanDeadlines read_deadlines(const YamlValue& value) {
  YamlMap map = value.map("deadlines");
  PlanDeadlines deadlines;
  const auto read = [&](const char* key, std::chrono::seconds& into) {
    if (const auto seconds = map.find(key))
      into = std::chrono::seconds(seconds->integer(1, 86'400));
  };
  read("start", deadlines.start);
  read("ready", deadlines.ready);
  read("first_token", deadlines.first_token);
  map.finish();
  return deadlines;
}

BackendMemory read_memory(const YamlValue& value) {
  YamlMap map = value.map("memory");
  BackendMemory memory;
  if (const auto mib = map.find("overhead_mib"))
    memory.overhead_mib = static_cast<int>(mib->integer(0, 1'000'000));
  if (const auto fraction = map.find("fraction")) memory.fraction = fraction->number(0.01, 1);
  if (const auto of = map.find("fraction_of")) memory.fraction_of = of->one_of({"total", "free"});
  if (const auto split = map.find("split")) memory.split = split->one_of({"tensors", "layers"});
  map.read("host_experts", memory.host_experts);
  map.finish();
  return memory;
}

// "2026-08-22"
std::string read_date(YamlMap& map) {
  const YamlValue value = map.require("date");
  const std::string date = value.text();
  bool good = date.size() == 10;
  for (size_t i = 0; good && i < 10; ++i)
    good = i == 4 || i == 7 ? date[i] == '-' : date[i] >= '0' && date[i] <= '9';
  if (!good) value.expected("a date as 2026-08-22");
  return date;
}

BackendAdvice read_advice(const YamlValue& value) {
  YamlMap map = value.map("advice");
  BackendAdvice advice;
  advice.when = map.require("when").one_of({"always", "multi_gpu"});
  advice.variable = map.require("variable").text();
  advice.value = map.require("value").text();
  advice.why = map.require("why").text();
  advice.date = read_date(map);
  advice.source = map.require("source").text();
  map.finish();
  return advice;
}

// "7.5" is 75.
int read_capability_number(const YamlValue& value, const std::string& text) {
  const size_t dot = text.find('.');
  const bool good = dot != text.npos && dot > 0 && dot <= 2 && text.size() == dot + 2 &&
                    text.find_first_not_of("0123456789.") == text.npos &&
                    text.find('.', dot + 1) == text.npos;
  if (!good) value.expected("'from 8.0', 'below 7.5', '12.0' or '12.0-12.1'");
  return std::stoi(text.substr(0, dot)) * 10 + (text[dot + 1] - '0');
}

ComputeRange read_compute(const YamlValue& value) {
  const std::string text = value.text();
  if (text.starts_with("from ")) return {read_capability_number(value, text.substr(5)), 10'000};
  if (text.starts_with("below ")) return {0, read_capability_number(value, text.substr(6)) - 1};
  const size_t dash = text.find('-');
  if (dash == text.npos) {
    const int one = read_capability_number(value, text);
    return {one, one};
  }
  return {read_capability_number(value, text.substr(0, dash)),
          read_capability_number(value, text.substr(dash + 1))};
}

CapabilityRow read_capability(const YamlValue& value) {
  YamlMap map = value.map("a capability");
  CapabilityRow row;
  row.place = value.place();
  row.formats = read_formats(map);
  map.read("quantizations", row.quantizations);
  if (const auto several = map.find("multi_gpu")) row.multi_gpu = several->boolean();
  if (const auto compute = map.find("compute")) row.compute = read_compute(*compute);
  const std::string state = map.require("state").one_of({"works", "limited", "refused"});
  row.state = state == "works"     ? CapabilityRow::State::kWorks
              : state == "limited" ? CapabilityRow::State::kLimited
                                   : CapabilityRow::State::kRefused;
  row.date = read_date(map);
  row.source = map.require("source").text();
  map.read("note", row.note);
  map.finish();
  if (row.note.empty() && row.state != CapabilityRow::State::kWorks)
    value.expected("a 'note' that says why");
  return row;
}

void read_lists(YamlMap& map, BackendDescriptor& backend) {
  if (const auto variables = map.find("environment"))
    for (const YamlValue& each : variables->list()) {
      YamlMap keys = each.map("a variable");
      PlanVariable variable{keys.require("name").text(), keys.require("value").text()};
      variable.origin.text = backend.place + ": " + keys.require("why").text();
      keys.finish();
      backend.environment.push_back(std::move(variable));
    }
  if (const auto advice = map.find("advice"))
    for (const YamlValue& each : advice->list()) backend.advice.push_back(read_advice(each));
  if (const auto rows = map.find("capabilities"))
    for (const YamlValue& each : rows->list())
      backend.capabilities.push_back(read_capability(each));
}

void read_names(YamlMap& map, BackendDescriptor& backend) {
  backend.name = map.require("name").text();
  backend.title = backend.name;
  map.read("title", backend.title);
  map.read("also", backend.also);
  map.read("version", backend.version);
  map.read("source", backend.source);
  backend.formats = read_formats(map);
  backend.names_model = "argument";
  if (const auto names = map.find("names_model"))
    backend.names_model = names->one_of({"argument", "directory"});
  map.read("local_models", backend.local_models);
  map.read("cpu", backend.cpu);
}

}  // namespace

BackendDescriptor parse_descriptor(std::string_view yaml, const std::string& place) {
  const YamlValue root = YamlValue::parse(yaml, place);
  YamlMap map = root.map("a backend's descriptor");
  BackendDescriptor backend;
  backend.place = place;
  read_names(map, backend);
  if (const auto docker = map.find("docker")) backend.docker = read_docker(*docker, place);
  if (const auto process = map.find("process")) backend.process = read_process(*process);
  if (const auto mode = map.find("mode"))
    backend.mode = mode->one_of({"docker", "process"}) == "docker" ? LaunchMode::kDocker
                                                                   : LaunchMode::kProcess;
  else if (!backend.docker && backend.process)
    backend.mode = LaunchMode::kProcess;
  read_settings(map.require("settings"), backend);
  if (const auto key = map.find("key")) backend.key = read_key(*key);
  if (const auto probes = map.find("probes")) backend.probes = read_probes(*probes);
  if (const auto dialect = map.find("dialect")) read_dialect(*dialect, backend);
  if (const auto deadlines = map.find("deadlines")) backend.deadlines = read_deadlines(*deadlines);
  if (const auto memory = map.find("memory")) backend.memory = read_memory(*memory);
  read_lists(map, backend);
  map.finish();
  return backend;
}

}  // namespace mica
