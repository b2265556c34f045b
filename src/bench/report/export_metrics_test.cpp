#include "bench/report/export_metrics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "base/file.h"
#include "bench_runs.h"
#include "golden_report.h"
#include "test_data.h"

namespace mica {
namespace {

using Json = nlohmann::json;

// With energy, limits and the texts that must not go out.
RunRecord exported_run() {
  RunRecord run = sample_run("vllm", 1, 4);
  run.telemetry.push_back({"energy", "J", "NVML", {}, {5000}});
  run.workload.prompts = {{.text = "SECRET prompt", .sha256 = "12", .bytes = 13, .role = ""}};
  run.workload.pictures = {{.name = "SECRET.png", .sha256 = "34", .bytes = 9}};
  for (RequestSample& request : run.requests) request.answer = request.reasoning = "SECRET answer";
  run.error = "SECRET words of the engine";
  return run;
}

TEST(ExportMetrics, Goldens) {
  expect_golden(exposition_text(exported_run()), "metrics.prom");
  expect_golden(Json::parse(otlp_json(exported_run())).dump(1) + "\n", "otlp.json");
}

// Each family once, its HELP and TYPE before its samples, nothing between; every line is of the
// format.
TEST(ExportMetrics, TextIsValidExposition) {
  RunRecord run = exported_run();
  run.provenance.model.id = "back\\slash \"quotes\"\nline";
  const std::string text = exposition_text(run);
  ASSERT_TRUE(text.ends_with('\n'));
  const std::regex help("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .+"), type("# TYPE ([a-z0-9_]+) gauge"),
      sample(R"re(([a-z0-9_]+)\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\} )re"
             R"re([-+]?[0-9.]+(e[-+]?[0-9]+)?)re");
  std::set<std::string> seen;
  std::string family, before;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      family = match[1];
      EXPECT_TRUE(seen.insert(family).second) << line;
      before = "help";
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family);
      EXPECT_EQ(before, "help") << line;
      before = "type";
    } else {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_EQ(match[1], family);
      EXPECT_TRUE(before == "type" || before == "sample") << line;
      before = "sample";
    }
  }
  EXPECT_GT(seen.size(), 15u);
  EXPECT_NE(text.find(R"(model="back\\slash \"quotes\"\nline")"), std::string::npos) << text;
}

TEST(ExportMetrics, NoTextsOfPromptsAnswersOrErrors) {
  EXPECT_EQ(exposition_text(exported_run()).find("SECRET"), std::string::npos);
  EXPECT_EQ(otlp_json(exported_run()).find("SECRET"), std::string::npos);
}

TEST(ExportMetrics, WhatIsNotKnownIsLeftOut) {
  RunRecord run = sample_head("mica");
  run.provenance.gpus.clear();
  run.provenance.gpus_used.reset();
  run.provenance.model.revision.clear();
  run.marks.push_back({Severity::kInvalid, "impossible_prefill", "too fast"});
  const std::string text = exposition_text(run);  // without a request, a start or a GPU
  EXPECT_EQ(text.find("mica_ttft"), std::string::npos);
  EXPECT_EQ(text.find("revision="), std::string::npos);
  EXPECT_EQ(text.find("gpu="), std::string::npos);
  EXPECT_EQ(text.find("timestamp"), std::string::npos);
  EXPECT_NE(text.find("valid=\"false\""), std::string::npos);
  EXPECT_NE(text.find("\nmica_requests{"), std::string::npos);
  const Json metric =
      Json::parse(otlp_json(run))["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
  EXPECT_EQ(metric["gauge"]["dataPoints"][0]["timeUnixNano"], "0");
}

TEST(ExportMetrics, PathsOfGroups) {
  EXPECT_EQ(pushgateway_path("20260131T120000.123Z-1a2b3c4d"),
            "/metrics/job/mica/run/20260131T120000.123Z-1a2b3c4d");
  EXPECT_EQ(pushgateway_path("a/b"), "/metrics/job/mica/run@base64/YS9i");
  EXPECT_EQ(pushgateway_path("~~?~~>"), "/metrics/job/mica/run@base64/fn4_fn4-");  // for URLs
  EXPECT_EQ(pushgateway_path(".."), "/metrics/job/mica/run@base64/Li4=");
  EXPECT_EQ(pushgateway_path(""), "/metrics/job/mica/run@base64/=");
}

TEST(ExportMetrics, RefusalsOfOtlp) {
  for (const char* taken :
       {"", "{}", "no JSON", "[]", R"({"partialSuccess": {}})", R"({"partialSuccess": 3})",
        R"({"partialSuccess": {"rejectedDataPoints": "0"}})",
        R"({"partialSuccess": {"rejectedDataPoints": [1]}})"})
    EXPECT_EQ(otlp_refusal(taken), "") << taken;
  EXPECT_EQ(otlp_refusal(
                R"({"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too\nold"}})"),
            "3 data points: too old");
  EXPECT_EQ(otlp_refusal(R"({"partialSuccess": {"rejectedDataPoints": 2}})"),
            "2 data points: no reason was told");
}

}  // namespace
}  // namespace mica
