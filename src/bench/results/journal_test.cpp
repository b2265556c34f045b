#include "bench/results/journal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/mix.h"
#include "bench/results/run_json.h"
#include "bench/results/store.h"
#include "bench_runs.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

// Measures in a process of its own, reporting each request that add() returned from through
// `report`, until it is killed or has finished.
[[noreturn]] void measure_and_report(const fs::path& folder, int report) {
  ResultStore store(folder);
  RunWriter writer = store.begin(sample_head());
  for (int64_t id = 0; id < 300; ++id) {
    writer.add(streamed(id, {.sent = 0.1 * static_cast<double>(id), .tokens = 200}));
    if (::write(report, &id, sizeof id) != sizeof id) ::_exit(1);
  }
  writer.finish();
  ::_exit(0);
}

int64_t read_reports(int fd) {
  int64_t id = 0, last = -1;
  while (::read(fd, &id, sizeof id) == sizeof id) last = id;
  return last;
}

// How many requests were reported as kept before SIGKILL came after `microseconds`.
int64_t kill_a_run(const fs::path& folder, int microseconds) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    measure_and_report(folder, ends[1]);
  }
  ::close(ends[1]);
  ::usleep(static_cast<useconds_t>(microseconds));
  ::kill(child, SIGKILL);
  const int64_t last = read_reports(ends[0]);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return last + 1;
}

TEST(Journal, KilledAtTwentyMomentsNoFinishedRequestIsLost) {
  int interrupted = 0;
  for (uint64_t round = 0; round < 20; ++round) {
    TempFolder temp;
    const int moment = static_cast<int>(random_word(5, round) % 60'000);
    const int64_t kept = kill_a_run(temp.path(), moment);
    ResultStore store(temp.path());
    const std::vector<RecoveredRun> recovered = store.recover();
    for (const RecoveredRun& run : recovered) EXPECT_EQ(run.problem, "") << moment;
    const std::vector<RunEntry> runs = store.list();
    ASSERT_LE(runs.size(), 1u);
    if (runs.empty()) {  // killed before its journal was there
      EXPECT_EQ(kept, 0);
      continue;
    }
    const RunRecord run = store.load(runs[0].id);
    EXPECT_GE(static_cast<int64_t>(run.requests.size()), kept) << moment;
    EXPECT_LE(static_cast<int64_t>(run.requests.size()), kept + 1) << moment;
    for (size_t i = 0; i < run.requests.size(); ++i)
      EXPECT_EQ(to_json(run.requests[i]),
                to_json(streamed(static_cast<int64_t>(i),
                                 {.sent = 0.1 * static_cast<double>(i), .tokens = 200})));
    interrupted += run.state == RunState::kInterrupted;
    if (run.state == RunState::kInterrupted) {
      EXPECT_FALSE(run.error.empty());
    }
    EXPECT_TRUE(store.recover().empty());
    EXPECT_FALSE(fs::exists(store.folder() / "runs" / (run.id + ".journal")));
  }
  EXPECT_GT(interrupted, 0);
}

TEST(Journal, ThatOfALivingProcessIsLeftAlone) {
  TempFolder temp;
  ResultStore store(temp.path());
  RunWriter writer = store.begin(sample_head());
  writer.add(streamed(0, {}));
  EXPECT_TRUE(ResultStore(temp.path()).recover().empty());
  writer.add(streamed(1, {}));
  EXPECT_EQ(writer.finish().requests.size(), 2u);
}

class JournalText : public testing::Test {
 protected:
  // The journal of a run with three requests, left behind.
  JournalText() {
    RunWriter writer = store_.begin(sample_head());
    id_ = writer.id();
    for (int64_t i = 0; i < 3; ++i) writer.add(streamed(i, {.sent = 1.0 * static_cast<double>(i)}));
    journal_ = temp_.path() / "runs" / (id_ + ".journal");
  }
  std::string text() const { return read_text_file(journal_); }
  void replace(const std::string& text) { std::ofstream(journal_, std::ios::binary) << text; }

  TempFolder temp_;
  ResultStore store_{temp_.path()};
  std::string id_;
  fs::path journal_;
};

TEST_F(JournalText, EveryBeginningIsRead) {
  const std::string whole = text();
  const size_t head = whole.find('\n');
  for (size_t size = 0; size <= whole.size(); size += 1 + size / 97) {
    if (size <= head) {
      EXPECT_THROW(read_journal(whole.substr(0, size), "j"), Error) << size;
      continue;
    }
    const JournalContent content = read_journal(whole.substr(0, size), "j");
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(size), '\n');
    EXPECT_EQ(static_cast<long>(content.run.requests.size()), lines - 1) << size;
    EXPECT_EQ(content.lost, size - whole.rfind('\n', size - 1) - 1) << size;
    EXPECT_FALSE(content.ended);
  }
}

TEST_F(JournalText, WhatFollowsADamagedLineIsNotTrusted) {
  std::string damaged = text();
  size_t second = damaged.find('\n') + 1;
  second = damaged.find('\n', second) + 1;
  for (size_t i = second; i < second + 20; ++i) damaged[i] = '\0';  // as power cuts leave it
  replace(damaged);
  const std::vector<RecoveredRun> recovered = store_.recover();
  ASSERT_EQ(recovered.size(), 1u);
  EXPECT_EQ(recovered[0].requests, 1);
  EXPECT_EQ(recovered[0].lost, damaged.size() - second);
  EXPECT_EQ(store_.load(id_).state, RunState::kInterrupted);
}

TEST_F(JournalText, WithoutAHeadItIsKeptAside) {
  replace("{\"type\":\"head\"}\n");
  const std::vector<RecoveredRun> recovered = store_.recover();
  ASSERT_EQ(recovered.size(), 1u);
  EXPECT_NE(recovered[0].problem.find("schema_version"), std::string::npos);
  EXPECT_TRUE(fs::exists(journal_.string() + ".broken"));
  EXPECT_TRUE(store_.recover().empty());
}

TEST_F(JournalText, ARunWhoseProcessDiedAfterItsLastLineIsFinished) {
  replace(text() + "{\"type\":\"end\",\"state\":\"failed\",\"error\":\"the engine died\"}\n");
  EXPECT_EQ(store_.recover().size(), 1u);
  EXPECT_EQ(store_.load(id_).state, RunState::kFailed);
  EXPECT_EQ(store_.load(id_).error, "the engine died");
}

TEST_F(JournalText, ARunWhoseProcessDiedAfterItsFileIsIndexed) {
  RunRecord run = sample_run();
  run.id = id_;
  write_text_file(store_.file_of(id_), to_json(run));
  EXPECT_EQ(store_.recover().size(), 1u);
  EXPECT_EQ(store_.list().size(), 1u);
  EXPECT_EQ(to_json(store_.load(id_)), to_json(run));
  EXPECT_FALSE(fs::exists(journal_));
}

TEST(Journal, AFullDiskLeavesWholeLines) {
  TempFolder temp;
  ResultStore store(temp.path());
  RunWriter writer = store.begin(sample_head());
  writer.add(streamed(0, {}));
  const fs::path journal = temp.path() / "runs" / (writer.id() + ".journal");
  const auto size = fs::file_size(journal);
  // A limit of this process's files acts as a full disk does.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{}, tight{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  tight = before;
  tight.rlim_cur = size + 100;
  ::setrlimit(RLIMIT_FSIZE, &tight);
  EXPECT_THROW(writer.add(streamed(1, {})), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(fs::file_size(journal), size);
  writer.add(streamed(2, {}));
  EXPECT_EQ(writer.finish().requests.size(), 2u);
}

}  // namespace
}  // namespace mica
