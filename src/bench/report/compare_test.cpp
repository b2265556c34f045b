#include "bench/report/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "bench/results/import_old.h"
#include "bench_runs.h"
#include "test_data.h"

namespace mica {
namespace {

const ComparedMetric& find(const Comparison& comparison, const std::string& name) {
  const auto found =
      std::find_if(comparison.metrics.begin(), comparison.metrics.end(),
                   [&](const ComparedMetric& metric) { return metric.name == name; });
  if (found == comparison.metrics.end()) throw std::runtime_error(name + " is missing");
  return *found;
}

std::string reasons(const RunRecord& a, const RunRecord& b) {
  std::string out;
  for (const std::string& reason : compare_runs(a, b).not_comparable) out += reason + "\n";
  return out;
}

std::string differences(const RunRecord& a, const RunRecord& b) {
  std::string out;
  for (const std::string& difference : compare_runs(a, b).differences) out += difference + "\n";
  return out;
}

TEST(Compare, AFasterEngineIsBetterInAllFigures) {
  const Comparison c = compare_runs(sample_run("vllm"), sample_run("sglang", 1.25));
  EXPECT_TRUE(c.not_comparable.empty());
  const ComparedMetric& ttft = find(c, "ttft");
  EXPECT_NEAR(ttft.change, -0.2, 1e-9);
  EXPECT_EQ(ttft.verdict, Verdict::kBetter);
  EXPECT_LT(*ttft.p, 0.001);
  EXPECT_LT(ttft.change_interval->high, -0.19);
  EXPECT_GT(ttft.change_interval->low, -0.21);
  const ComparedMetric& throughput = find(c, "output_throughput");
  EXPECT_NEAR(throughput.change, 0.25, 1e-6);
  EXPECT_EQ(throughput.verdict, Verdict::kBetter);
  EXPECT_EQ(find(c, "itl").verdict, Verdict::kUnclear);  // its values depend on one another
  EXPECT_TRUE(regressions(c, 0).empty());
}

TEST(Compare, TheSameSpeedIsUnclear) {
  const Comparison c = compare_runs(sample_run("vllm"), sample_run("vllm"));
  for (const ComparedMetric& metric : c.metrics) {
    EXPECT_EQ(metric.verdict, Verdict::kUnclear) << metric.name;
    EXPECT_EQ(metric.change, 0) << metric.name;
  }
}

TEST(Compare, RegressionsBeyondAShare) {
  const Comparison c = compare_runs(sample_run("vllm"), sample_run("vllm", 0.95));
  const std::vector<ComparedMetric> found = regressions(c, 0.03);
  std::vector<std::string> names;
  for (const ComparedMetric& metric : found) names.push_back(metric.name);
  EXPECT_EQ(names, (std::vector<std::string>{"ttft", "ttfr", "ttfo", "tpot", "e2e", "decode_rate",
                                             "prefill_rate", "output_throughput"}));
  EXPECT_TRUE(regressions(c, 0.06).empty());
  RunRecord failing = sample_run("vllm");
  for (int64_t i = 0; i < 2; ++i)
    failing.requests.push_back(failed(100 + i, 2, RequestStatus::kTimeout));
  failing.marks.clear();
  conclude(failing);
  const std::vector<ComparedMetric> errors =
      regressions(compare_runs(sample_run("vllm"), failing), 0.03);
  EXPECT_TRUE(std::any_of(errors.begin(), errors.end(),
                          [](const ComparedMetric& m) { return m.name == "error_rate"; }));
}

TEST(Compare, SharesAsPeopleWriteThem) {
  EXPECT_DOUBLE_EQ(parse_share("3%"), 0.03);
  EXPECT_DOUBLE_EQ(parse_share("2.5 %"), 0.025);
  EXPECT_DOUBLE_EQ(parse_share("0.03"), 0.03);
  for (const char* text : {"", "%", "3", "-1%", "101%", "3%%", "nan", "x"})
    EXPECT_THROW(parse_share(text), Error) << text;
}

TEST(Compare, ReasonsNotToCompare) {
  const RunRecord run = sample_run();
  EXPECT_EQ(reasons(run, sample_run("sglang")), "");
  const auto changed = [&](auto change) {
    RunRecord other = run;
    change(other);
    return reasons(run, other);
  };
  const struct {
    std::string text;
    const char* reason;
  } cases[] = {
      {changed([](RunRecord& r) { r.provenance.model.id = "org/other"; }),
       "different models: org/model and org/other"},
      {changed([](RunRecord& r) { r.provenance.model.revision = "def"; }), "different revisions"},
      {changed([](RunRecord& r) { r.provenance.model.files[0].hash = "sha256:13"; }),
       "config.json has other bytes"},
      {changed([](RunRecord& r) { r.workload.arrivals = "closed:2"; }),
       "different loads: closed:1 and closed:2"},
      {changed([](RunRecord& r) { r.workload.cache = "warm"; }),
       "different cache states: cold and warm"},
      {changed([](RunRecord& r) { r.workload.exact_output = false; }), "exact length"},
      {changed([](RunRecord& r) {
         r.workload.more = {{"temperature", "1"}};
       }),
       "different sampling: temperature: 0 and 1"},
      {changed([](RunRecord& r) {
         r.plan.sampling = {{"temperature", "0.7", "profile"}, {"top_p", "0.9", "profile"}};
       }),
       "different sampling: top_p: none and 0.9"},
      {changed([](RunRecord& r) {
         r.provenance.gpus_used = {0, 1};
       }),
       "different hardware"},
      {changed([](RunRecord& r) { r.summary.warmup = 0; }), "only one was warmed up"},
      {changed([](RunRecord& r) {
         r.imported = ImportRecord{"old bench scripts", "", "", {}};
       }),
       "measured by different programs: Mica and old bench scripts"},
      {changed([](RunRecord& r) {
         r.marks.push_back({Severity::kInvalid, "gpu_idle", "GPU 1 was idle"});
       }),
       "B is invalid: GPU 1 was idle"},
      {changed([](RunRecord& r) {
         for (RequestSample& record : r.requests) record.prompt_tokens = 116;
         conclude(r);
       }),
       "different work: 100 and 116 prompt tokens"},
  };
  for (const auto& c : cases) EXPECT_NE(c.text.find(c.reason), std::string::npos) << c.text;
}

TEST(Compare, WhatIsOnlyWorthKnowing) {
  const RunRecord run = sample_run();
  RunRecord other = run;
  other.provenance.driver = "590.12";
  other.provenance.gpus[0].power_limit = 450;
  other.workload.prompts_hash = "sha256:98";
  other.state = RunState::kInterrupted;
  other.marks.push_back({Severity::kWarning, "drift", "TTFT drifts"});
  EXPECT_EQ(reasons(run, other), "");
  const std::string text = differences(run, other);
  for (const char* part : {"drivers: 580.65.06 and 590.12", "power limits in W: 600 and 450",
                           "the prompts have other texts", "B: TTFT drifts", "B is interrupted"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Compare, WhatOneEngineWasStartedWith) {
  RunRecord run = sample_run();
  run.plan.arguments = {
      {"--max-model-len", "1024", ""}, {"--port", "8000", ""}, {"--fast", "", ""}};
  run.plan.environment = {{"A", "1", ""}};
  RunRecord other = run;
  other.plan.profile = "long";
  other.plan.arguments = {{"--max-model-len", "8192", ""}, {"--port", "8001", ""}};
  other.plan.environment = {{"A", "2", ""}};
  const std::string text = differences(run, other);
  for (const char* part :
       {"--max-model-len: 1024 and 8192", "--fast: on and not given", "A: 1 and 2"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(text.find("--port"), std::string::npos) << text;
  EXPECT_EQ(reasons(run, other), "");  // it is the question, not a fault
  RunRecord sglang = sample_run("sglang");
  sglang.plan.arguments = {{"--context-length", "8192", ""}};
  EXPECT_EQ(differences(run, sglang).find("--max-model-len"), std::string::npos);
}

RunRecord old_run(double speed = 1) {
  const std::string path =
      "tests/data/old_results/2025-12-09_Qwen_Qwen3-0.6B-GGUF_llama-server_text-only.json";
  auto json = nlohmann::ordered_json::parse(read_text_file(source_path(path)));
  for (auto& iteration : json["iterations"]) {
    iteration["wall_s"] = iteration["wall_s"].get<double>() / speed;
    iteration["generation_tok_per_s"] = iteration["generation_tok_per_s"].get<double>() * speed;
  }
  return import_old_result(json.dump(), path);
}

TEST(Compare, TwoRunsOfTheOldScripts) {
  const Comparison c = compare_runs(old_run(), old_run(1.1));
  EXPECT_TRUE(c.not_comparable.empty()) << c.not_comparable[0];
  EXPECT_NEAR(find(c, "e2e").change, -1 / 11.0, 1e-6);
  EXPECT_NEAR(find(c, "server.decode_rate").change, 0.1, 1e-6);
  EXPECT_EQ(find(c, "server.decode_rate").verdict, Verdict::kUnclear);  // three values
  const std::string vllm_path =
      "tests/data/old_results/2025-12-21_Qwen_Qwen3-0.6B_vllm-server_text-only.json";
  const RunRecord vllm = import_old_result(read_text_file(source_path(vllm_path)), vllm_path);
  const std::string why = reasons(old_run(), vllm);
  EXPECT_NE(why.find("different models"), std::string::npos);
  EXPECT_NE(why.find("different work: 16 and 24 prompt tokens"), std::string::npos);
}

TEST(Compare, Texts) {
  const Comparison c = compare_runs(sample_run("vllm"), sample_run("sglang", 1.25, 4));
  const auto path = source_path("tests/golden/report/compare.txt");
  const std::string text = to_text(c, CompareFormat::kTable);
  if (std::getenv("MICA_REGENERATE_GOLDENS")) write_text_file(path, text);
  EXPECT_EQ(text, read_text_file(path));
  EXPECT_NE(to_text(c, CompareFormat::kMarkdown).find("|---"), std::string::npos);
  const auto json = nlohmann::json::parse(to_text(c, CompareFormat::kJson));
  EXPECT_EQ(json["metrics"][0]["name"], "ttft");
  EXPECT_EQ(json["not_comparable"].size(), 1u);
}

}  // namespace
}  // namespace mica
