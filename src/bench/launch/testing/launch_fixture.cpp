#include "bench/launch/testing/launch_fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/file.h"
#include "bench/launch/first_token.h"
#include "fake_engine/process.h"

namespace mica {

namespace fs = std::filesystem;

fs::path testing_folder() {
  return fs::path(MICA_SOURCE_DIR) / "src/bench/launch/testing";
}

uint16_t unused_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

void write_program(const fs::path& path, const std::string& script) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << script;
  ::chmod(path.c_str(), 0755);
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

namespace {

LaunchPlan plan_at(uint16_t port) {
  LaunchPlan plan;
  plan.backend = "vllm";
  plan.host = {"127.0.0.1", {"default"}};
  plan.port = {std::to_string(port), {"--port"}};
  plan.url = fmt::format("http://127.0.0.1:{}", port);
  plan.served_name = {"fake-model", {"test"}};
  plan.probes = {"/health", "/v1/models", "\"vllm\"", "/version"};
  plan.deadlines = {std::chrono::seconds(30), std::chrono::seconds(20), std::chrono::seconds(20)};
  return plan;
}

}  // namespace

namespace {

void add_script(LaunchPlan& plan, const Words& script) {
  for (const std::string& change : script) plan.arguments.push_back({{"--set", change}, {"test"}});
}

}  // namespace

LaunchPlan process_plan(const Words& script) {
  const uint16_t port = unused_port();
  LaunchPlan plan = plan_at(port);
  plan.mode = LaunchMode::kProcess;
  plan.program = {fake::FakeProcess::program()};
  plan.arguments.push_back({{"--port", std::to_string(port)}, {"--port"}});
  add_script(plan, script);
  return plan;
}

LaunchPlan attach_plan(uint16_t port) {
  LaunchPlan plan = plan_at(port);
  plan.mode = LaunchMode::kAttach;
  return plan;
}

std::vector<ProcessFacts> marked(const std::string& run) {
  std::vector<ProcessFacts> found;
  // Other test programs may run beside this one: what a test starts has its folder from it.
  const char* home = std::getenv("FAKE_DOCKER");
  for (const ProcessFacts& process : all_processes()) {
    if (home && variable_of(process.id.pid, "FAKE_DOCKER") != home) continue;
    const std::string value = variable_of(process.id.pid, "MICA_LAUNCH");
    const bool dead = process.state == 'Z' || process.state == 'X';
    if (!dead && (run.empty() ? !value.empty() : value == run)) found.push_back(process);
  }
  return found;
}

LaunchTest::LaunchTest() {
  fs::create_directories(docker_home());
  fs::create_symlink(testing_folder() / "docker.py", docker());
  ::setenv("FAKE_DOCKER", docker_home().c_str(), 1);
  ::setenv("FAKE_NVML", (root() / "gpus").c_str(), 1);
  docker_says("images.json", fmt::format(R"({{"fake/engine:1.2.3": {{
      "id": "sha256:{0}", "digest": "fake/engine@sha256:{0}", "here": true,
      "program": ["{1}", "--port", "FAKE_PORT"]}}}})",
                                         std::string(64, 'a'), fake::FakeProcess::program()));
}

LaunchTest::~LaunchTest() {
  // Containers of a test that failed.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(docker_home() / "containers", ignored))
    if (const int pid = std::atoi(text_of(entry.path() / "pid").c_str());
        pid > 0 && !fs::exists(entry.path() / "exit"))
      ::kill(pid, SIGKILL);
}

LaunchOptions LaunchTest::options() const {
  using std::chrono::milliseconds;
  LaunchOptions options;
  options.state_folder = state();
  options.docker = docker().string();
  options.first_token = client_first_token();
  options.gpu_source = {"", "", 1};
  options.sample_interval = 0.1;
  options.probe_interval = 0.03;
  options.model_patience = 1;
  options.stop = {milliseconds(3000), milliseconds(2000), milliseconds(3000)};
  return options;
}

LaunchFailure LaunchTest::failure_of(const LaunchPlan& plan, const LaunchOptions& options) {
  try {
    launch_engine(plan, options);
  } catch (const LaunchError& error) {
    EXPECT_EQ(error.kind(), error.failure().kind);
    return error.failure();
  }
  ADD_FAILURE() << "the launch succeeded";
  return {};
}

namespace {

// What a container of this folder runs; killed it may still be on its way out.
bool runs(const fs::path& container) {
  for (int i = 0; i < 400; ++i, ::usleep(5000)) {
    const int pid = std::atoi(text_of(container / "pid").c_str());
    const auto process = pid > 0 ? read_process(pid) : std::nullopt;
    if (!process || process->state == 'Z' || fs::exists(container / "exit")) return false;
  }
  return true;
}

}  // namespace

void LaunchTest::expect_nothing_left(const std::string& run) const {
  for (const ProcessFacts& process : marked(run))
    ADD_FAILURE() << "left: " << process.id.pid << " " << command_line(process.id.pid);
  EXPECT_TRUE(Ownership(state()).all().empty());
  const fs::path containers = docker_home() / "containers";
  if (!fs::exists(containers)) return;
  for (const auto& entry : fs::directory_iterator(containers))
    EXPECT_FALSE(fs::exists(entry.path() / "config.json") || runs(entry.path()))
        << "container " << entry.path();
}

LaunchPlan LaunchTest::docker_plan(const Words& script) const {
  LaunchPlan plan = process_plan();
  plan.mode = LaunchMode::kDocker;
  plan.program = {};
  plan.arguments.clear();
  plan.image = {"fake/engine:1.2.3", {"test"}};
  plan.container_port = 8000;
  add_script(plan, script);
  return plan;
}

void LaunchTest::docker_says(const std::string& file, const std::string& text) const {
  write_text_file(docker_home() / file, text);
}

std::vector<std::string> LaunchTest::docker_calls() const {
  std::vector<std::string> calls;
  std::ifstream file(docker_home() / "calls");
  for (std::string line; std::getline(file, line);) calls.push_back(line);
  return calls;
}

void LaunchTest::gpus_say(const std::string& text) const {
  write_text_file(root() / "gpus", text);
}

}  // namespace mica
