#include "bench/run/matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fake_engine/engine.h"
#include "fake_engine/process.h"
#include "temp_folder.h"

namespace mica {
namespace {

// A plan for a server that runs already.
LaunchPlan attached(const std::string& name, const std::string& url) {
  LaunchPlan plan;
  plan.backend = name;
  plan.mode = LaunchMode::kAttach;
  plan.url = url;
  plan.model.value = plan.served_name.value = "fake-model";
  plan.probes.health = "/health";
  plan.probes.models = "/v1/models";
  plan.dialect.ignore_eos = plan.dialect.stream_usage = true;
  plan.dialect.metrics = "/metrics";
  plan.dialect.metrics_dialect = "vllm";
  return plan;
}

fake::Script quick() {
  fake::Script script;
  script.timing.first_token_ms = 4;
  script.timing.interval_ms = 1;
  script.answer.text =
      "The sky is blue because air scatters short waves of light more than long ones.";
  return script;
}

BenchPoint small(const std::string& arrivals) {
  BenchPoint point;
  point.workload = {.input_tokens = 16, .output_tokens = 5};
  point.arrivals = parse_arrivals(arrivals);
  point.requests = 6;
  return point;
}

class MatrixTest : public testing::Test {
 protected:
  MatrixReport run(const std::vector<MatrixBackend>& backends,
                   const std::vector<BenchPoint>& points, MatrixOptions options = {}) {
    options.group = "test";
    options.launch.state_folder = folder_.path() / "state";
    options.launch.gpu_source = {.nvml_library = "", .smi = ""};
    return run_matrix(backends, points, store_, options,
                      [&](const MatrixProgress& progress) { seen_.push_back(progress.kind); });
  }

  TempFolder folder_;
  ResultStore store_{folder_.path() / "results"};
  std::vector<MatrixProgress::Kind> seen_;
};

const Mark* mark_of(const RunRecord& run, const std::string& code) {
  for (const Mark& mark : run.marks)
    if (mark.code == code) return &mark;
  return nullptr;
}

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

TEST_F(MatrixTest, ACacheThatWasAskedForIsNoFault) {
  fake::Script script = quick();
  script.answer.prefix_cache = true;
  fake::FakeEngine engine(script);
  engine.start();
  BenchPoint turns = small("closed:1");
  turns.workload.turns = 3;
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {turns}, {});
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_EQ(run.workload.cache, "shared");
  EXPECT_GT(run.summary.cached_tokens, 0);
  EXPECT_FALSE(mark_of(run, "cached_in_cold_run"));
}

double server_value(const RunRecord& run, const std::string& name) {
  for (const SeriesRecord& series : run.server)
    if (series.name == name && series.values.size() == 1) return series.values[0];
  return -1;
}

TEST_F(MatrixTest, TheEnginesOwnFiguresStandBesideTheClients) {
  fake::Script script = quick();
  script.engines = 2;  // their labels are summed
  fake::FakeEngine engine(script);
  engine.start();
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {small("closed:2")});
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_EQ(server_value(run, "requests"), 6);  // without warm-up and output check
  EXPECT_EQ(server_value(run, "generated_tokens"), 30);
  EXPECT_EQ(server_value(run, "prompt_tokens"), static_cast<double>(run.summary.prompt_tokens));
  EXPECT_GE(server_value(run, "first_token_mean"), 0.004);
  const Mark* mark = mark_of(run, "engine_disagrees");
  EXPECT_FALSE(mark && mark->severity == Severity::kInvalid) << (mark ? mark->text : "");
}

TEST_F(MatrixTest, AnEngineThatCountsOtherTokensMakesTheRunInvalid) {
  fake::Script script = quick();
  script.answer.usage_error = 10;  // 15 of 5 tokens
  fake::FakeEngine engine(script);
  engine.start();
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {small("closed:1")});
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  const Mark* mark = mark_of(run, "engine_disagrees");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kInvalid);
  EXPECT_EQ(mark->text, "generated tokens: the engine counts 30, its answers 90");
}

TEST_F(MatrixTest, APageThatCantBeReadIsANote) {
  fake::Script script = quick();
  script.dialect = fake::Dialect::kOpenAi;  // it has none
  fake::FakeEngine engine(script);
  engine.start();
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {small("closed:1")});
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_EQ(run.state, RunState::kFinished);
  EXPECT_TRUE(run.server.empty());
  const Mark* mark = mark_of(run, "no_engine_figures");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kNote);
  EXPECT_NE(mark->text.find("GET /metrics"), std::string::npos) << mark->text;
}

TEST_F(MatrixTest, AnotherVersionThanWantedIsAWarning) {
  fake::Script script = quick();
  script.dialect = fake::Dialect::kVllm;
  script.version = "0.5.16";
  fake::FakeEngine engine(script);
  engine.start();
  LaunchPlan plan = attached("first", engine.url());
  plan.probes.version = "/version";
  plan.backend_version = {"v0.5.16-cu130", {"backend vllm"}};  // of an image: the same
  const RunRecord same = store_.load(run({{.plan = plan}}, {small("closed:1")}).runs.at(0));
  EXPECT_FALSE(mark_of(same, "other_version"));
  plan.backend = "second";
  plan.backend_version.value = "v0.6.0";
  const RunRecord other = store_.load(run({{.plan = plan}}, {small("closed:1")}).runs.at(0));
  const Mark* mark = mark_of(other, "other_version");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kWarning);
  EXPECT_EQ(mark->text, "second says that it is version 0.5.16; wanted was v0.6.0 (backend vllm)");
}

