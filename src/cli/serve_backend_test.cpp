// mica serve --backend against the scripted engine, in a child process as a shell would run it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/file.h"
#include "bench/launch/ownership.h"
#include "cli/commands.h"
#include "fake_engine/process.h"
#include "temp_folder.h"

namespace mica {
namespace {

using Words = std::vector<std::string>;

int run_command(Words words) {
  CLI::App app;
  add_serve_backend_command(app);
  try {
    std::reverse(words.begin(), words.end());
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const Ending& ending) {
    return ending.status;
  } catch (const Error& error) {
    std::fprintf(stderr, "mica: %s\n", error.what());
    return exit_status(error.kind());
  }
  return 0;
}

class ServeBackendTest : public testing::Test {
 protected:
  ServeBackendTest() {
    for (const char* name : {"XDG_STATE_HOME", "XDG_CONFIG_HOME"})
      ::setenv(name, folder_.path().c_str(), 1);
    std::filesystem::create_directory(folder_.path() / "backends");
    write_text_file(folder_.path() / "backends/fake.yaml",
                    fmt::format(R"(name: fake
title: Scripted engine
source: tests/fake_engine
formats: [mlx]
names_model: argument
cpu: true
process:
  program: ["{}"]
  arguments: [port]
  port: 8000
settings:
  model: {{words: [--model, "{{}}"]}}
  host: {{words: [--host, "{{}}"]}}
  port: {{words: [--port, "{{}}"]}}
  served_name: {{words: [--model-name, "{{}}"]}}
key: {{variable: FAKE_API_KEY}}
probes: {{health: /health, models: /v1/models, identity: '"vllm"', version: /version}}
dialect: {{stream_usage: true}}
deadlines: {{start: 30, ready: 30, first_token: 30}}
)",
                                fake::FakeProcess::program()));
  }
  ~ServeBackendTest() override {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    for (const Recovery& recovery : Ownership(folder_.path() / "mica").recover({}))
      ADD_FAILURE() << "left: " << recovery.note;
  }

