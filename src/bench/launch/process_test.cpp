// Processes of /proc and of our own: identities, output, ends.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "bench/launch/engine_process.h"
#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

using std::chrono::milliseconds;

constexpr StopPatience kShort{milliseconds(400), milliseconds(400), milliseconds(3000)};

struct Engine {
  explicit Engine(const std::string& script, const std::string& mark = "MICA_LAUNCH=process-test")
      : pump({}), process({.argv = {"/bin/sh", "-c", script}, .mark = mark}, pump) {}
  // Waits until the script has said so.
  void until(const std::string& line) const {
    for (int i = 0; i < 2000 && pump.last_line() != line; ++i) ::usleep(5000);
    EXPECT_EQ(pump.last_line(), line);
  }
  LogPump pump;
  EngineProcess process;
};

TEST(ProcessTable, ANameMayHoldAnything) {
  const auto facts = parse_process_stat(
      "4711 (a) b (c) S 1 4700 4690 0 -1 4194304 1 2 3 4 50 60 0 0 20 0 1 0 123456 1000 25 18446");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "a) b (c");
  EXPECT_EQ(facts->id, (ProcessId{4711, 123456}));
  EXPECT_EQ(facts->state, 'S');
  EXPECT_EQ(facts->parent, 1);
  EXPECT_EQ(facts->group, 4700);
  EXPECT_EQ(facts->session, 4690);
  EXPECT_EQ(facts->cpu_ticks, 110u);
  EXPECT_EQ(facts->resident_bytes, 25u * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
  for (const char* bad : {"", "12", "12 (x", "12 (x) S 1", ") 12 ("})
    EXPECT_FALSE(parse_process_stat(bad)) << bad;
}

TEST(ProcessTable, ThisProcess) {
  const ProcessId self = this_process();
  EXPECT_EQ(self.pid, ::getpid());
  EXPECT_GT(self.start, 0u);
  EXPECT_TRUE(is_alive(self));
  EXPECT_FALSE(is_alive({self.pid, self.start + 1}));  // its number, another's start
  EXPECT_EQ(boot_id().size(), 36u);
  EXPECT_NE(process_namespace(), 0u);
  EXPECT_NE(command_line(self.pid).find("test_bench_launch"), std::string::npos);
}

// As the files of a process that dies while they are read.
TEST(ProcessTable, AFileThatCannotBeReadIsEmpty) {
  EXPECT_EQ(read_proc("/proc/self/mem"), "");  // EIO at address 0
  EXPECT_EQ(read_proc("/proc/self/no such file"), "");
  EXPECT_FALSE(read_proc("/proc/self/stat").empty());
}

TEST(EngineProcess, OutputEnvironmentFolderAndStatus) {
  const TempFolder folder;
  LogPump pump({});
  EngineProcess process({.argv = {"sh", "-c", "echo $COLOR; pwd; echo err >&2; read x; exit 7"},
                         .environment = {{"COLOR", "red"}},
                         .mark = "MICA_LAUNCH=x",
                         .directory = folder.path().string()},
                        pump);
  const auto end = process.wait(milliseconds(10000));
  ASSERT_TRUE(end);
  EXPECT_EQ(describe(*end), "exit status 7");
  EXPECT_TRUE(pump.wait_end(milliseconds(5000)));
  EXPECT_EQ(pump.tail(10),
            (Words{"red", std::filesystem::canonical(folder.path()).string(), "err"}));
}

TEST(EngineProcess, HasASessionOfItsOwnAndTheMark) {
  Engine engine("echo up; exec sleep 100");
  engine.until("up");
  const ProcessId leader = engine.process.processes().leader;
  const auto facts = read_process(leader.pid);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->session, leader.pid);
  EXPECT_EQ(facts->group, leader.pid);
  EXPECT_TRUE(has_variable(leader.pid, "MICA_LAUNCH=process-test"));
  EXPECT_FALSE(has_variable(leader.pid, "MICA_LAUNCH=process"));
  EXPECT_EQ(variable_of(leader.pid, "MICA_LAUNCH"), "process-test");
}

TEST(EngineProcess, WhatCannotStartSaysWhy) {
  LogPump pump({});
  const auto message = [&](const Words& argv, const std::string& directory = "") {
    try {
      const EngineProcess process({.argv = argv, .directory = directory}, pump);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBackend);
      return std::string(error.what());
    }
    return std::string("it started");
  };
  EXPECT_NE(message({"no-such-engine"}).find("not found in PATH"), std::string::npos);
  EXPECT_NE(message({"/no/such/engine"}).find("No such file"), std::string::npos);
  EXPECT_NE(message({"/bin/sh"}, "/no/such/folder").find("No such file"), std::string::npos);
  const TempFolder folder;
  write_program(folder.path() / "broken", "#!/no/such/interpreter\n");
  EXPECT_NE(message({(folder.path() / "broken").string()}).find("No such file"), std::string::npos);
}

