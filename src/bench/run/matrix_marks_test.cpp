// What the runs of a matrix carry beside their figures.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "bench/run/matrix_fixture.h"

namespace mica {
namespace {

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

TEST_F(MatrixTest, APictureThatAllShowIsTold) {
  fake::FakeEngine engine(quick());
  engine.start();
  MatrixOptions options;
  options.check_outputs = false;
  BenchPoint point = small("closed:1");
  point.workload.images = {"data:image/png;base64,AA=="};
  const MatrixReport report = run({{.plan = attached("first", engine.url())}}, {point}, options);
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord kept = store_.load(report.runs[0]);
  const Mark* mark = mark_of(kept, "pictures_repeat");
  ASSERT_TRUE(mark);
  EXPECT_NE(mark->text.find("1 different pictures 6 times"), std::string::npos) << mark->text;
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

}  // namespace
}  // namespace mica
