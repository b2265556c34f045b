// The plan, the machine, the model and the workload.
#include "bench/results/parts_json.h"

namespace mica {
namespace {

OrderedJson values_json(const std::vector<PlanValue>& values) {
  OrderedJson json = OrderedJson::array();
  for (const PlanValue& value : values) {
    OrderedJson item = {{"name", value.name}, {"value", value.value}};
    put(item, "origin", value.origin);
    json.push_back(std::move(item));
  }
  return json;
}

void put_values(OrderedJson& json, const char* key, const std::vector<PlanValue>& values) {
  if (!values.empty()) json[key] = values_json(values);
}

void read_values(const JsonNode& node, const char* key, std::vector<PlanValue>& values) {
  const auto list = node.find(key);
  if (!list) return;
  for (const JsonNode& item : list->items()) {
    PlanValue value;
    item.read("name", value.name);
    item.read("value", value.value);
    item.read("origin", value.origin);
    values.push_back(std::move(value));
  }
}

OrderedJson host_json(const HostRecord& host) {
  OrderedJson json = OrderedJson::object();
  put(json, "cpu", host.cpu);
  if (host.cpus > 0) json["cpus"] = host.cpus;
  if (host.numa_nodes > 0) json["numa_nodes"] = host.numa_nodes;
  put(json, "governor", host.governor);
  if (host.memory_bytes > 0) json["memory_bytes"] = host.memory_bytes;
  if (host.memory_limit_bytes > 0) json["memory_limit_bytes"] = host.memory_limit_bytes;
  put(json, "kernel", host.kernel);
  put(json, "system", host.system);
  put(json, "container", host.container);
  return json;
}

HostRecord read_host_record(const JsonNode& node) {
  HostRecord host;
  node.read("cpu", host.cpu);
  node.read("cpus", host.cpus);
  node.read("numa_nodes", host.numa_nodes);
  node.read("governor", host.governor);
  node.read("memory_bytes", host.memory_bytes);
  node.read("memory_limit_bytes", host.memory_limit_bytes);
  node.read("kernel", host.kernel);
  node.read("system", host.system);
  node.read("container", host.container);
  return host;
}

OrderedJson model_json(const ModelRecord& model) {
  OrderedJson json = OrderedJson::object();
  put(json, "id", model.id);
  put(json, "revision", model.revision);
  put(json, "format", model.format);
  if (model.parameters > 0) json["parameters"] = model.parameters;
  for (const ModelFile& file : model.files) {
    OrderedJson item = {{"name", file.name}, {"bytes", file.bytes}};
    put(item, "hash", file.hash);
    json["files"].push_back(std::move(item));
  }
  return json;
}

ModelRecord read_model(const JsonNode& node) {
  ModelRecord model;
  node.read("id", model.id);
  node.read("revision", model.revision);
  node.read("format", model.format);
  node.read("parameters", model.parameters);
  if (const auto files = node.find("files")) {
    for (const JsonNode& item : files->items()) {
      ModelFile& file = model.files.emplace_back();
      item.read("name", file.name);
      item.read("bytes", file.bytes);
      item.read("hash", file.hash);
    }
  }
  return model;
}

// By nvidia-smi's names of fields, values as that program prints them, without units.
OrderedJson gpu_json(const gpu::GpuFacts& gpu) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [name, value] : gpu::told_fields(gpu)) json[name] = value;
  return json;
}

gpu::GpuFacts read_gpu(const JsonNode& node) {
  gpu::GpuFacts gpu;
  for (const auto& [name, value] : node.members()) gpu::set_gpu_field(gpu, name, value.text());
  return gpu;
}

OrderedJson engine_json(const EngineRecord& engine) {
  OrderedJson json = OrderedJson::object();
  put(json, "version", engine.version);
  put(json, "image", engine.image);
  put(json, "image_digest", engine.image_digest);
  return json;
}

EngineRecord read_engine(const JsonNode& node) {
  EngineRecord engine;
  node.read("version", engine.version);
  node.read("image", engine.image);
  node.read("image_digest", engine.image_digest);
  return engine;
}

OrderedJson prompt_json(const PromptRecord& prompt) {
  OrderedJson json = OrderedJson::object();
  put(json, "role", prompt.role);
  put(json, "text", prompt.text);
  json["bytes"] = prompt.bytes;
  put(json, "sha256", prompt.sha256);
  return json;
}

PromptRecord read_prompt(const JsonNode& node) {
  PromptRecord prompt;
  node.read("role", prompt.role);
  node.read("text", prompt.text);
  node.read("bytes", prompt.bytes);
  node.read("sha256", prompt.sha256);
  return prompt;
}

OrderedJson picture_json(const PictureRecord& picture) {
  OrderedJson json = OrderedJson::object();
  put(json, "name", picture.name);
  if (picture.bytes > 0) json["bytes"] = picture.bytes;
  put(json, "sha256", picture.sha256);
  return json;
}

PictureRecord read_picture_record(const JsonNode& node) {
  PictureRecord picture;
  node.read("name", picture.name);
  node.read("bytes", picture.bytes);
  node.read("sha256", picture.sha256);
  return picture;
}

}  // namespace

