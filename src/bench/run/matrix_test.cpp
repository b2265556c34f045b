// Which runs a matrix makes, in which order, and what becomes of those that fail.
#include <thread>

#include "bench/run/matrix_fixture.h"
#include "fake_engine/process.h"

namespace mica {
namespace {

TEST_F(MatrixTest, TwoEnginesTwoPointsTwoRounds) {
  fake::FakeEngine a(quick()), b(quick());
  a.start();
  b.start();
  MatrixOptions options;
  options.rounds = 2;
  options.measure.limits = parse_limits("llama-3.1-8b");
  const MatrixReport report =
      run({{.plan = attached("first", a.url())}, {.plan = attached("second", b.url())}},
          {small("closed:1"), small("poisson:200")}, options);
  EXPECT_TRUE(report.problems.empty());
  ASSERT_EQ(report.runs.size(), 8u);
  std::string order;
  for (const std::string& id : report.runs) {
    const RunRecord run = store_.load(id);
    order += run.backend()[0];
    EXPECT_EQ(run.state, RunState::kFinished);
    EXPECT_EQ(run.summary.finished, 6);
    EXPECT_GE(run.summary.warmup, 8);  // two rounds of at least four
    EXPECT_EQ(run.group, "test");
    EXPECT_EQ(run.workload.limits, "llama-3.1-8b");
    EXPECT_TRUE(run.summary.goodput);
    EXPECT_EQ(run.workload.prompts_hash.size(), 16u);
    EXPECT_EQ(run.workload.cache, "cold");
    EXPECT_TRUE(mark_of(run, "estimated_input"));  // no tokenizer is known
    if (run.backend() == "second") {
      EXPECT_TRUE(mark_of(run, "outputs_same"));
    }
  }
  EXPECT_EQ(order, "ffssssff");  // backwards in the second round
  EXPECT_EQ(store_.load(report.runs[0]).workload.prompts_hash,
            store_.load(report.runs[2]).workload.prompts_hash);
}

TEST_F(MatrixTest, AGroupGoesOnWhereItEnded) {
  fake::FakeEngine engine(quick());
  engine.start();
  const std::vector<MatrixBackend> backends = {{.plan = attached("first", engine.url())}};
  const MatrixReport first = run(backends, {small("closed:1")});
  const MatrixReport second = run(backends, {small("closed:1"), small("closed:2")});
  EXPECT_EQ(first.reused, 0);
  EXPECT_EQ(second.reused, 1);
  ASSERT_EQ(second.runs.size(), 2u);
  EXPECT_EQ(second.runs[0], first.runs[0]);
}

TEST_F(MatrixTest, OnlyTheSameWorkOfTheSameEngineIsTakenFromBefore) {
  fake::FakeEngine engine(quick());
  engine.start();
  const std::vector<MatrixBackend> backends = {{.plan = attached("first", engine.url())}};
  run(backends, {small("closed:1")});
  BenchPoint warm = small("closed:1"), more = small("closed:1"), seeded = small("closed:1");
  warm.workload.warm_cache = true;
  more.requests = 7;
  seeded.workload.seed = 3;
  EXPECT_EQ(run(backends, {warm, more, seeded}).reused, 0);
  std::vector<MatrixBackend> other = backends;
  other[0].plan.profile = "fast";
  EXPECT_EQ(run(other, {small("closed:1")}).reused, 0);
  other = backends;
  other[0].plan.model.value = "another";
  EXPECT_EQ(run(other, {small("closed:1")}).reused, 0);
  other = backends;
  other[0].model.files = {{"model.safetensors", 1, "sha256:00"}};
  EXPECT_EQ(run(other, {small("closed:1")}).reused, 0);
  BenchPoint recorded = small("closed:1");
  const auto items = [](const char* text) {
    return std::make_shared<const std::vector<DatasetItem>>(
        std::vector<DatasetItem>{{.turns = {{.user = text, .output_tokens = 3}}}});
  };
  recorded.items_name = "same name";
  recorded.items = items("a");
  EXPECT_EQ(run(backends, {recorded}).reused, 0);
  EXPECT_EQ(run(backends, {recorded}).reused, 1);
  recorded.items = items("b");
  EXPECT_EQ(run(backends, {recorded}).reused, 0);
}

// Two models of one backend: neither takes the other's runs, answers are compared within a model.
TEST_F(MatrixTest, ModelsAndProfilesOfOneBackend) {
  fake::Script another = quick();
  another.answer.text = "Grass is green for reasons of its own.";
  fake::FakeEngine a(quick()), b(another);
  a.start();
  b.start();
  const std::vector<MatrixBackend> backends = {
      {.label = "vllm a", .asked = "a", .plan = attached("vllm", a.url())},
      {.label = "vllm b", .asked = "b", .plan = attached("vllm", b.url())}};
  const MatrixReport first = run(backends, {small("closed:1")});
  ASSERT_EQ(first.runs.size(), 2u);
  EXPECT_EQ(first.outputs.size(), 2u);
  EXPECT_FALSE(first.invalid);
  const MatrixReport again = run(backends, {small("closed:1")});
  EXPECT_EQ(again.reused, 2);
  EXPECT_EQ(again.runs, first.runs);
}

TEST_F(MatrixTest, AnEngineThatIsNotThereLeavesTheOthersAlone) {
  fake::FakeEngine engine(quick());
  engine.start();
  const MatrixReport report = run(
      {{.plan = attached("gone", "http://127.0.0.1:9")}, {.plan = attached("here", engine.url())}},
      {small("closed:1")});
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].backend, "gone");
  EXPECT_EQ(report.exit_status(), 5);
  ASSERT_EQ(report.runs.size(), 2u);
  const RunRecord gone = store_.load(report.runs[0]);
  EXPECT_EQ(gone.backend(), "gone");
  EXPECT_EQ(gone.state, RunState::kFailed);
  EXPECT_NE(gone.error.find("nobody answers"), std::string::npos) << gone.error;
  ASSERT_FALSE(gone.phases.empty());
  EXPECT_EQ(gone.phases.back().note, "unreachable");
  EXPECT_EQ(store_.load(report.runs[1]).backend(), "here");
}

