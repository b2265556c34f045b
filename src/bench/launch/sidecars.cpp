#include "bench/launch/sidecars.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/file.h"

namespace mica {
namespace {

constexpr const char* kHost = "127.0.0.1";
constexpr const char* kNoKey = "none";  // both want one, and the engine does not look

LaunchPlan plan_of(const std::string& name, const std::string& image, uint16_t port) {
  LaunchPlan plan;
  plan.backend = name;
  plan.mode = LaunchMode::kDocker;
  plan.image = {image, {"sidecar " + name}};
  plan.host = {kHost, {"sidecar " + name}};
  plan.port = {std::to_string(port), {"sidecar " + name}};
  plan.url = fmt::format("http://{}:{}", kHost, port);
  plan.docker_options = {{{"--network", "host"}, {"sidecar " + name}}};
  plan.container_port = 0;  // nothing is published
  return plan;
}

uint16_t port_or(uint16_t port, uint16_t usual) {
  return port == 0 ? usual : port;
}

}  // namespace

LaunchPlan open_webui_plan(const SidecarTarget& target, const SidecarOptions& options) {
  LaunchPlan plan = plan_of("open-webui", options.image.empty() ? kOpenWebuiImage : options.image,
                            port_or(options.port, kOpenWebuiPort));
  plan.environment = {{"HOST", kHost, false, {}},
                      {"PORT", plan.port.value, false, {}},
                      {"WEBUI_AUTH", "False", false, {}},
                      {"ENABLE_OLLAMA_API", "False", false, {}},
                      {"OPENAI_API_BASE_URL", target.url + "/v1", false, {}},
                      {"OPENAI_API_KEY", target.key.empty() ? kNoKey : target.key, true, {}}};
  plan.mounts = {{"mica-open-webui", "/app/backend/data", true, {"sidecar open-webui"}}};
  plan.probes.health = "/health";
  return plan;
}

LaunchPlan litellm_plan(const SidecarTarget& target, const SidecarOptions& options,
                        const std::filesystem::path& folder) {
  LaunchPlan plan = plan_of("litellm", options.image.empty() ? kLitellmImage : options.image,
                            port_or(options.port, kLitellmPort));
  YAML::Node config, model;
  model["model_name"] = options.alias.empty() ? target.model : options.alias;
  model["litellm_params"]["model"] = "openai/" + target.model;
  model["litellm_params"]["api_base"] = target.url + "/v1";
  model["litellm_params"]["api_key"] = "os.environ/MICA_ENGINE_KEY";
  config["model_list"].push_back(model);
  config["litellm_settings"]["drop_params"] = true;  // of requests: what the engine does not know
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = folder / fmt::format("litellm-{}.yaml", plan.port.value);
  write_text_file(file, YAML::Dump(config) + "\n");
  plan.mounts = {{file.string(), "/app/config.yaml", false, {"sidecar litellm"}}};
  plan.environment = {{"MICA_ENGINE_KEY", target.key.empty() ? kNoKey : target.key, true, {}}};
  plan.arguments = {{{"--config", "/app/config.yaml"}, {}},
                    {{"--host", kHost}, {}},
                    {{"--port", plan.port.value}, {}}};
  plan.probes.health = "/health/liveliness";
  return plan;
}

}  // namespace mica