OrderedJson plan_json(const PlanRecord& plan) {
  OrderedJson json = OrderedJson::object();
  put(json, "backend", plan.backend);
  put(json, "mode", plan.mode);
  put(json, "profile", plan.profile);
  put(json, "url", plan.url);
  put(json, "command", plan.command);
  put_values(json, "values", plan.values);
  put_values(json, "arguments", plan.arguments);
  put_values(json, "environment", plan.environment);
  put_values(json, "docker_options", plan.docker_options);
  put_values(json, "mounts", plan.mounts);
  put_values(json, "sampling", plan.sampling);
  put(json, "warnings", plan.warnings);
  return json;
}

PlanRecord read_plan(const JsonNode& node) {
  PlanRecord plan;
  node.read("backend", plan.backend);
  node.read("mode", plan.mode);
  node.read("profile", plan.profile);
  node.read("url", plan.url);
  node.read("command", plan.command);
  read_values(node, "values", plan.values);
  read_values(node, "arguments", plan.arguments);
  read_values(node, "environment", plan.environment);
  read_values(node, "docker_options", plan.docker_options);
  read_values(node, "mounts", plan.mounts);
  read_values(node, "sampling", plan.sampling);
  node.read("warnings", plan.warnings);
  return plan;
}

OrderedJson provenance_json(const Provenance& provenance) {
  OrderedJson json = OrderedJson::object();
  put(json, "mica_version", provenance.mica_version);
  json["host"] = host_json(provenance.host);
  put(json, "driver", provenance.driver);
  put(json, "cuda", provenance.cuda);
  json["gpus"] = OrderedJson::array();
  for (const gpu::GpuFacts& gpu : provenance.gpus) json["gpus"].push_back(gpu_json(gpu));
  if (provenance.gpus_used) json["gpus_used"] = *provenance.gpus_used;
  json["engine"] = engine_json(provenance.engine);
  json["model"] = model_json(provenance.model);
  return json;
}

Provenance read_provenance(const JsonNode& node) {
  Provenance provenance;
  node.read("mica_version", provenance.mica_version);
  if (const auto host = node.find("host")) provenance.host = read_host_record(*host);
  node.read("driver", provenance.driver);
  node.read("cuda", provenance.cuda);
  if (const auto gpus = node.find("gpus"))
    for (const JsonNode& gpu : gpus->items()) provenance.gpus.push_back(read_gpu(gpu));
  if (const auto used = node.find("gpus_used")) {
    provenance.gpus_used.emplace();
    for (const JsonNode& index : used->items())
      provenance.gpus_used->push_back(static_cast<int>(index.integer()));
  }
  if (const auto engine = node.find("engine")) provenance.engine = read_engine(*engine);
  if (const auto model = node.find("model")) provenance.model = read_model(*model);
  return provenance;
}

OrderedJson workload_json(const WorkloadRecord& workload) {
  OrderedJson json = OrderedJson::object();
  put(json, "name", workload.name);
  put(json, "arrivals", workload.arrivals);
  put(json, "cache", workload.cache);
  json["requests"] = workload.requests;
  json["warmup"] = workload.warmup;
  if (workload.input_tokens > 0) json["input_tokens"] = workload.input_tokens;
  if (workload.output_tokens > 0) json["output_tokens"] = workload.output_tokens;
  json["exact_output"] = workload.exact_output;
  json["seed"] = workload.seed;
  put(json, "prompts_hash", workload.prompts_hash);
  put(json, "limits", workload.limits);
  if (workload.max_prefill_rate > 0) json["max_prefill_rate"] = workload.max_prefill_rate;
  put(json, "max_prefill_from", workload.max_prefill_from);
  for (const PromptRecord& prompt : workload.prompts)
    json["prompts"].push_back(prompt_json(prompt));
  for (const PictureRecord& picture : workload.pictures)
    json["pictures"].push_back(picture_json(picture));
  if (workload.is_private) json["private"] = true;
  for (const auto& [key, value] : workload.more) json["more"][key] = value;
  return json;
}

WorkloadRecord read_workload(const JsonNode& node) {
  WorkloadRecord workload;
  node.read("name", workload.name);
  node.read("arrivals", workload.arrivals);
  node.read("cache", workload.cache);
  node.read("requests", workload.requests);
  node.read("warmup", workload.warmup);
  node.read("input_tokens", workload.input_tokens);
  node.read("output_tokens", workload.output_tokens);
  node.read("exact_output", workload.exact_output);
  node.read("seed", workload.seed);
  node.read("prompts_hash", workload.prompts_hash);
  node.read("limits", workload.limits);
  node.read("max_prefill_rate", workload.max_prefill_rate);
  node.read("max_prefill_from", workload.max_prefill_from);
  if (const auto prompts = node.find("prompts"))
    for (const JsonNode& prompt : prompts->items()) workload.prompts.push_back(read_prompt(prompt));
  if (const auto pictures = node.find("pictures"))
    for (const JsonNode& picture : pictures->items())
      workload.pictures.push_back(read_picture_record(picture));
  node.read("private", workload.is_private);
  if (const auto more = node.find("more"))
    for (const auto& [key, value] : more->members()) workload.more.emplace_back(key, value.text());
  return workload;
}

}  // namespace mica
