// Whole launches of the scripted engine as a process, and of servers that are attached to.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "bench/client/url.h"
#include "bench/launch/first_token.h"
#include "bench/launch/http_probe.h"
#include "bench/launch/testing/launch_fixture.h"
#include "fake_engine/process.h"

namespace mica {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool is_open(uint16_t port) {
  return is_port_open("127.0.0.1", std::to_string(port), 1);
}

uint16_t port_of(const RunningEngine& engine) {
  return static_cast<uint16_t>(std::stoi(parse_url(engine.url()).port));
}

double seconds_of(const RunningEngine& engine, LaunchPhase wanted) {
  for (const PhaseTime& phase : engine.phases())
    if (phase.phase == wanted) return phase.seconds;
  return -1;
}

TEST_F(LaunchTest, AnEngineIsStartedProvedAndStopped) {
  LaunchPlan plan =
      process_plan({"start.listen_ms=300", "start.health_ms=900", "start.log=[\"loading\"]"});
  plan.backend_version = {"1.2.3", {"test"}};
  std::string run;
  {
    RunningEngine engine = launch_engine(plan, options());
    run = engine.run();
    EXPECT_EQ(engine.url(), plan.url);
    EXPECT_EQ(engine.version(), "1.2.3");
    EXPECT_TRUE(engine.warnings().empty());
    std::vector<LaunchPhase> order;
    for (const PhaseTime& phase : engine.phases()) order.push_back(phase.phase);
    EXPECT_EQ(order, (std::vector<LaunchPhase>{LaunchPhase::kPrepare, LaunchPhase::kPort,
                                               LaunchPhase::kIdentity, LaunchPhase::kModel,
                                               LaunchPhase::kFirstToken}));
    EXPECT_GT(seconds_of(engine, LaunchPhase::kPort), 0.3);
    EXPECT_GE(engine.ready_seconds(), 0.6);
    ASSERT_TRUE(engine.first_token());
    EXPECT_EQ(engine.first_token()->output_tokens(), 4);
    EXPECT_TRUE(engine.first_token()->warmup);
    EXPECT_EQ(engine.log_tail(1), (Words{"loading"}));
    EXPECT_FALSE(engine.failure());
    EXPECT_EQ(engine.verdict(0).kind, GpuVerdictKind::kNoGpuExpected);  // a plan of no GPU
    // However short the span, the processes are known.
    EXPECT_NE(describe(engine.verdict(steady_seconds())).find("host: 1 process,"),
              std::string::npos);
    EXPECT_FALSE(marked(run).empty());
    ASSERT_EQ(Ownership(state()).all().size(), 1u);
    EXPECT_EQ(Ownership(state()).all()[0].run, run);
    const StopReport report = engine.stop();
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.signal, SIGINT);
    EXPECT_EQ(text_of(engine.log()), fmt::format("fake_engine: vllm at {}\nloading\n", plan.url));
    EXPECT_TRUE(engine.stop().clean());  // does nothing more
  }
  expect_nothing_left(run);
}

TEST_F(LaunchTest, DestructionStopsAll) {
  std::string run;
  {
    const RunningEngine engine = launch_engine(process_plan({"start.children=4"}), options());
    run = engine.run();
    for (int i = 0; i < 1000 && marked(run).size() < 5; ++i) ::usleep(5000);
    EXPECT_EQ(marked(run).size(), 5u);
  }
  expect_nothing_left(run);
}

TEST_F(LaunchTest, AnEngineThatIgnoresSignalsIsKilled) {
  RunningEngine engine = launch_engine(process_plan({"start.ignore_sigterm=true"}), options());
  const StopReport report = engine.stop();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.signal, SIGKILL);
  expect_nothing_left(engine.run());
}

TEST_F(LaunchTest, AnotherVersionIsAWarning) {
  LaunchPlan plan = process_plan({"version=\"0.9\""});
  plan.backend_version = {"v1.2.3", {"models.yaml:4"}};
  const RunningEngine engine = launch_engine(plan, options());
  ASSERT_EQ(engine.warnings().size(), 1u);
  EXPECT_EQ(engine.warnings()[0],
            "vllm says that it is version 0.9; wanted was v1.2.3 (models.yaml:4)");
}

TEST_F(LaunchTest, AMissingProgram) {
  LaunchPlan plan = process_plan();
  plan.program = {"no-such-engine"};
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kNoProgram);
  EXPECT_EQ(exit_status(failure.kind), 5);
  expect_nothing_left();
}