// The prefix is in the cache when the measured request comes: its first token does not wait for it.
TEST_F(MatrixTest, ADepthIsPrimedAndNotMeasured) {
  fake::Script script = quick();
  script.timing.prompt_token_ms = 0.2;
  for (const bool caches : {true, false}) {
    script.answer.prefix_cache = caches;
    fake::FakeEngine engine(script);
    engine.start();
    BenchPoint point = small("closed:1");
    point.workload.depth = 480;
    MatrixOptions options;
    options.check_outputs = false;
    const std::string name = caches ? "with" : "without";
    const MatrixReport report = run({{.plan = attached(name, engine.url())}}, {point}, options);
    ASSERT_EQ(report.runs.size(), 1u);
    const RunRecord run = store_.load(report.runs[0]);
    EXPECT_EQ(run.workload.name, "synthetic 16+5 depth 480");
    EXPECT_EQ(run.workload.cache, "shared");
    EXPECT_EQ(run.workload.input_tokens, 496);
    EXPECT_EQ(run.summary.finished, 6);
    const auto primes = std::ranges::count_if(
        run.requests, [](const RequestSample& r) { return r.group == "prefix" && r.warmup; });
    EXPECT_EQ(primes, 6);
    const double ttft = run.summary.figure("ttft")->median;
    EXPECT_EQ(ttft < 0.080, caches) << ttft;  // 496 tokens take 99 ms
    ASSERT_TRUE(run.summary.figure("decode_rate"));
    const Mark* mark = mark_of(run, "depth_cached");
    ASSERT_TRUE(mark);
    EXPECT_EQ(mark->text.find("no cached tokens") == std::string::npos, caches) << mark->text;
    EXPECT_FALSE(run.invalid());
  }
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

TEST_F(MatrixTest, WhatTheEngineDoesWhenARequestRunsOutOfTimeIsTold) {
  fake::Script script = quick();
  script.faults = {{.kind = "hang", .first = 16, .count = 2}};  // behind token and warm-up
  fake::FakeEngine engine(script);
  engine.start();
  MatrixOptions options;
  options.check_outputs = false;
  options.measure.warm_up.rounds = 2;
  options.measure.deadlines.first_token = 0.5;
  options.measure.deadlines.total = 1;
  BenchPoint point = small("closed:1");
  point.requests = 12;
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {point}, options);
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord kept = store_.load(report.runs[0]);
  const Mark* mark = mark_of(kept, "timeout");
  ASSERT_TRUE(mark);
  EXPECT_NE(mark->text.find("the engine then: cannot_tell"), std::string::npos) << mark->text;
}

TEST_F(MatrixTest, EnginesThatCountOtherPromptsAreTold) {
  fake::Script more = quick();
  more.answer.template_tokens = 9;
  fake::FakeEngine a(quick()), b(more);
  a.start();
  b.start();
  MatrixOptions options;
  options.check_outputs = false;
  const std::vector<MatrixBackend> backends = {{.plan = attached("first", a.url())},
                                               {.plan = attached("second", b.url())}};
  const MatrixReport report = run(backends, {small("closed:1")}, options);
  ASSERT_EQ(report.remarks.size(), 1u);
  EXPECT_NE(report.remarks[0].find("second counts"), std::string::npos) << report.remarks[0];
  EXPECT_EQ(run(backends, {small("closed:1")}, options).remarks, report.remarks);  // those kept
}

TEST_F(MatrixTest, ABrokenEngineIsMarked) {
  fake::Script broken = quick();
  broken.answer.text.clear();
  broken.answer.same_word = true;
  fake::FakeEngine good(quick()), bad(broken);
  good.start();
  bad.start();
  const MatrixReport report =
      run({{.plan = attached("good", good.url())}, {.plan = attached("bad", bad.url())}},
          {small("closed:1")});
  ASSERT_EQ(report.runs.size(), 2u);
  const RunRecord run = store_.load(report.runs[1]);
  const Mark* mark = mark_of(run, "broken_output");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kInvalid);
  EXPECT_TRUE(report.invalid);
  EXPECT_EQ(report.exit_status(), 6);
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

// All bytes under a folder, names of files among them.
std::string bytes_under(const std::filesystem::path& folder) {
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    all += entry.path().string() + '\n';
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  return all;
}

TEST_F(MatrixTest, APrivateRunLeavesNoTextBehind) {
  fake::Script script = quick();
  script.answer.text = "answertext answertext answertext answertext answertext answertext";
  script.answer.reasoning_tokens = 2;
  // An error that repeats what was asked.
  script.faults = {{.kind = "status", .first = 40, .count = 1, .body = "bad: prompttext"}};
  fake::FakeEngine engine(script);
  engine.start();
  BenchPoint point = small("closed:1");
  point.workload.prompts = {"prompttext prompttext"};
  point.workload.system = "systemtext";
  point.workload.output_tokens = 6;
  point.requests = 60;
  MatrixOptions options;
  for (const bool hidden : {false, true}) {
    options.measure.private_texts = hidden;
    ResultStore store(folder_.path() / (hidden ? "hidden" : "shown"));
    options.group = "test";
    options.launch.state_folder = folder_.path() / "state";
    options.launch.gpu_source = {.nvml_library = "", .smi = ""};
    const MatrixReport report =
        run_matrix({{.plan = attached("first", engine.url())}}, {point}, store, options, nullptr);
    ASSERT_EQ(report.runs.size(), 1u);
    const std::string kept = bytes_under(store.folder());
    for (const char* text : {"answertext", "prompttext", "systemtext"})
      EXPECT_EQ(kept.find(text) == kept.npos, hidden) << text;
    const RunRecord run = store.load(report.runs[0]);
    EXPECT_EQ(run.workload.is_private, hidden);
    EXPECT_EQ(run.summary.requests, 60);
    EXPECT_EQ(run.requests.back().answer.starts_with("sha256:"), hidden);
    EXPECT_FALSE(mark_of(run, "empty_answers"));
  }
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
