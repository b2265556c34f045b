// Docker's command line, played by testing/docker.py.
#include <fstream>

#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

using std::chrono::milliseconds;

class DockerTest : public LaunchTest {
 protected:
  LaunchFailure refused(const std::function<void(const Docker&)>& work) const {
    try {
      work(Docker(docker().string()));
    } catch (const LaunchError& error) {
      return error.failure();
    }
    ADD_FAILURE() << "nothing was refused";
    return {};
  }
  static void no_lines(const std::string&) {}
};

TEST_F(DockerTest, PreflightTellsFaultsApart) {
  EXPECT_EQ(Docker(docker().string()).preflight(true).version, "28.2.2");
  const auto preflight = [](bool gpus) {
    return [gpus](const Docker& docker) { docker.preflight(gpus); };
  };
  docker_says("info.json", R"({"Runtimes": {"runc": {}}})");
  EXPECT_FALSE(Docker(docker().string()).preflight(false).gpus);
  const LaunchFailure gpus = refused(preflight(true));
  EXPECT_EQ(gpus.problem, LaunchProblem::kDockerGpus);
  EXPECT_EQ(gpus.kind, ErrorKind::kDevice);
  EXPECT_NE(gpus.advice.find("nvidia-ctk runtime configure"), std::string::npos);
  docker_says("info.json", R"({"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
                               "Runtimes": {"runc": {}}})");
  EXPECT_TRUE(Docker(docker().string()).preflight(true).gpus);

  docker_says("broken",
              "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
              "daemon running?");
  EXPECT_EQ(refused(preflight(false)).problem, LaunchProblem::kDockerDaemon);
  docker_says("broken",
              "permission denied while trying to connect to the Docker daemon socket at "
              "unix:///var/run/docker.sock");
  const LaunchFailure permission = refused(preflight(false));
  EXPECT_EQ(permission.problem, LaunchProblem::kDockerPermission);
  EXPECT_NE(permission.advice.find("usermod"), std::string::npos);
  EXPECT_THROW(Docker("/no/such/docker"), LaunchError);
  EXPECT_THROW(Docker("no-such-docker"), LaunchError);
}

TEST_F(DockerTest, AnImagePinsItsDigest) {
  const Docker docker_program(docker().string());
  const auto image = docker_program.image("fake/engine:1.2.3");
  ASSERT_TRUE(image);
  EXPECT_EQ(image->pinned(), "fake/engine@sha256:" + std::string(64, 'a'));
  EXPECT_EQ(image->bytes, 12345u);
  EXPECT_FALSE(docker_program.image("other:1"));
}

TEST_F(DockerTest, PullSaysHowFarItIs) {
  docker_says("images.json", R"({"a/b:1": {"id": "sha256:1", "digest": "a/b@sha256:2",
                                           "here": false, "program": []}})");
  Words lines;
  const ImageFacts image =
      Docker(docker().string())
          .pull("a/b:1", [&](const std::string& line) { lines.push_back(line); }, {});
  EXPECT_EQ(image.pinned(), "a/b@sha256:2");
  EXPECT_EQ(lines, (Words{"v1: Pulling from a/b:1", "0123456789ab: Download complete",
                          "Status: Downloaded newer image for a/b:1"}));
}

TEST_F(DockerTest, APullThatFailsSaysWhy) {
  const auto pull = [](const Docker& docker) { docker.pull("a/b:1", no_lines, {}); };
  const LaunchFailure unknown = refused(pull);
  EXPECT_EQ(unknown.problem, LaunchProblem::kImagePull);
  EXPECT_NE(unknown.cause.find("no such image or tag"), std::string::npos);
  docker_says("pull_error",
              "Error response from daemon: toomanyrequests: You have reached your pull rate limit");
  EXPECT_NE(refused(pull).cause.find("gives no more"), std::string::npos);
  docker_says("pull_error", "write /var/lib/docker/tmp/x: no space left on device");
  EXPECT_NE(refused(pull).cause.find("disk is full"), std::string::npos);
}

TEST_F(DockerTest, APullEndsWhenTheUserWants) {
  docker_says("pull_slow", "yes");
  std::stop_source stop;
  std::thread user([&] {
    ::usleep(300000);
    stop.request_stop();
  });
  const LaunchFailure failure =
      refused([&](const Docker& docker) { docker.pull("a/b:1", no_lines, stop.get_token()); });
  user.join();
  EXPECT_EQ(failure.problem, LaunchProblem::kInterrupted);
}