TEST_F(LaunchTest, DeathBeforeThePortIsOpen) {
  const LaunchFailure failure = failure_of(
      process_plan({"start.listen_ms=100000", "start.exit_status=3", "start.failure=no_kernel"}),
      options());
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_EQ(failure.phase, LaunchPhase::kPort);
  EXPECT_TRUE(failure.ended);
  EXPECT_EQ(failure.end.status, 3);
  EXPECT_NE(failure.evidence.find("no kernel image is available"), std::string::npos);
  EXPECT_EQ(exit_status(failure.kind), 3);
  const std::string text = describe(failure);
  for (const char* part :
       {"port: vllm ended", "ended: exit status 3", "cause: The engine has no code for this GPU",
        "try: Take a newer build", "| RuntimeError", "log: "})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
  expect_nothing_left();
}

TEST_F(LaunchTest, DeathWhileItIsNotHealthy) {
  const LaunchFailure failure =
      failure_of(process_plan({"start.health_ms=100000", "start.exit_ms=1000"}), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_EQ(failure.phase, LaunchPhase::kModel);
  EXPECT_TRUE(failure.cause.empty());
  EXPECT_EQ(exit_status(failure.kind), 5);
}

TEST_F(LaunchTest, DeathWhileTheModelIsNotListed) {
  LaunchOptions patient = options();
  patient.model_patience = 60;
  const LaunchFailure failure =
      failure_of(process_plan({"start.models_ms=100000", "start.exit_ms=1000"}), patient);
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_EQ(failure.phase, LaunchPhase::kModel);
}

// mlx_lm.server where there is no folder of the hub's cache: 200 and nothing.
TEST_F(LaunchTest, AListOfModelsThatIsNone) {
  auto engine = launch_engine(process_plan({"start.models_text=\"\\\"vllm\\\"\""}), options());
  ASSERT_EQ(engine.warnings().size(), 1u);
  EXPECT_NE(engine.warnings()[0].find("/v1/models is no list of models"), std::string::npos);
  EXPECT_TRUE(engine.first_token());
}

TEST_F(LaunchTest, DeathAtTheFirstToken) {
  const LaunchFailure failure =
      failure_of(process_plan({"faults=[{\"kind\": \"exit\", \"at\": \"head\"}]"}), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_EQ(failure.phase, LaunchPhase::kFirstToken);
}

TEST_F(LaunchTest, AKilledEngineAsksForTheKernel) {
  LaunchPlan plan = process_plan();
  plan.program = {"/bin/sh", "-c", "kill -9 $$"};
  plan.arguments.clear();
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.end.signal, SIGKILL);
  EXPECT_NE(failure.cause.find("SIGKILL"), std::string::npos);
}

TEST_F(LaunchTest, NoPortInTime) {
  LaunchPlan plan = process_plan({"start.listen_ms=100000"});
  plan.deadlines.start = seconds(1);
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kPortDeadline);
  EXPECT_EQ(failure.phase, LaunchPhase::kPort);
  EXPECT_FALSE(failure.ended);
  ASSERT_EQ(failure.notes.size(), 1u);
  EXPECT_NE(failure.notes[0].find("meanwhile: "), std::string::npos);
  expect_nothing_left();
}

TEST_F(LaunchTest, AnotherServiceIsNamed) {
  const LaunchFailure failure = failure_of(process_plan({"dialect=sglang"}), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kWrongService);
  EXPECT_EQ(failure.phase, LaunchPhase::kIdentity);
  EXPECT_NE(failure.what.find("answered by SGLang, not by vllm"), std::string::npos)
      << failure.what;
  const LaunchFailure unknown = failure_of(process_plan({"start.identity=web"}), options());
  EXPECT_NE(unknown.what.find("a service 'fake_engine'"), std::string::npos) << unknown.what;
  EXPECT_NE(unknown.advice.find("another --port"), std::string::npos) << unknown.advice;
  const fake::FakeProcess server(nlohmann::json{{"dialect", "sglang"}});
  const LaunchFailure attached = failure_of(attach_plan(server.port()), options());
  EXPECT_EQ(attached.problem, LaunchProblem::kWrongService);
  EXPECT_NE(attached.advice.find("--backend, or another --url"), std::string::npos)
      << attached.advice;
}

TEST_F(LaunchTest, NeverHealthy) {
  LaunchPlan plan = process_plan({"start.health_ms=100000"});
  plan.deadlines.ready = seconds(1);
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kHealthDeadline);
  EXPECT_NE(failure.what.find("is not ready: status 503"), std::string::npos) << failure.what;
}

