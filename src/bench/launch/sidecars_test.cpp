// The commands of sidecars, and one that starts.
#include "bench/launch/sidecars.h"

#include <yaml-cpp/yaml.h>

#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

TEST(Sidecars, OpenWebui) {
  const LaunchPlan plan = open_webui_plan({"http://127.0.0.1:8000", "qwen", "hush"}, {});
  EXPECT_EQ(joined(plan.command(false)),
            "docker run --network host -v mica-open-webui:/app/backend/data --env HOST=127.0.0.1 "
            "--env PORT=3080 --env WEBUI_AUTH=False --env ENABLE_OLLAMA_API=False --env "
            "OPENAI_API_BASE_URL=http://127.0.0.1:8000/v1 --env OPENAI_API_KEY "
            "ghcr.io/open-webui/open-webui:v0.8.12");
  EXPECT_EQ(plan.url, "http://127.0.0.1:3080");
  EXPECT_EQ(plan.gpus, 0);
}

TEST(Sidecars, Litellm) {
  const TempFolder folder;
  const LaunchPlan plan = litellm_plan({"http://127.0.0.1:8000", "org/qwen", ""},
                                       {"proxy:1", 4444, "chat"}, folder.path() / "new");
  const std::string file = (folder.path() / "new/litellm-4444.yaml").string();
  EXPECT_EQ(joined(plan.command(false)),
            "docker run --network host -v " + file +
                ":/app/config.yaml:ro --env MICA_ENGINE_KEY proxy:1 --config /app/config.yaml "
                "--host 127.0.0.1 --port 4444");
  const YAML::Node config = YAML::LoadFile(file);
  EXPECT_EQ(config["model_list"][0]["model_name"].as<std::string>(), "chat");
  const YAML::Node params = config["model_list"][0]["litellm_params"];
  EXPECT_EQ(params["model"].as<std::string>(), "openai/org/qwen");
  EXPECT_EQ(params["api_base"].as<std::string>(), "http://127.0.0.1:8000/v1");
  EXPECT_EQ(params["api_key"].as<std::string>(), "os.environ/MICA_ENGINE_KEY");
  EXPECT_TRUE(config["litellm_settings"]["drop_params"].as<bool>());
}

using SidecarLaunch = LaunchTest;

TEST_F(SidecarLaunch, StartsAndStopsAsAnEngineDoes) {
  const uint16_t port = unused_port();
  const LaunchPlan plan =
      open_webui_plan({"http://127.0.0.1:8000", "qwen", "hush"}, {"fake/engine:1.2.3", port, ""});
  LaunchPlan started = plan;
  started.arguments = {{{"--port", std::to_string(port)}, {}}};  // the fake reads no PORT
  LaunchOptions quiet = options();
  quiet.first_token = {};
  RunningEngine sidecar = launch_engine(started, quiet);
  EXPECT_FALSE(sidecar.failure());
  EXPECT_TRUE(sidecar.stop().clean());
  expect_nothing_left(sidecar.run());
}

}  // namespace
}  // namespace mica
