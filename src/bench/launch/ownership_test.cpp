// Records of launches, and what the next start does with those of the dead.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/file.h"
#include "base/process.h"
#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

using std::chrono::milliseconds;

constexpr StopPatience kShort{milliseconds(500), milliseconds(500), milliseconds(5000)};

OwnershipRecord example() {
  OwnershipRecord record = new_ownership("vllm");
  record.log = "/tmp/\xff log";  // a file's name need not be UTF-8
  record.processes.leader = {4711, 99};
  record.processes.seen = {{4711, 99}, {4712, 101}};
  record.container = OwnedContainer{"/usr/bin/docker", "mica-x", "abc"};
  return record;
}

TEST(Ownership, ARecordReadsAsItWasWritten) {
  const OwnershipRecord record = example();
  const OwnershipRecord read = ownership_from_json(to_json(record));
  EXPECT_EQ(read.run, record.run);
  EXPECT_EQ(read.backend, "vllm");
  EXPECT_EQ(read.created, record.created);
  EXPECT_EQ(read.owner.process, this_process());
  EXPECT_EQ(read.owner.boot, boot_id());
  EXPECT_EQ(read.owner.process_space, process_namespace());
  EXPECT_EQ(read.processes.leader, record.processes.leader);
  EXPECT_EQ(read.processes.mark, "MICA_LAUNCH=" + record.run);
  EXPECT_EQ(read.processes.seen, record.processes.seen);
  ASSERT_TRUE(read.container);
  EXPECT_EQ(read.container->name, "mica-x");
  EXPECT_EQ(read.container->id, "abc");
}

TEST(Ownership, RunIdsDifferAndSortByTime) {
  const std::string a = new_run_id(), b = new_run_id();
  EXPECT_NE(a, b);
  EXPECT_EQ(a.size(), 25u);
  EXPECT_EQ(a.find_first_not_of("0123456789abcdefTZ-"), std::string::npos);
}

TEST(Ownership, TheFolderIsThatOfTheState) {
  const char* before = std::getenv("XDG_STATE_HOME");
  const std::string kept = before ? before : "";
  ::setenv("XDG_STATE_HOME", "/var/state", 1);
  EXPECT_EQ(default_state_folder(), "/var/state/mica");
  ::setenv("XDG_STATE_HOME", "relative", 1);  // as the standard says: not valid
  EXPECT_NE(default_state_folder().string().find("/.local/state/mica"), std::string::npos);
  before ? ::setenv("XDG_STATE_HOME", kept.c_str(), 1) : ::unsetenv("XDG_STATE_HOME");
}

class RecoveryTest : public LaunchTest {
 protected:
  RecoveryTest() : ownership(state()) {}

  // An owner that is gone.
  static Owner dead_owner() {
    Owner owner = this_owner();
    owner.process.start -= 1;
    return owner;
  }
  Ownership ownership;
};

TEST_F(RecoveryTest, OfTheDeadIsEndedOfTheLivingNot) {
  LogPump pump({}), other_pump({});
  OwnershipRecord dead = new_ownership("fake"), alive = new_ownership("fake");
  const EngineProcess left({.argv = {"/bin/sleep", "1020"}, .mark = dead.processes.mark}, pump);
  const EngineProcess kept({.argv = {"/bin/sleep", "1021"}, .mark = alive.processes.mark},
                           other_pump);
  dead.owner = dead_owner();
  dead.processes = left.processes();
  alive.processes = kept.processes();
  ownership.write(dead);
  ownership.write(alive);
  const auto recoveries = ownership.recover(kShort);
  ASSERT_EQ(recoveries.size(), 1u);
  EXPECT_EQ(recoveries[0].run, dead.run);
  EXPECT_EQ(recoveries[0].report.stopped, 1);
  EXPECT_TRUE(recoveries[0].report.clean());
  EXPECT_NE(recoveries[0].note.find("1 ended"), std::string::npos) << recoveries[0].note;
  EXPECT_FALSE(is_alive(left.processes().leader));
  EXPECT_TRUE(is_alive(kept.processes().leader));
  ASSERT_EQ(ownership.all().size(), 1u);
  EXPECT_EQ(ownership.all()[0].run, alive.run);
  EXPECT_TRUE(ownership.recover(kShort).empty());  // nothing is done twice
}

TEST_F(RecoveryTest, OfOtherMachinesNothingIsTouched) {
  LogPump pump({});
  OwnershipRecord record = new_ownership("fake");
  const EngineProcess process({.argv = {"/bin/sleep", "1022"}, .mark = record.processes.mark},
                              pump);
  record.owner = dead_owner();
  record.owner.host = "another";
  record.processes = process.processes();
  ownership.write(record);
  EXPECT_TRUE(ownership.recover(kShort).empty());
  record.owner = dead_owner();
  record.owner.process_space += 1;  // another container's numbers
  ownership.write(record);
  EXPECT_TRUE(ownership.recover(kShort).empty());
  EXPECT_TRUE(is_alive(process.processes().leader));
  EXPECT_EQ(ownership.all().size(), 1u);
}

