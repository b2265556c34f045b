#include <nlohmann/json.hpp>

#include "bench/plan/show.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

Json sourced(const Sourced& value) {
  return {{"value", value.value}, {"origin", value.origin.text}};
}

Json arguments(const std::vector<PlanArgument>& list) {
  Json all = Json::array();
  for (const PlanArgument& argument : list) {
    LaunchPlan one;  // for its masking
    one.mode = LaunchMode::kProcess;
    one.arguments = {argument};
    all.push_back({{"words", one.command(true)}, {"origin", argument.origin.text}});
  }
  return all;
}

Json variables(const std::vector<PlanVariable>& list) {
  Json all = Json::array();
  for (const PlanVariable& variable : list)
    all.push_back({{"name", variable.name},
                   {"value", variable.secret ? "***" : variable.value},
                   {"origin", variable.origin.text}});
  return all;
}

Json docker_json(const LaunchPlan& plan) {
  Json mounts = Json::array();
  for (const PlanMount& mount : plan.mounts)
    mounts.push_back({{"host", mount.host},
                      {"container", mount.container},
                      {"writable", mount.writable},
                      {"origin", mount.origin.text}});
  return {{"image", sourced(plan.image)},
          {"digest", plan.digest},
          {"build", plan.build},
          {"build_context", plan.build_context},
          {"build_file", plan.build_file},
          {"dockerfile", plan.dockerfile},
          {"build_arguments", variables(plan.build_arguments)},
          {"options", arguments(plan.docker_options)},
          {"mounts", mounts},
          {"container_port", plan.container_port}};
}

Json dialect_json(const LaunchPlan& plan) {
  const PlanDialect& d = plan.dialect;
  return {{"chat", d.chat},
          {"completions", d.completions},
          {"ignore_eos", d.ignore_eos},
          {"min_tokens", d.min_tokens},
          {"seed", d.seed},
          {"stream_usage", d.stream_usage},
          {"token_prompts", d.token_prompts},
          {"unknown_fields", d.unknown_fields},
          {"cached_tokens", d.cached_tokens},
          {"metrics", d.metrics},
          {"metrics_dialect", d.metrics_dialect},
          {"cache_reset", d.cache_reset},
          {"no_cache_field", d.no_cache_field}};
}

Json files_json(const LaunchPlan& plan) {
  Json files = Json::array();
  for (const PlanFile& file : plan.files)
    files.push_back({{"path", file.path}, {"text", file.text}, {"origin", file.origin.text}});
  return files;
}

Json plan_json(const LaunchPlan& plan) {
  Json json = {{"backend", plan.backend},
               {"mode", name(plan.mode)},
               {"profile", plan.profile},
               {"model", sourced(plan.model)},
               {"model_path", plan.model_path},
               {"repo_id", plan.repo_id},
               {"revision", plan.revision},
               {"served_name", sourced(plan.served_name)},
               {"backend_version", sourced(plan.backend_version)},
               {"url", plan.url},
               {"host", sourced(plan.host)},
               {"port", sourced(plan.port)},
               {"command", plan.command(true)},
               {"program", plan.program},
               {"directory", plan.directory},
               {"files", files_json(plan)},
               {"arguments", arguments(plan.arguments)},
               {"environment", variables(plan.environment)},
               {"sampling", variables(plan.sampling)},
               {"context", plan.context},
               {"concurrency", plan.concurrency},
               {"kv_bits", plan.kv_bits},
               {"gpus", plan.gpus}};
  if (plan.mode == LaunchMode::kDocker) json["docker"] = docker_json(plan);
  json["probes"] = {{"health", plan.probes.health},
                    {"models", plan.probes.models},
                    {"identity", plan.probes.identity},
                    {"version", plan.probes.version}};
  json["dialect"] = dialect_json(plan);
  json["deadlines_s"] = {{"start", plan.deadlines.start.count()},
                         {"ready", plan.deadlines.ready.count()},
                         {"first_token", plan.deadlines.first_token.count()}};
  json["warnings"] = plan.warnings;
  return json;
}

Json model_json(const ModelFacts& model) {
  return {{"format", model.format},
          {"architecture", model.architecture},
          {"quantization", model.quantization},
          {"quantization_text", model.quantization_text},
          {"bits_per_weight", model.bits_per_weight},
          {"parameters", model.parameters},
          {"weight_bytes", model.weight_bytes},
          {"files", model.files},
          {"context", model.context},
          {"layers", model.layers},
          {"experts", model.experts},
          {"vision", model.vision},
          {"kv_bytes_per_1000_tokens", kv_bytes(model.kv, 1000, 16)},
          {"notes", model.notes}};
}

Json fit_json(const MemoryFit& fit) {
  return {{"known", fit.known},
          {"fits", fit.fits},
          {"on_cpu", fit.on_cpu},
          {"gpus", fit.gpus},
          {"context", fit.context},
          {"sequences", fit.sequences},
          {"kv_bits", fit.kv_bits},
          {"weight_bytes", fit.weights},
          {"kv_bytes", fit.kv},
          {"overhead_bytes", fit.overhead},
          {"needed_bytes", fit.needed},
          {"available_bytes", fit.available},
          {"most_context", fit.most_context},
          {"most_sequences", fit.most_sequences},
          {"advice", fit.advice}};
}

}  // namespace

std::string plan_to_json(const ResolvedPlan& resolved, const std::optional<MemoryFit>& fit) {
  Json json = plan_json(resolved.plan);
  if (resolved.capability)
    json["capability"] = {{"state", name(resolved.capability->state)},
                          {"date", resolved.capability->date},
                          {"source", resolved.capability->source},
                          {"note", resolved.capability->note}};
  if (resolved.model) json["model_facts"] = model_json(*resolved.model);
  if (fit) json["memory"] = fit_json(*fit);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mica
