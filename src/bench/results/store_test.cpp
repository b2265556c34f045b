#include "bench/results/store.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "bench/results/run_json.h"
#include "bench_runs.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

class StoreTest : public testing::Test {
 protected:
  TempFolder temp_;
  ResultStore store_{temp_.path() / "results"};

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(store_.folder() / "runs"))
      names.insert(entry.path().filename().string());
    return names;
  }
  RunRecord measure(const std::string& backend, double speed = 1) {
    const RunRecord sample = sample_run(backend, speed);
    RunWriter writer = store_.begin(sample_head(backend));
    for (const RequestSample& record : sample.requests) writer.add(record);
    return writer.finish();
  }
};

TEST_F(StoreTest, ARunFromBeginningToEnd) {
  RunWriter writer = store_.begin(sample_head());
  const std::string id = writer.id();
  EXPECT_EQ(files(), std::set<std::string>{id + ".journal"});
  Provenance provenance = sample_head().provenance;
  provenance.engine.version = "0.11.1";
  writer.set(provenance);
  writer.add(PhaseRecord{"port", 4.5, ""});
  for (const RequestSample& record : sample_run().requests) writer.add(record);
  writer.add(Mark{Severity::kWarning, "throttled", "the GPU was hot"});
  writer.add_telemetry({"gpu0.power", "W", "NVML", {0}, {400}});
  writer.add_server({"ttft", "s", "histogram", {}, {0.1}});
  const RunRecord run = writer.finish();
  EXPECT_EQ(files(), std::set<std::string>{id + ".json"});
  EXPECT_EQ(run.state, RunState::kFinished);
  EXPECT_EQ(run.summary.finished, 40);
  EXPECT_EQ(run.summary.warmup, 1);
  const RunRecord loaded = store_.load(id);
  EXPECT_EQ(to_json(loaded), to_json(run));
  EXPECT_EQ(loaded.provenance.engine.version, "0.11.1");
  EXPECT_EQ(loaded.marks[0].code, "throttled");
}

TEST_F(StoreTest, RunsOfTheSamePlanAtTheSameMomentAreSeveral) {
  std::set<std::string> ids;
  for (int i = 0; i < 30; ++i) ids.insert(store_.begin(sample_head()).id());
  EXPECT_EQ(ids.size(), 30u);
  EXPECT_EQ(files().size(), 30u);
}

TEST_F(StoreTest, NothingIsOverwritten) {
  const RunRecord run = sample_run();
  EXPECT_EQ(store_.add(run), run.id);
  EXPECT_THROW(store_.add(sample_run("vllm", 2)), Error);
  EXPECT_EQ(to_json(store_.load(run.id)), to_json(run));
}

TEST_F(StoreTest, RunsAreFoundByIdBeginningPathAndLast) {
  const RunRecord first = measure("vllm"), second = measure("sglang");
  EXPECT_EQ(store_.load(first.id).backend(), "vllm");
  EXPECT_EQ(store_.load("last").id, second.id);
  EXPECT_EQ(store_.load(first.id.substr(0, first.id.size() - 1)).id, first.id);
  EXPECT_EQ(store_.load(store_.file_of(first.id).string()).id, first.id);
  for (const char* name : {"nothing", "", "2"}) EXPECT_THROW(store_.load(name), Error) << name;
}

TEST_F(StoreTest, TheListTellsFiguresAndFilters) {
  measure("vllm");
  measure("sglang", 2);
  measure("vllm", 4);
  ASSERT_EQ(store_.list().size(), 3u);
  const std::vector<RunEntry> vllm = store_.list({.backend = "vllm"});
  ASSERT_EQ(vllm.size(), 2u);
  EXPECT_NEAR(*vllm[0].ttft_median, 0.1005, 1e-6);
  EXPECT_NEAR(*vllm[1].tpot_median, 0.0025, 1e-6);
  EXPECT_EQ(vllm[0].model, "org/model");
  EXPECT_EQ(vllm[0].requests, 40);
  EXPECT_EQ(store_.list({.model = "MODEL"}).size(), 3u);
  EXPECT_EQ(store_.list({.model = "%"}).size(), 0u);
  EXPECT_EQ(store_.list({.group = "matrix-2"}).size(), 0u);
  EXPECT_EQ(store_.list({.since = "2999"}).size(), 0u);
  const std::vector<RunEntry> newest = store_.list({.limit = 2});
  ASSERT_EQ(newest.size(), 2u);
  EXPECT_EQ(newest[0].backend, "sglang");  // the oldest first
}

TEST_F(StoreTest, TheIndexIsMadeAnewFromTheFiles) {
  measure("vllm");
  measure("sglang");
  const auto before = store_.list();
  fs::remove(store_.folder() / "results.db");
  std::ofstream(store_.folder() / "runs/broken.json") << "{";
  ResultStore again(store_.folder());
  EXPECT_TRUE(again.list().empty());
  EXPECT_EQ(again.rebuild(), 2);
  ASSERT_EQ(again.list().size(), 2u);
  EXPECT_EQ(again.list()[1].id, before[1].id);
  EXPECT_EQ(again.list()[1].output_throughput, before[1].output_throughput);
}

TEST_F(StoreTest, TheIndexCanBeAskedInSql) {
  const RunRecord run = measure("vllm");
  Database database(store_.folder() / "results.db");
  Statement slow = database.prepare(
      "SELECT count(*), max(ttft) FROM requests WHERE run = ? AND warmup = 0 AND status = 'ok'");
  slow.bind(run.id);
  ASSERT_TRUE(slow.step());
  EXPECT_EQ(slow.integer(0), 40);
  EXPECT_NEAR(slow.number(1), 0.101, 1e-9);
}

TEST_F(StoreTest, AnIndexThatIsNoneIsSaid) {
  TempFolder other;
  std::ofstream(other.path() / "results.db") << std::string(5000, 'x');
  try {
    ResultStore store(other.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("results.db"), std::string::npos);
  }
}

TEST_F(StoreTest, SeveralStoresWriteAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ResultStore store(store_.folder());
      for (int k = 0; k < 3; ++k) {
        RunWriter writer = store.begin(sample_head());
        writer.add(streamed(0, {}));
        writer.finish();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_.list().size(), 12u);
}

TEST_F(StoreTest, AFolderThatCanNotBeMade) {
  std::ofstream(temp_.path() / "file") << "x";
  EXPECT_THROW(ResultStore(temp_.path() / "file/results"), Error);
}

}  // namespace
}  // namespace mica