TEST_F(MatrixTest, AnEngineThatDiesKeepsItsFinishedRequests) {
  fake::FakeProcess engine({{"timing", {{"first_token_ms", 2}, {"interval_ms", 1}}},
                            {"faults", {{{"kind", "crash"}, {"first", 24}}}}});
  const MatrixReport report = run({{.plan = attached("mortal", engine.url())}}, {small("closed:1")},
                                  {.check_outputs = false});
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_GE(run.requests.size(), 8u);
}

TEST_F(MatrixTest, AnInterruptKeepsWhatWasMeasured) {
  fake::Script slow = quick();
  slow.timing.first_token_ms = 100;
  fake::FakeEngine engine(slow);
  engine.start();
  std::stop_source stop;
  BenchPoint point = small("closed:1");
  point.requests = 1000;
  MatrixOptions options;
  options.check_outputs = false;
  options.launch.interrupt = stop.get_token();
  std::jthread later([&] {
    while (engine.truths().size() < 12) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stop.request_stop();
  });
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {point}, options);
  EXPECT_TRUE(report.interrupted);
  EXPECT_EQ(report.exit_status(), 130);
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_EQ(run.state, RunState::kInterrupted);
  EXPECT_GE(run.requests.size(), 8u);
}

TEST_F(MatrixTest, ASweepEndsWhereMoreBringsNothing) {
  fake::Script script = quick();
  script.timing.first_token_ms = 40;
  script.timing.interval_ms = 10;  // far above the noise of a busy machine
  script.timing.slots = 2;
  fake::FakeEngine engine(script);
  engine.start();
  MatrixOptions options;
  options.check_outputs = false;
  options.sweep = true;
  options.most_concurrency = 64;
  const MatrixReport report =
      run({{.plan = attached("first", engine.url())}}, {small("closed:1")}, options);
  // The point itself, then 1, 2, and 4, which brings no more; noise may allow one more.
  EXPECT_GE(report.runs.size(), 4u);
  EXPECT_LE(report.runs.size(), 6u);
  ASSERT_EQ(report.sweeps.size(), 1u);
  const MatrixSweep& sweep = report.sweeps[0];
  EXPECT_EQ(sweep.end, MatrixSweep::End::kNoMore);
  EXPECT_GE(sweep.concurrency, 2);
  EXPECT_GT(sweep.throughput, 0);
  EXPECT_NE(describe(sweep).find("bring less than 5 % more"), std::string::npos);
  // The same again measures nothing; cut short, it goes on behind what is there.
  const size_t asked = engine.truths().size();
  const MatrixReport again =
      run({{.plan = attached("first", engine.url())}}, {small("closed:1")}, options);
  EXPECT_EQ(again.runs, report.runs);
  EXPECT_EQ(again.sweeps[0].concurrency, sweep.concurrency);
  EXPECT_EQ(engine.truths().size(), asked);
}

TEST_F(MatrixTest, ASweepSaysUpToWhereTheLimitsHold) {
  fake::Script script = quick();
  script.timing.first_token_ms = 40;
  script.timing.interval_ms = 10;
  script.timing.slots = 2;
  fake::FakeEngine engine(script);
  engine.start();
  MatrixOptions options;
  options.check_outputs = false;
  options.sweep = true;
  options.measure.limits = parse_limits("ttft:1");  // no answer begins so soon
  BenchPoint point = small("closed:1");
  point.requests = 0;
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {point}, options);
  EXPECT_EQ(report.runs.size(), 1u);  // the sweep's first is the point itself
  ASSERT_EQ(report.sweeps.size(), 1u);
  EXPECT_EQ(report.sweeps[0].concurrency, 0);
  EXPECT_NE(describe(report.sweeps[0]).find("the limits are not met with 1"), std::string::npos);
}

}  // namespace
}  // namespace mica