  // `script`: "path=value" of the engine.
  void start(const Words& script, const Words& flags = {}) {
    Words words = {"serve",          MICA_SOURCE_DIR "/models/demo",
                   "--backend",      "fake",
                   "--launch",       "process",
                   "--backends-dir", (folder_.path() / "backends").string(),
                   "--served-name",  "demo",
                   "--port",         std::to_string(fake_port())};
    for (const std::string& change : script)
      words.insert(words.end(), {"--extra-arg=--set", "--extra-arg=" + change});
    words.insert(words.end(), flags.begin(), flags.end());
    run(words);
  }
  void run(const Words& words) {
    pid_ = ::fork();
    if (pid_ > 0) return;
    const int out = ::open((folder_.path() / "output").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    const int status = run_command(words);
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string output() const {
    std::ifstream file(folder_.path() / "output");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void until(const std::string& text) const {
    siginfo_t ended{};  // whose output can't change any more
    for (int i = 0; i < 12000 && ended.si_pid == 0; ++i) {
      if (output().find(text) != std::string::npos) return;
      ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
      ::usleep(5000);
    }
    ASSERT_NE(output().find(text), std::string::npos) << output();
  }
  pid_t pid() const { return pid_; }
  std::filesystem::path state() const { return folder_.path() / "mica"; }
  pid_t engine_pid() const {
    const auto owned = Ownership(folder_.path() / "mica").all();
    return owned.size() == 1 ? owned[0].processes.leader.pid : 0;
  }

  // One that was free a moment ago.
  static uint16_t fake_port() {
    return fake::FakeProcess(nlohmann::json{{"dialect", "vllm"}}).port();
  }

 private:
  TempFolder folder_;
  pid_t pid_ = -1;
};

TEST_F(ServeBackendTest, ServesUntilItIsInterrupted) {
  start({"start.log=[\"a line of its log\"]"});
  until("ready: http://127.0.0.1:");
  until("[fake] a line of its log");
  EXPECT_NE(output().find("model demo  backend fake"), std::string::npos) << output();
  EXPECT_NE(output().find("first_token "), std::string::npos);
  EXPECT_NE(output().find("version 1.2.3"), std::string::npos);
  ::kill(pid(), SIGINT);
  EXPECT_EQ(status(), 0) << output();
}

TEST_F(ServeBackendTest, AnEngineThatDiesEndsIt) {
  start({"start.exit_ms=4000", "start.exit_status=9"});
  EXPECT_EQ(status(), 5);
  EXPECT_NE(output().find("ended: exit status 9"), std::string::npos) << output();
}

TEST_F(ServeBackendTest, AKnownFailureHasItsExitStatus) {
  start({"start.listen_ms=100000", "start.failure=out_of_memory"});
  EXPECT_EQ(status(), 3);
  EXPECT_NE(output().find("The GPU's memory is full"), std::string::npos) << output();
}

TEST_F(ServeBackendTest, InterruptedBeforeItIsReady) {
  start({"start.listen_ms=100000"});
  until("starting fake");
  ::kill(pid(), SIGTERM);
  EXPECT_EQ(status(), 130);
}

TEST_F(ServeBackendTest, TestOnlyEndsOnceItHasAnswered) {
  start({}, {"--test-only"});
  EXPECT_EQ(status(), 0) << output();
  EXPECT_EQ(output().find("ready: "), std::string::npos);
}

TEST_F(ServeBackendTest, AKeyIsMadeWhereOtherMachinesReachIt) {
  start({}, {"--host", "0.0.0.0"});
  until("ready: http://127.0.0.1:");
  const std::string text = output();
  const size_t at = text.find("key (shown only here): mica-");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string key = text.substr(at + 23, 37);
  EXPECT_EQ(text.find(key), text.rfind(key)) << text;  // once
  std::ifstream file(fmt::format("/proc/{}/environ", engine_pid()));
  const std::string environment(std::istreambuf_iterator<char>(file), {});
  EXPECT_NE(environment.find("FAKE_API_KEY=" + key), std::string::npos);
  ::kill(pid(), SIGINT);
  EXPECT_EQ(status(), 0) << output();
}

TEST_F(ServeBackendTest, AnEngineThatHangsIsTold) {
  start({}, {"--health-seconds", "0.2"});
  until("ready: http://127.0.0.1:");
  const auto records = Ownership(state()).all();
  ASSERT_EQ(records.size(), 1u);
  const pid_t engine = records[0].processes.leader.pid;
  ::kill(engine, SIGSTOP);
  until("/health does not answer: ");
  until("waiting: it waits");
  ::kill(engine, SIGCONT);
  until("/health answers again");
  ::kill(pid(), SIGINT);
  EXPECT_EQ(status(), 0) << output();
}

TEST_F(ServeBackendTest, NoKeyIsMadeUnasked) {
  start({}, {"--host", "0.0.0.0", "--no-api-key", "--test-only"});
  EXPECT_EQ(status(), 0) << output();
  EXPECT_NE(output().find("and no key is set"), std::string::npos) << output();
  EXPECT_EQ(output().find("shown only here"), std::string::npos);
}

TEST_F(ServeBackendTest, WhatIsServedIsListedAndStopped) {
  start({});
  until("ready: http://127.0.0.1:");
  const pid_t serving = pid();
  run({"serve", "--list"});
  EXPECT_EQ(status(), 0);
  EXPECT_NE(output().find(fmt::format("process {} ", serving)), std::string::npos) << output();
  run({"serve", "--stop", "no such run"});
  EXPECT_EQ(status(), 2);
  run({"serve", "--stop", "fake"});
  // It is this test's child: a zombie until it is collected, which --stop takes for ended.
  EXPECT_EQ(status(), 0) << output();
  int ended = 0;
  EXPECT_EQ(::waitpid(serving, &ended, 0), serving);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

TEST_F(ServeBackendTest, AttachesToARunningServer) {
  const fake::FakeProcess server(nlohmann::json{{"model", "demo"}});
  run({"serve", MICA_SOURCE_DIR "/models/demo", "--backend", "vllm", "--url", server.url(),
       "--force", "--served-name", "demo", "--test-only"});
  EXPECT_EQ(status(), 0) << output();
}

TEST(ServeBackend, IsToldFromMicasOwnServer) {
  EXPECT_TRUE(is_serve_of_backend({"serve", "--backend", "vllm", "x"}));
  EXPECT_TRUE(is_serve_of_backend({"serve", "x", "--backend=vllm"}));
  EXPECT_TRUE(is_serve_of_backend({"serve", "x", "--url=http://h:1"}));
  EXPECT_TRUE(is_serve_of_backend({"serve", "--backend", "mica", "x"}));
  EXPECT_FALSE(is_serve_of_backend({"serve", "--model", "x"}));
  EXPECT_FALSE(is_serve_of_backend({"plan", "--backend", "vllm", "x"}));
}

}  // namespace
}  // namespace mica
