#include "bench/report/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "bench/report/compare.h"
#include "bench/report/details.h"
#include "bench/report/saturation.h"
#include "bench/results/import_old.h"
#include "bench_runs.h"
#include "golden_report.h"
#include "test_data.h"

namespace mica {
namespace {

using Json = nlohmann::json;

// A sweep of two backends, one run that went wrong, and one of the old scripts.
std::vector<RunRecord> sample_runs() {
  std::vector<RunRecord> runs;
  for (const int concurrency : {1, 4}) {
    runs.push_back(sample_run("vllm", 1, concurrency));
    runs.push_back(sample_run("sglang", 1.25, concurrency));
  }
  RunRecord broken = sample_run("trtllm", 1);
  broken.provenance.gpus_used = {0, 1};
  broken.state = RunState::kFailed;
  broken.error = "the engine died";
  broken.marks.push_back({Severity::kInvalid, "gpu_idle", "GPU 1 was idle"});
  runs.push_back(broken);
  const std::string old =
      "tests/data/old_results/2025-12-21_Qwen_Qwen3-0.6B_vllm-server_text-only.json";
  runs.push_back(import_old_result(read_text_file(source_path(old)), old));
  return runs;
}

TEST(Report, TextMarkdownAndCsv) {
  const std::vector<RunRecord> runs = sample_runs();
  expect_golden(make_report(runs, {.format = ReportFormat::kTable}), "report.txt");
  expect_golden(make_report(runs, {.format = ReportFormat::kMarkdown}), "report.md");
  expect_golden(make_report(runs, {.format = ReportFormat::kCsv}), "report.csv");
}

TEST(Report, FiguresOfAUserAndOfAGpu) {
  RunRecord run = sample_run("vllm", 1, 4);
  EXPECT_NEAR(*tokens_per_user(run), 100, 1e-6);
  EXPECT_NEAR(*tokens_per_gpu(run), *run.summary.rate("output_throughput"), 1e-9);
  EXPECT_EQ(concurrency_of(run), 4);
  run.provenance.gpus_used = {0, 1};
  EXPECT_NEAR(*tokens_per_gpu(run), *run.summary.rate("output_throughput") / 2, 1e-9);
  run.provenance.gpus_used.emplace();
  EXPECT_FALSE(tokens_per_gpu(run));  // on the processor, of a machine with two
  run.provenance.gpus_used.reset();
  run.provenance.gpus.clear();
  EXPECT_FALSE(tokens_per_gpu(run));
  EXPECT_FALSE(joules_per_token(run));
  run.telemetry.push_back({.name = "energy", .unit = "J", .source = "NVML", .values = {880}});
  EXPECT_NEAR(*joules_per_token(run), 0.5, 1e-9);  // 160 answers of 11 tokens
  run.workload.arrivals = "poisson:2";
  EXPECT_NEAR(concurrency_of(run), 4, 0.01);
}

TEST(Report, WhereMoreBringsNoMore) {
  std::vector<RunRecord> runs;
  const auto add = [&](int concurrency, double throughput, std::optional<bool> met) {
    RunRecord run = sample_run("vllm", 1, concurrency);
    for (auto& [name, value] : run.summary.rates)
      if (name == "output_throughput") value = throughput;
    if (met) run.summary.goodput = Goodput{.rate = 2, .share = 0.5, .met = *met};
    runs.push_back(run);
  };
  add(1, 100, true);
  add(2, 190, true);
  EXPECT_TRUE(saturations(runs).empty());  // two points are no curve
  add(4, 300, true);
  add(8, 305, false);
  add(16, 290, false);
  runs.push_back(sample_run("sglang", 1, 1));
  std::vector<Saturation> found = saturations(runs);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].best, 8);
  EXPECT_EQ(found[0].within, 4);
  EXPECT_NE(
      found[0].text().find("the most with 8 in flight of 1 to 16, 305.0 tok/s; the limits hold "
                           "up to 4"),
      std::string::npos)
      << found[0].text();
  const std::string table = make_report(runs, {.format = ReportFormat::kTable});
  EXPECT_NE(table.find("Saturation\nvllm"), std::string::npos);
  EXPECT_NE(table.find("2/s, 50 %, met"), std::string::npos) << table;
  add(32, 400, false);
  EXPECT_NE(saturations(runs)[0].text().find("more may bring more"), std::string::npos);
}