TEST_F(DockerTest, BuildsFromATextWithoutAContext) {
  docker_says("images.json", "{}");
  const ImageBuild build{
      "", "", "FROM scratch\n", {{"VERSION", "1.2", false}, {"BUILD_TOKEN", "hush", true}}};
  const ImageFacts image =
      Docker(docker().string()).build("mica/x:1.2", build, false, no_lines, {});
  EXPECT_EQ(image.pinned(), image.id);  // no registry knows it
  const std::string told = text_of(docker_home() / "build.json");
  EXPECT_NE(told.find("FROM scratch"), std::string::npos);
  EXPECT_NE(told.find("\"VERSION=1.2\""), std::string::npos);
  EXPECT_NE(told.find("\"token\": \"hush\""), std::string::npos);
  for (const std::string& call : docker_calls())
    EXPECT_EQ(call.find("hush"), std::string::npos) << "a secret on a command line";
}

TEST_F(DockerTest, ABuildThatFailsSaysWhy) {
  EXPECT_EQ(refused([](const Docker& docker) {
              docker.build("x:1", {"/no/such/folder", "", "", {}}, false, no_lines, {});
            }).problem,
            LaunchProblem::kImageBuild);
  docker_says("build_error",
              "ERROR: failed to solve: process \"/bin/sh -c make\" did not complete");
  const LaunchFailure failure = refused([](const Docker& docker) {
    docker.build("x:1", {"", "", "FROM scratch\n", {}}, true, no_lines, {});
  });
  EXPECT_EQ(failure.problem, LaunchProblem::kImageBuild);
  EXPECT_NE(failure.tail.back().find("failed to solve"), std::string::npos);
  EXPECT_NE(docker_calls().back().find("--no-cache"), std::string::npos);
}

// --- whole launches

TEST_F(DockerTest, AContainerRunsIsLabelledPinnedAndRemoved) {
  LaunchPlan plan = docker_plan();
  plan.docker_options = {{{"--gpus", "all"}, {}}, {{"--ipc=host"}, {}}, {{"--rm"}, {}}};
  plan.environment = {{"HF_TOKEN", "hush", true, {}}, {"MODE", "fast", false, {}}};
  const std::string file = (state() / "files/options.yaml").string();
  plan.files = {{file, "option: true\n", {}}};
  plan.mounts = {{file, file, false, {}}};
  std::string run;
  {
    RunningEngine engine = launch_engine(plan, options());
    run = engine.run();
    EXPECT_EQ(text_of(file), "option: true\n");
    ASSERT_TRUE(engine.image());
    EXPECT_EQ(engine.image()->digest, "fake/engine@sha256:" + std::string(64, 'a'));
    EXPECT_EQ(engine.version(), "1.2.3");
    EXPECT_FALSE(engine.failure());
    const Docker docker_program(docker().string());
    const auto containers = docker_program.labelled(run);
    ASSERT_EQ(containers.size(), 1u);
    EXPECT_EQ(containers[0].name, "mica-" + run);
    EXPECT_EQ(docker_program.publishing(static_cast<uint16_t>(std::stoi(plan.port.value))).size(),
              1u);
    // The record has its id soon.
    std::string id;
    for (int i = 0; i < 1000 && id.empty(); ++i, ::usleep(5000))
      id = Ownership(state()).all()[0].container->id;
    EXPECT_EQ(id, containers[0].id);
    EXPECT_EQ(engine.stop().stopped, 1);
  }
  std::string call;
  for (const std::string& each : docker_calls())
    if (each.starts_with("[\"run\"")) call = each;
  EXPECT_NE(call.find("\"mica.run=" + run + "\""), std::string::npos) << call;
  EXPECT_NE(call.find("\"mica.owner="), std::string::npos);
  EXPECT_NE(call.find("\"127.0.0.1:"), std::string::npos);
  EXPECT_NE(call.find("\"fake/engine@sha256:"), std::string::npos);
  EXPECT_NE(call.find("\"HF_TOKEN\""), std::string::npos);
  EXPECT_EQ(call.find("hush"), std::string::npos);
  EXPECT_NE(call.find("\"MODE=fast\""), std::string::npos);
  EXPECT_EQ(call.find("--rm"), std::string::npos);
  expect_nothing_left(run);
  for (const auto& entry : std::filesystem::directory_iterator(state() / "logs"))
    EXPECT_NE(entry.path().extension(), ".cid");
}