TEST_F(LaunchTest, AnotherModelIsListed) {
  const LaunchFailure failure = failure_of(process_plan({"model=other"}), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kModelMissing);
  EXPECT_EQ(failure.phase, LaunchPhase::kModel);
  EXPECT_NE(failure.what.find("serves 'other', not 'fake-model' (test)"), std::string::npos)
      << failure.what;
}

TEST_F(LaunchTest, NoModelIsListedInTime) {
  LaunchPlan plan = process_plan({"start.models_ms=100000"});
  plan.deadlines.ready = seconds(1);
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kModelMissing);
  EXPECT_NE(failure.what.find("serves nothing"), std::string::npos) << failure.what;
}

TEST_F(LaunchTest, ReadyByItsWordAndNoToken) {
  LaunchPlan plan = process_plan({"faults=[{\"kind\": \"hang\", \"at\": \"head\"}]"});
  plan.deadlines.first_token = seconds(1);
  plan.gpus = 1;
  gpus_say("gpu 0 H100 81559 500 0 71 700 35 345 2619 1 99000\n");
  LaunchOptions watched = options();
  watched.gpu_source = {FAKE_NVML_LIBRARY, "", 1};
  const LaunchFailure failure = failure_of(plan, watched);
  EXPECT_EQ(failure.problem, LaunchProblem::kFirstTokenDeadline);
  EXPECT_EQ(failure.phase, LaunchPhase::kFirstToken);
  ASSERT_EQ(failure.notes.size(), 1u);
  EXPECT_NE(failure.notes[0].find("waiting: it waits: neither"), std::string::npos)
      << failure.notes[0];
  EXPECT_NE(failure.notes[0].find("GPU 0 (H100): 0.0 GiB of the engine, busy 0 %"),
            std::string::npos)
      << failure.notes[0];
  expect_nothing_left();
}

TEST_F(LaunchTest, TheFirstTokenIsRefusedOrEmpty) {
  const LaunchFailure refused =
      failure_of(process_plan({"faults=[{\"kind\": \"status\"}]"}), options());
  EXPECT_EQ(refused.problem, LaunchProblem::kFirstTokenRefused);
  EXPECT_NE(refused.what.find("http_error 500"), std::string::npos) << refused.what;
  EXPECT_NE(refused.what.find("scripted failure"), std::string::npos);
  const LaunchFailure empty =
      failure_of(process_plan({"faults=[{\"kind\": \"empty\"}]"}), options());
  EXPECT_EQ(empty.problem, LaunchProblem::kFirstTokenRefused);
  EXPECT_NE(empty.what.find("with nothing"), std::string::npos);
}

TEST_F(LaunchTest, AKeyIsSentAndAWrongOneNamed) {
  LaunchOptions keyed = options();
  keyed.key = "sesame";
  keyed.first_token = {};
  EXPECT_NO_THROW(launch_engine(process_plan({"api_key=sesame"}), keyed));
  keyed.key = "wrong";
  EXPECT_EQ(failure_of(process_plan({"api_key=sesame"}), keyed).problem,
            LaunchProblem::kUnauthorized);
}

TEST_F(LaunchTest, DeathLaterIsNoticedWithinASecond) {
  const RunningEngine engine =
      launch_engine(process_plan({"start.exit_ms=2000", "start.exit_status=9"}), options());
  const double begin = steady_seconds();
  const auto failure = engine.wait(milliseconds(20000), {});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->problem, LaunchProblem::kDied);
  EXPECT_EQ(failure->phase, LaunchPhase::kRunning);
  EXPECT_EQ(failure->end.status, 9);
  EXPECT_LT(steady_seconds() - begin, 15);
  EXPECT_EQ(engine.verdict(begin).kind, GpuVerdictKind::kDead);
}

TEST_F(LaunchTest, AFloodOfLogsHoldsNothingUp) {
  constexpr uint64_t kBytes = 40 << 20;
  RunningEngine engine =
      launch_engine(process_plan({fmt::format("start.log_bytes={}", kBytes)}), options());
  for (int i = 0; i < 12000 && std::filesystem::file_size(engine.log()) < kBytes; ++i)
    ::usleep(5000);
  EXPECT_GE(std::filesystem::file_size(engine.log()), kBytes);
  EXPECT_FALSE(engine.failure());
  EXPECT_TRUE(client_first_token()(attach_plan(port_of(engine)), seconds(20), {}).ok());
  EXPECT_TRUE(engine.stop().clean());
}