TEST(EngineProcess, WhatThisProcessHasOpenIsNotPassedOn) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);  // without O_CLOEXEC
  Engine engine(fmt::format("test -e /proc/self/fd/{} && echo open || echo closed", pipe[1]));
  engine.until("closed");
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(EngineProcess, StopsWithTheMildestSignalThatWorks) {
  const auto signal_needed = [](const std::string& traps) {
    Engine engine(traps + "echo up; while :; do sleep 0.05; done");
    engine.until("up");
    const StopReport report = engine.process.stop(kShort);
    EXPECT_TRUE(report.clean());
    EXPECT_GE(report.stopped, 1);
    return report.signal;
  };
  EXPECT_EQ(signal_needed("trap 'exit 0' INT; "), SIGINT);
  EXPECT_EQ(signal_needed("trap '' INT; trap 'exit 0' TERM; "), SIGTERM);
  EXPECT_EQ(signal_needed("trap '' INT TERM; "), SIGKILL);
}

TEST(EngineProcess, StopEndsAllThatDescends) {
  // In its session; in another one; orphaned; and orphaned in another session.
  Engine engine(
      "sleep 1001 & setsid sleep 1002 & (sleep 1003 &) ; (setsid sleep 1004 &) ; echo up; wait");
  engine.until("up");
  for (int i = 0; i < 1000 && marked("process-test").size() < 5; ++i) ::usleep(5000);
  EXPECT_GE(marked("process-test").size(), 5u);
  EXPECT_GE(engine.process.look().size(), 5u);
  const StopReport report = engine.process.stop(kShort);
  EXPECT_TRUE(report.clean());
  EXPECT_TRUE(marked("process-test").empty());
}

TEST(EngineProcess, WhatADeadLeaderLeftIsStillFound) {
  Engine engine("sleep 1005 & setsid sleep 1006 & echo up; exit 3");
  const auto end = engine.process.wait(milliseconds(10000));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 3);
  for (int i = 0; i < 1000 && marked("process-test").size() < 2; ++i) ::usleep(5000);
  EXPECT_EQ(engine.process.look().size(), 2u);
  EXPECT_EQ(engine.process.stop(kShort).stopped, 2);
  EXPECT_TRUE(marked("process-test").empty());
}

TEST(EngineProcess, ACleanedEnvironmentHidesNobodyInTheSession) {
  Engine engine("env -i sleep 1007 & env -i sleep 1008 & echo up; wait");
  engine.until("up");
  for (int i = 0; i < 1000 && engine.process.look().size() < 3; ++i) ::usleep(5000);
  EXPECT_EQ(engine.process.stop(kShort).stopped, 3);
}

TEST(EngineProcess, AKilledEngineSaysSo) {
  Engine engine("kill -9 $$");
  const auto end = engine.process.wait(milliseconds(10000));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 137);
  EXPECT_EQ(describe(*end), "killed by signal 9 (SIGKILL)");
}

TEST(EngineProcess, BeforeExecComesFirstAndItsErrorStartsNothing) {
  const TempFolder folder;
  const std::string file = (folder.path() / "began").string();
  LogPump pump({});
  ProcessId child;
  EXPECT_THROW(EngineProcess({.argv = {"/bin/sh", "-c", "echo x > " + file}}, pump,
                             [&](const ProcessId& id) {
                               child = id;
                               EXPECT_TRUE(is_alive(id));
                               ::usleep(50000);
                               EXPECT_FALSE(std::filesystem::exists(file));
                               throw Error(ErrorKind::kUsage, "disk full");
                             }),
               Error);
  EXPECT_GT(child.pid, 0);
  EXPECT_FALSE(is_alive(child));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(EngineProcess, AnotherProcessOfTheSameNumberIsNotTouched) {
  Engine engine("echo up; exec sleep 1009");
  engine.until("up");
  LaunchedProcesses stale = engine.process.processes();
  stale.leader.start -= 1;  // as if the number had been given away again
  stale.mark = "MICA_LAUNCH=another";
  EXPECT_TRUE(living(stale).empty());
  EXPECT_EQ(stop_processes(stale, kShort).stopped, 0);
  EXPECT_TRUE(is_alive(engine.process.processes().leader));
}

TEST(EngineProcess, DiesWithTheThreadThatStartedIt) {
  ProcessId id;
  LogPump pump({});
  std::unique_ptr<EngineProcess> process;
  std::thread([&] {
    process = std::make_unique<EngineProcess>(
        ProcessSpec{.argv = {"/bin/sleep", "1010"}, .dies_with_thread = true}, pump);
    id = process->processes().leader;
  }).join();
  EXPECT_TRUE(process->wait(milliseconds(10000)));
  EXPECT_FALSE(is_alive(id));
}

}  // namespace
}  // namespace mica