TEST_F(DockerTest, AMissingImageIsPulledOnce) {
  std::string images = text_of(docker_home() / "images.json");
  images.replace(images.find("\"here\": true"), 12, "\"here\": false");
  docker_says("images.json", images);
  for (int i = 0; i < 2; ++i) launch_engine(docker_plan(), options()).stop();
  int pulls = 0;
  for (const std::string& call : docker_calls()) pulls += call.starts_with("[\"pull\"");
  EXPECT_EQ(pulls, 1);
  LaunchOptions again = options();
  again.rebuild = true;
  launch_engine(docker_plan(), again).stop();
  EXPECT_NE(docker_calls().size(), 0u);
}

TEST_F(DockerTest, AContainerThatEndsTellsItsOwnStatus) {
  const LaunchFailure failure =
      failure_of(docker_plan({"start.listen_ms=100000", "start.exit_status=42",
                              "start.failure=out_of_memory"}),
                 options());
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_EQ(failure.end.status, 42);
  EXPECT_EQ(failure.kind, ErrorKind::kOutOfMemory);
  EXPECT_NE(failure.evidence.find("Tried to allocate"), std::string::npos);
  expect_nothing_left();
}

TEST_F(DockerTest, TheKernelsOutOfMemoryKillerIsNamed) {
  docker_says("oom", "yes");
  const LaunchFailure failure = failure_of(
      docker_plan({"start.listen_ms=100000", "start.exit_ms=1", "start.exit_status=137"}),
      options());
  EXPECT_EQ(failure.problem, LaunchProblem::kDied);
  EXPECT_NE(failure.cause.find("OOMKilled"), std::string::npos);
  EXPECT_EQ(exit_status(failure.kind), 3);
}

TEST_F(DockerTest, ADaemonThatRefusesIsToldApartFromAnEngineThatDies) {
  docker_says("run_error",
              "Error response from daemon: could not select device driver \"\" with capabilities: "
              "[[gpu]].");
  const LaunchFailure failure = failure_of(docker_plan(), options());
  EXPECT_EQ(failure.problem, LaunchProblem::kContainerStart);
  EXPECT_EQ(failure.kind, ErrorKind::kDevice);
  EXPECT_NE(failure.cause.find("container toolkit"), std::string::npos);
  expect_nothing_left();
}

TEST_F(DockerTest, AProgramThatTheImageLacks) {
  docker_says("images.json", R"({"fake/engine:1.2.3": {"id": "sha256:1", "digest": "f@sha256:2",
                                 "here": true, "program": ["no-such-engine"]}})");
  const LaunchFailure failure = failure_of(docker_plan(), options());
  EXPECT_NE(failure.cause.find("does not have the program"), std::string::npos);
}

TEST_F(DockerTest, AnEngineThatIgnoresSignalsIsKilled) {
  RunningEngine engine = launch_engine(docker_plan({"start.ignore_sigterm=true"}), options());
  const StopReport report = engine.stop();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.signal, SIGKILL);
  expect_nothing_left(engine.run());
}

TEST_F(DockerTest, WhatTheDaemonDoesNotTellIsNotTakenForGone) {
  RunningEngine engine = launch_engine(docker_plan(), options());
  docker_says("inspect_error", "Error response from daemon: context deadline exceeded");
  const Docker docker_program(docker().string());
  EXPECT_THROW(docker_program.container("mica-" + engine.run()), LaunchError);
  EXPECT_THROW(docker_program.stop_labelled(engine.run(), false, {}), LaunchError);
  std::filesystem::remove(docker_home() / "inspect_error");
  EXPECT_FALSE(docker_program.container("mica-of-nobody"));
  EXPECT_TRUE(engine.stop().clean());
  expect_nothing_left(engine.run());
}

TEST_F(DockerTest, APortHeldByAContainerNamesIt) {
  const LaunchPlan plan = docker_plan();
  RunningEngine first = launch_engine(plan, options());
  const LaunchFailure failure = failure_of(plan, options());
  EXPECT_EQ(failure.problem, LaunchProblem::kPortTaken);
  EXPECT_NE(failure.what.find("container 'mica-" + first.run()), std::string::npos);
  EXPECT_NE(failure.what.find("which Mica started"), std::string::npos);
  EXPECT_NE(failure.advice.find("docker stop mica-"), std::string::npos);
  EXPECT_FALSE(first.failure());

  LaunchOptions asking = options();
  int questions = 0;
  asking.ask_port = [&](const PortHolder& holder) {
    EXPECT_TRUE(holder.by_mica);
    ++questions;
    return PortAnswer::kStop;
  };
  RunningEngine second = launch_engine(plan, asking);
  EXPECT_EQ(questions, 1);
  EXPECT_TRUE(first.failure());
  EXPECT_FALSE(second.failure());
}

}  // namespace
}  // namespace mica