TEST(Report, DataForThePage) {
  const Json data = Json::parse(report_data(sample_runs(), {.mica_version = "0.1.0"}));
  ASSERT_EQ(data["runs"].size(), 6u);
  const Json& run = data["runs"][2];
  EXPECT_EQ(run["plan"]["backend"], "vllm");
  EXPECT_EQ(run["concurrency"], 4);
  EXPECT_EQ(run["timeline"].size(), 160u);
  EXPECT_EQ(run["quantiles"]["ttft"].size(), 101u);
  EXPECT_EQ(run["quantiles"]["ttft"][0], run["summary"]["figures"]["ttft"]["min"]);
  EXPECT_EQ(run["quantiles"]["ttft"][99], run["summary"]["figures"]["ttft"]["p99"]);
  EXPECT_FALSE(run.contains("requests"));
  EXPECT_FALSE(data["runs"][5]["quantiles"].contains("ttft"));
  EXPECT_GE(data["definitions"].size(), 15u);
}

TEST(Report, TheEnginesOwnFigures) {
  RunRecord run = sample_run();
  run.gpu_use.clear();
  EXPECT_TRUE(details_of(run).empty());  // one value a request is no figure of the run
  run.server = {{"requests", "", "/metrics", {}, {40}},
                {"first_token_mean", "s", "/metrics", {}, {0.0912}},
                {"cache_used", "share", "/metrics", {}, {0.25}},
                {"prefill_mean", "s", "its answers", {}, {0.05}}};
  const std::vector<std::string> details = details_of(run);
  ASSERT_EQ(details.size(), 2u);
  EXPECT_EQ(
      details[0],
      "the engine's own (/metrics): requests 40, first token mean 91.2 ms, cache used 25.0 %");
  EXPECT_EQ(details[1], "the engine's own (its answers): prefill mean 50.0 ms");
  for (const char* format : {"table", "md", "html", "json"})
    EXPECT_NE(make_report({run}, {.format = parse_report_format(format)}).find(details[0]),
              std::string::npos)
        << format;
}

TEST(Report, LongRunsAreThinned) {
  RunRecord run = sample_run("vllm", 1, 20);
  SeriesRecord series{"gpu0.power", "W", "NVML", {}, {}};
  for (int i = 0; i < 10'000; ++i) {
    series.times.push_back(i);
    series.values.push_back(i);
  }
  run.telemetry = {series};
  const Json data = Json::parse(report_data({run}, {}));
  EXPECT_EQ(data["runs"][0]["timeline"].size(), 400u);
  const Json& thin = data["runs"][0]["telemetry"][0];
  EXPECT_LE(thin["values"].size(), 300u);
  EXPECT_EQ(thin["values"].size(), thin["times"].size());
}

TEST(ReportPage, IsOneFileThatNothingCanLeave) {
  RunRecord run = sample_run();
  run.provenance.model.id = "</script><script>alert(1)</script><!--style-->";
  const std::string page =
      make_report({run}, {.format = ReportFormat::kHtml, .mica_version = "0.1.0"});
  EXPECT_EQ(page.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(page.find("<!--"), std::string::npos);  // every place is filled
  for (const char* outside : {"src=\"", "href=\"", "@import", "url("})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_NE(page.find("Chart.js v3"), std::string::npos);
  const std::string open = "id=\"data\">", close = "</script>";
  const size_t begin = page.find(open) + open.size();
  const Json data = Json::parse(page.substr(begin, page.find(close, begin) - begin));
  EXPECT_EQ(data["runs"][0]["provenance"]["model"]["id"], run.provenance.model.id);
}

TEST(Report, OfNoRuns) {
  for (const char* format : {"table", "md", "csv", "html", "json"})
    EXPECT_FALSE(make_report({}, {.format = parse_report_format(format)}).empty()) << format;
  EXPECT_THROW(parse_report_format("pdf"), Error);
}

TEST(Table, Formats) {
  const Table table = {{{"name", false}, {"µs", true}}, {{"a|b", "1"}, {"c, \"d\"", "1,234"}}};
  EXPECT_EQ(to_text(table), "name       µs\na|b         1\nc, \"d\"  1,234\n");
  EXPECT_EQ(to_markdown(table), "| name | µs |\n|---|---:|\n| a\\|b | 1 |\n| c, \"d\" | 1,234 |\n");
  EXPECT_EQ(to_csv(table), "name,µs\na|b,1\n\"c, \"\"d\"\"\",\"1,234\"\n");
}

TEST(Table, Numbers) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(0.01234), "0.0123");
  EXPECT_EQ(number_text(1.0), "1.00");
  EXPECT_EQ(number_text(12.345), "12.3");
  EXPECT_EQ(number_text(123.45), "123");
  EXPECT_EQ(number_text(999.7), "1,000");
  EXPECT_EQ(number_text(-1234567), "-1,234,567");
  EXPECT_EQ(duration_text(1.5), "1.50 s");
  EXPECT_EQ(duration_text(0.0123), "12.3 ms");
  EXPECT_EQ(duration_text(0.00001), "10.0 µs");
  EXPECT_EQ(percent_text(-0.0345), "-3.5 %");
}

}  // namespace
}  // namespace mica
