#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fake_engine/engine_state.h"

namespace mica::fake {

using Json = nlohmann::ordered_json;

namespace {

const char* owner(Dialect dialect) {
  switch (dialect) {
    case Dialect::kTrtLlm: return "tensorrt_llm";
    case Dialect::kOpenAi: return "openai";
    case Dialect::kTabby: return "tabbyAPI";
    case Dialect::kMlx: return nullptr;  // mlx_lm names none
    default: return name(dialect);
  }
}

Json models(const FakeEngine::Impl& engine) {
  Json data = Json::array();
  if (engine.after(engine.script.start.models_ms)) {
    Json model = {{"id", engine.script.model}, {"object", "model"}, {"created", 1750000000}};
    if (const char* by = owner(engine.script.dialect)) model["owned_by"] = by;
    data.push_back(std::move(model));
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

Reply health(const FakeEngine::Impl& engine) {
  const Dialect dialect = engine.script.dialect;
  if (!engine.after(engine.script.start.health_ms))
    return {503, error_body(dialect, 503, "Loading model")};
  if (dialect == Dialect::kTabby) return {200, R"({"status":"healthy","issues":[]})"};
  const bool says =
      dialect == Dialect::kLlamaCpp || dialect == Dialect::kMlx || dialect == Dialect::kMica;
  return {200, says ? R"({"status":"ok"})" : ""};
}

std::optional<Reply> version(const FakeEngine::Impl& engine, const std::string& path) {
  const Script& script = engine.script;
  const Json version = {{"version", script.version}};
  switch (script.dialect) {
    case Dialect::kVllm:
    case Dialect::kTrtLlm:
    case Dialect::kMica:
      if (path == "/version") return Reply{200, version.dump()};
      break;
    case Dialect::kSglang:
      if (path == "/server_info" || path == "/get_server_info") return Reply{200, version.dump()};
      if (path == "/get_model_info" || path == "/model_info")
        return Reply{200, Json{{"model_path", script.model}}.dump()};
      break;
    case Dialect::kLlamaCpp:
      if (path == "/props")
        return Reply{200,
                     Json{{"build_info", script.version}, {"model_path", script.model}}.dump()};
      break;
    default: break;
  }
  return std::nullopt;
}

std::optional<Reply> metrics(FakeEngine::Impl& engine, const std::string& path) {
  const Dialect dialect = engine.script.dialect;
  if (dialect == Dialect::kMlx || dialect == Dialect::kOpenAi || dialect == Dialect::kTabby)
    return std::nullopt;
  constexpr const char* kText = "text/plain; version=0.0.4; charset=utf-8";
  if (dialect != Dialect::kTrtLlm || path == "/prometheus/metrics")
    return Reply{200, metrics_page(engine.script, engine.engines), kText};
  const std::string body = iterations_page(engine.engines, engine.iterations);
  engine.iterations.clear();
  return Reply{200, body};
}

std::optional<Reply> reset(FakeEngine::Impl& engine, const std::string& path) {
  const Dialect dialect = engine.script.dialect;
  const bool vllm = dialect == Dialect::kVllm || dialect == Dialect::kMica;
  const bool known = (vllm && path == "/reset_prefix_cache") ||
                     (dialect == Dialect::kSglang && path == "/flush_cache");
  if (!known) return std::nullopt;
  engine.cached_blocks.clear();
  ++engine.cache_resets;
  return Reply{200, dialect == Dialect::kSglang ? "Cache flushed.\n" : "", "text/plain"};
}

Json timeline(const FakeEngine::Impl& engine) {
  return {{"clock", "CLOCK_MONOTONIC"},
          {"now", seconds(Clock::now())},
          {"argv", engine.argv},
          {"connections", engine.connections.load()},
          {"cache_resets", engine.cache_resets.load()},
          {"requests", engine.truths.json()}};
}

}  // namespace

std::optional<Reply> page(FakeEngine::Impl& engine, const std::string& method,
                          const std::string& path) {
  if (engine.script.start.identity == "web")
    return Reply{200, "<!DOCTYPE html><title>Welcome</title><p>It works!", "text/html"};
  if (path == "/fake/timeline") return Reply{200, timeline(engine).dump()};
  if (path == "/health") return health(engine);
  if (path == "/v1/models") {
    const std::string& text = engine.script.start.models_text;
    return Reply{200, text.empty() ? models(engine).dump() : text};
  }
  if (path == "/metrics" || path == "/prometheus/metrics") return metrics(engine, path);
  if (method == "POST") return reset(engine, path);
  return version(engine, path);
}

}  // namespace mica::fake
