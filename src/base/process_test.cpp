#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "temp_folder.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ProcessResult shell(const std::string& script, double seconds = 10) {
  return ChildProcess::program({"/bin/sh", "-c", script}, seconds).finish();
}

TEST(Process, OutputAndStatusOfAProgram) {
  const ProcessResult result = shell("echo out; echo err >&2; echo $LC_ALL; read line; exit 7");
  EXPECT_TRUE(result.started);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.status, 7);
  EXPECT_EQ(result.output, "out\nerr\nC\n");
  EXPECT_TRUE(shell("exit 0").ok());
}

TEST(Process, MissingProgramDoesNotStart) {
  EXPECT_FALSE(ChildProcess::program({"/nonexistent/program"}, 1).finish().started);
  EXPECT_FALSE(ChildProcess::program({}, 1).finish().started);
  const TempFolder folder;
  const auto path = folder.path() / "broken";
  std::ofstream(path) << "#!/nonexistent/interpreter\n";
  ::chmod(path.c_str(), 0755);
  EXPECT_FALSE(ChildProcess::program({path.string()}, 1).finish().started);
}

TEST(Process, AHangingProgramEndsWithAllItStarted) {
  const TempFolder folder;
  const auto start = Clock::now();
  const ProcessResult result =
      shell("sleep 60 & echo $! > " + (folder.path() / "pid").string() + "; echo begun; wait", 0.3);
  EXPECT_LT(seconds_since(start), 2);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.output, "begun\n");
  pid_t pid = 0;
  std::ifstream(folder.path() / "pid") >> pid;
  ASSERT_GT(pid, 0);
  // Gone, or a zombie that its new parent has not collected.
  for (int i = 0; i < 100 && ::kill(pid, 0) == 0; ++i) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    if (!(status >> number >> name >> state) || state == "Z") break;
    ASSERT_LT(i, 99) << "still runs";
    ::usleep(10000);
  }
}

TEST(Process, AProgramThatClosesItsOutputAndStaysIsEnded) {
  const ProcessResult result = shell("exec >&- 2>&-; sleep 60", 0.3);
  EXPECT_TRUE(result.timed_out);
}

TEST(Process, EndlessOutputIsCut) {
  const ProcessResult result = shell("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done");
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.output.size(), ChildProcess::kMaxOutput);
}

TEST(Process, FunctionTellsUntilItHangsCrashesOrThrows) {
  const auto run = [](const std::function<void()>& end, double seconds) {
    return ChildProcess::function(
               [&](const ChildProcess::Emit& emit) {
                 emit("told\n");
                 end();
               },
               seconds)
        .finish();
  };
  const ProcessResult done = run([] {}, 10);
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(done.output, "told\n");
  const ProcessResult hung = run([] { ::sleep(60); }, 0.2);
  EXPECT_TRUE(hung.timed_out);
  EXPECT_EQ(hung.output, "told\n");
  const ProcessResult crashed = run([] { ::raise(SIGKILL); }, 10);
  EXPECT_EQ(crashed.status, 128 + SIGKILL);
  EXPECT_EQ(crashed.output, "told\n");
  EXPECT_EQ(run([] { throw std::runtime_error("x"); }, 10).status, 1);
}

TEST(Process, ChildrenRunAtOnce) {
  const auto start = Clock::now();
  std::vector<ChildProcess> children;
  for (int i = 0; i < 4; ++i) children.push_back(ChildProcess::program({"/bin/sleep", "0.5"}, 10));
  for (ChildProcess& child : children) EXPECT_TRUE(child.finish().ok());
  EXPECT_LT(seconds_since(start), 1.5);
}

TEST(Process, FindsProgramsAsPathDoes) {
  const TempFolder folder;
  for (const char* name : {"a", "b", "c"}) {
    std::filesystem::create_directories(folder.path() / name);
    std::ofstream(folder.path() / name / "tool") << "#!/bin/sh\n";
  }
  ::chmod((folder.path() / "b/tool").c_str(), 0755);
  ::chmod((folder.path() / "c/tool").c_str(), 0755);
  const std::string root = folder.path().string();
  EXPECT_EQ(find_program("tool", ":" + root + "/a:" + root + "/b:" + root + "/c"),
            folder.path() / "b/tool");
  EXPECT_EQ(find_program("tool", root + "/a"), "");
  EXPECT_EQ(find_program("tool", ""), "");
}

}  // namespace
}  // namespace mica
