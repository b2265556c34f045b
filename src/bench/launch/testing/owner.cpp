// For tests: a program that launches an engine and keeps it until it is killed.
//   launch_owner STATE_FOLDER process|docker PORT DOCKER IMAGE|- PROGRAM [ARGUMENT…]
#include <cstdio>
#include <string>
#include <thread>

#include "bench/launch/launcher.h"

int main(int argc, char** argv) {
  using namespace mica;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 6) return 2;
  LaunchPlan plan;
  plan.backend = "fake";
  plan.mode = words[1] == "docker" ? LaunchMode::kDocker : LaunchMode::kProcess;
  plan.host = {"127.0.0.1", {}};
  plan.port = {words[2], {}};
  plan.url = "http://127.0.0.1:" + words[2];
  plan.served_name = {"tiny", {}};
  plan.probes = {"/health", "/v1/models", "", ""};
  plan.image = {words[4], {}};
  plan.container_port = 8000;
  if (plan.mode == LaunchMode::kProcess) plan.program = {words[5]};
  for (size_t i = plan.mode == LaunchMode::kProcess ? 6 : 5; i < words.size(); ++i)
    plan.arguments.push_back({{words[i]}, {}});
  LaunchOptions options;
  options.state_folder = words[0];
  options.docker = words[3];
  options.gpu_source = {"", "", 1};
  try {
    const RunningEngine engine = launch_engine(plan, options);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exit_status(error.kind());
  }
}