TEST_F(LaunchTest, AListenerThatStandsStillHoldsNothingUp) {
  constexpr uint64_t kBytes = 8 << 20;
  LaunchOptions told = options();
  std::atomic<int> calls = 0;
  std::atomic<bool> stands = true;
  told.progress = [&](const LaunchProgress&) {
    ++calls;
    while (stands) ::usleep(10000);  // a terminal after Ctrl-S
  };
  {
    RunningEngine engine =
        launch_engine(process_plan({fmt::format("start.log_bytes={}", kBytes)}), told);
    for (int i = 0; i < 12000 && std::filesystem::file_size(engine.log()) < kBytes; ++i)
      ::usleep(5000);
    EXPECT_GE(std::filesystem::file_size(engine.log()), kBytes);
    EXPECT_EQ(calls, 1);
    stands = false;
  }
  EXPECT_GT(calls, 100);
}

TEST_F(LaunchTest, ProgressAndHeartbeats) {
  LaunchOptions told = options();
  told.heartbeat = 0.2;
  std::mutex mutex;
  std::vector<LaunchProgress> all;
  told.progress = [&](const LaunchProgress& progress) {
    const std::lock_guard lock(mutex);
    all.push_back(progress);
  };
  launch_engine(process_plan({"start.listen_ms=1000", "start.log=[\"hello\"]"}), told).stop();
  const auto count = [&](LaunchProgress::Kind kind, const std::string& part) {
    const std::lock_guard lock(mutex);
    return std::count_if(all.begin(), all.end(), [&](const LaunchProgress& progress) {
      return progress.kind == kind && progress.text.find(part) != std::string::npos;
    });
  };
  EXPECT_EQ(count(LaunchProgress::Kind::kStep, "starting vllm"), 1);
  EXPECT_EQ(count(LaunchProgress::Kind::kStep, "stopping vllm"), 1);
  EXPECT_EQ(count(LaunchProgress::Kind::kLog, "hello"), 1);
  EXPECT_GE(count(LaunchProgress::Kind::kHeartbeat, "waiting for its port"), 2);
}

TEST_F(LaunchTest, AnInterruptionStopsAllInEveryPhase) {
  for (const Words& flags : {Words{"start.listen_ms=100000"}, Words{"start.health_ms=100000"},
                             Words{"start.models_ms=100000"},
                             Words{"faults=[{\"kind\": \"hang\", \"at\": \"head\"}]"}}) {
    std::stop_source stop;
    LaunchOptions interruptible = options();
    interruptible.interrupt = stop.get_token();
    interruptible.model_patience = 100;
    std::thread user([&] {
      ::usleep(1500000);
      stop.request_stop();
    });
    const double begin = steady_seconds();
    const LaunchFailure failure = failure_of(process_plan(flags), interruptible);
    user.join();
    EXPECT_EQ(failure.problem, LaunchProblem::kInterrupted) << flags[0];
    EXPECT_LT(steady_seconds() - begin, 15);
    expect_nothing_left();
  }
}

TEST_F(LaunchTest, APortHeldByAProcessNamesIt) {
  LaunchPlan plan = process_plan();
  const RunningEngine first = launch_engine(plan, options());
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kPortTaken);
  EXPECT_NE(failure.what.find("held by process "), std::string::npos) << failure.what;
  EXPECT_NE(failure.what.find("fake_engine"), std::string::npos);
  EXPECT_NE(failure.what.find("which Mica started"), std::string::npos);
  EXPECT_NE(failure.advice.find("free it: kill "), std::string::npos);
  EXPECT_NE(failure.advice.find("--port "), std::string::npos);
  EXPECT_FALSE(first.failure());
  LaunchOptions asking = options();
  asking.ask_port = [](const PortHolder&) { return PortAnswer::kStop; };
  const RunningEngine second = launch_engine(plan, asking);
  EXPECT_TRUE(first.failure());
}

TEST_F(LaunchTest, WhatMicaDidNotStartIsNeverStopped) {
  const uint16_t port = unused_port();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  LaunchPlan plan = process_plan();
  plan.port.value = std::to_string(port);
  LaunchOptions asking = options();
  int questions = 0;
  asking.ask_port = [&](const PortHolder& holder) {
    EXPECT_FALSE(holder.by_mica);
    EXPECT_EQ(holder.process.pid, ::getpid());
    return ++questions == 1 ? PortAnswer::kRetry : PortAnswer::kStop;
  };
  EXPECT_EQ(failure_of(plan, asking).problem, LaunchProblem::kPortTaken);
  EXPECT_EQ(questions, 2);
  ::close(fd);
}