TEST_F(RecoveryTest, AfterARestartOfTheMachineNumbersMeanNothing) {
  LogPump pump({});
  OwnershipRecord record = new_ownership("fake");
  const EngineProcess process({.argv = {"/bin/sleep", "1023"}, .mark = record.processes.mark},
                              pump);
  record.owner = dead_owner();
  record.owner.boot = "an earlier one";
  record.processes = process.processes();
  ownership.write(record);
  const auto recoveries = ownership.recover(kShort);
  ASSERT_EQ(recoveries.size(), 1u);
  EXPECT_EQ(recoveries[0].report.stopped, 0);
  EXPECT_TRUE(is_alive(process.processes().leader));
  EXPECT_TRUE(ownership.all().empty());
}

TEST_F(RecoveryTest, ARecordThatCannotBeReadIsLeftAlone) {
  for (const char* text : {"", "{", "[]", "{\"schema\": 2}", "{\"schema\": 1}", "null"}) {
    write_text_file(state() / "owned/bad.json", text);
    EXPECT_TRUE(ownership.recover(kShort).empty()) << text;
    EXPECT_TRUE(std::filesystem::exists(state() / "owned/bad.json"));
  }
}

TEST_F(RecoveryTest, ARecordUnderAnotherNameIsNotBelieved) {
  OwnershipRecord record = new_ownership("fake");
  record.owner = dead_owner();
  write_text_file(state() / "owned/other.json", to_json(record));
  EXPECT_TRUE(ownership.recover(kShort).empty());
}

TEST_F(RecoveryTest, WithoutDockerTheRecordOfAContainerStays) {
  OwnershipRecord record = new_ownership("fake");
  record.owner = dead_owner();
  record.container = OwnedContainer{docker().string(), "mica-x", ""};
  ownership.write(record);
  docker_says("broken", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.");
  const auto recoveries = ownership.recover(kShort);
  ASSERT_EQ(recoveries.size(), 1u);
  EXPECT_FALSE(recoveries[0].report.clean());
  EXPECT_NE(recoveries[0].note.find("Cannot connect"), std::string::npos);
  EXPECT_EQ(ownership.all().size(), 1u);
  std::filesystem::remove(docker_home() / "broken");
  EXPECT_TRUE(ownership.recover(kShort)[0].report.clean());
  EXPECT_TRUE(ownership.all().empty());
}

// Starts launch_owner, kills it after a random time, recovers.
class KillTest : public RecoveryTest {
 protected:
  static constexpr int kMoments = 20;

  void kill_at(double seconds, const Words& arguments) {
    Words argv = {
        (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "launch_owner").string(),
        state().string()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    LogPump pump({});
    // The owner gets no mark: only what it starts has one.
    auto owner = std::make_unique<EngineProcess>(ProcessSpec{.argv = argv}, pump);
    const ProcessId id = owner->processes().leader;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    ::kill(id.pid, SIGKILL);
    ASSERT_TRUE(owner->wait(milliseconds(10000)));
    for (const Recovery& recovery : ownership.recover(kShort)) {
      EXPECT_TRUE(recovery.report.clean()) << recovery.note;
      ended += recovery.report.stopped;
    }
    // A child that waits for its owner's word sees within a tenth of a second that none will come.
    for (int i = 0; i < 200 && !marked("").empty(); ++i) ::usleep(5000);
    expect_nothing_left();
    if (HasFailure()) GTEST_LOG_(INFO) << "killed after " << seconds << " s";
    owner->stop(kShort);
  }

  int ended = 0;
};

TEST_F(KillTest, OfAProcessNothingIsLeftWheneverMicaIsKilled) {
  // Helpers in the session, in another one, and orphaned.
  const Words arguments = {"process",
                           std::to_string(unused_port()),
                           "-",
                           "-",
                           "/bin/sh",
                           "-c",
                           "sleep 1030 & setsid sleep 1031 & (setsid sleep 1032 &); "
                           "trap '' INT; while :; do sleep 0.1; done"};
  std::mt19937 random(7);
  std::uniform_real_distribution<double> moment(0, 1.5);
  for (int i = 0; i < kMoments && !HasFailure(); ++i) kill_at(moment(random), arguments);
  EXPECT_GT(ended, 0);
}

TEST_F(KillTest, OfAContainerNothingIsLeftWheneverMicaIsKilled) {
  const Words arguments = {"docker",          std::to_string(unused_port()),
                           docker().string(), "fake/engine:1.2.3",
                           "--port-after",    "1000"};
  std::mt19937 random(8);
  std::uniform_real_distribution<double> moment(0, 2.5);
  for (int i = 0; i < kMoments && !HasFailure(); ++i) kill_at(moment(random), arguments);
  EXPECT_GT(ended, 0);
}

}  // namespace
}  // namespace mica