TEST_F(LaunchTest, AttachStartsAndStopsNothing) {
  const LaunchPlan plan = process_plan();
  const RunningEngine engine = launch_engine(plan, options());
  const auto port = static_cast<uint16_t>(std::stoi(plan.port.value));
  {
    RunningEngine attached = launch_engine(attach_plan(port), options());
    EXPECT_EQ(attached.version(), "1.2.3");
    EXPECT_TRUE(attached.command().empty());
    EXPECT_EQ(attached.stop().stopped, 0);
    EXPECT_TRUE(attached.log().empty());
    EXPECT_FALSE(attached.failure());
  }
  EXPECT_EQ(Ownership(state()).all().size(), 1u);
  EXPECT_FALSE(engine.failure());
}

TEST_F(LaunchTest, AnEngineThatNeedsAGpuIsNoneOnTheProcessor) {
  LaunchPlan plan = process_plan();
  plan.needs_gpu = true;
  EXPECT_EQ(launch_engine(plan, options()).verdict(0).kind, GpuVerdictKind::kCannotTell);
}

// The processes of a server that somebody else started are those that its port leads to.
TEST_F(LaunchTest, AttachLooksAtWhoeverHoldsThePort) {
  const LaunchPlan plan = process_plan();
  const RunningEngine engine = launch_engine(plan, options());
  const std::vector<ProcessFacts> members = marked(engine.run());
  ASSERT_FALSE(members.empty());
  LaunchOptions looking = options();
  looking.gpu_source = {FAKE_NVML_LIBRARY, "", 2};
  const auto verdict = [&](pid_t pid, const std::string& host) {
    gpus_say(fmt::format(
        "gpu 0 H100 81559 6000 60 300 700 55 1980 2619 0 1\nprocess 0 {} 5000 60\n", pid));
    LaunchPlan attach = attach_plan(static_cast<uint16_t>(std::stoi(plan.port.value)));
    attach.host.value = host;
    RunningEngine attached = launch_engine(attach, looking);
    return attached.verdict(steady_seconds());
  };
  EXPECT_EQ(verdict(members[0].id.pid, "127.0.0.1").kind, GpuVerdictKind::kOnGpu);
  EXPECT_EQ(verdict(1, "127.0.0.1").kind, GpuVerdictKind::kNotOnGpu);
  EXPECT_EQ(verdict(1, "10.0.0.5").kind, GpuVerdictKind::kCannotTell);
}

TEST_F(LaunchTest, AttachOnAMachineWithoutAGpuIsARunOnTheProcessor) {
  const LaunchPlan plan = process_plan();
  const RunningEngine engine = launch_engine(plan, options());
  LaunchPlan attach = attach_plan(static_cast<uint16_t>(std::stoi(plan.port.value)));
  EXPECT_EQ(launch_engine(attach, options()).verdict(0).kind, GpuVerdictKind::kNoGpuExpected);
  attach.needs_gpu = true;
  EXPECT_EQ(launch_engine(attach, options()).verdict(0).kind, GpuVerdictKind::kCannotTell);
}

TEST_F(LaunchTest, AttachToNobody) {
  LaunchPlan plan = attach_plan(unused_port());
  plan.deadlines.start = seconds(1);
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kUnreachable);
  EXPECT_NE(failure.what.find("nobody answers"), std::string::npos);
}

TEST_F(LaunchTest, AttachToWhatIsNoHttp) {
  // Says hello in a way of its own to everybody.
  const uint16_t port = unused_port();
  LogPump pump({});
  const EngineProcess greeter(
      {.argv = {"/usr/bin/python3", "-c",
                fmt::format(
                    "import socket\ns = socket.create_server(('127.0.0.1', {}))\n"
                    "while True:\n c = s.accept()[0]\n try:\n  c.sendall(b'SSH-2.0-x\\r\\n')\n"
                    "  c.recv(1)\n except OSError:\n  pass\n c.close()\n",
                    port)}},
      pump);
  for (int i = 0; i < 1000 && !is_open(port); ++i) ::usleep(10000);
  const LaunchFailure failure = failure_of(attach_plan(port), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kNoHttp) << failure.what;
}

TEST(HttpProbe, APortThatClosesAtOnceIsNotOpen) {  // Docker's proxy
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const uint16_t port = ntohs(address.sin_port);
  EXPECT_TRUE(is_open(port));  // taken by the kernel, kept
  std::atomic<bool> closing = true;
  std::thread proxy([&] {
    while (closing) {
      const int connection = ::accept(fd, nullptr, nullptr);
      if (connection >= 0) ::close(connection);
    }
  });
  ::usleep(100000);
  EXPECT_FALSE(is_open(port));
  closing = false;
  is_open(port);  // lets the thread look
  proxy.join();
  ::close(fd);
  EXPECT_FALSE(is_open(port));
  EXPECT_FALSE(is_port_open("no-such-host.invalid", "80", 1));
}

}  // namespace
}  // namespace mica
