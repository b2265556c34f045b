#include "bench/results/import_old.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "bench/results/run_json.h"
#include "test_data.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::map<std::string, RunRecord> import_all() {
  std::map<std::string, RunRecord> runs;
  for (const auto& entry : fs::directory_iterator(source_path("tests/data/old_results"))) {
    const std::string text = read_text_file(entry.path());
    EXPECT_TRUE(is_old_result(text)) << entry.path();
    RunRecord run = import_old_result(text, entry.path().string());
    runs.emplace(run.backend(), std::move(run));
  }
  return runs;
}

const SeriesRecord* find(const RunRecord& run, const std::string& name) {
  for (const SeriesRecord& series : run.server)
    if (series.name == name) return &series;
  return nullptr;
}

TEST(ImportOld, FourLayouts) {
  const auto runs = import_all();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs.at("llamacpp").imported->layout, "environment");
  EXPECT_EQ(runs.at("vllm").imported->layout, "gpu_info");
  EXPECT_EQ(runs.at("exllamav3").imported->layout, "gpu_info+revision");
  EXPECT_EQ(runs.at("trtllm").imported->layout, "gpu_info+environment+revision");
  for (const auto& [backend, run] : runs) {
    EXPECT_EQ(run.state, RunState::kFinished);
    EXPECT_GE(run.imported->missing.size(), 6u) << backend;
    EXPECT_EQ(to_json(run_from_json(to_json(run), backend)), to_json(run));
  }
}

TEST(ImportOld, WhatAFileSays) {
  const auto runs = import_all();
  const RunRecord& run = runs.at("vllm");
  EXPECT_EQ(run.id.substr(0, 21), "20251221T101112.000Z-");
  EXPECT_EQ(run.started, "2025-12-21T10:11:12.000Z");
  EXPECT_EQ(run.provenance.model.id, "Qwen/Qwen3-0.6B");
  EXPECT_EQ(run.provenance.driver, "580.65.06");
  ASSERT_EQ(run.provenance.gpus.size(), 2u);
  EXPECT_EQ(run.provenance.gpus[1].link_width, 8);
  EXPECT_EQ(run.provenance.gpus[1].memory_used, 4);
  EXPECT_EQ(run.plan.value("backend_version"), "v0.12.0");
  EXPECT_EQ(run.plan.value("tensor_parallel_size"), "1");
  EXPECT_EQ(run.plan.value("gpu_memory_utilization"), "0.9");
  EXPECT_EQ(run.workload.name, "short, text-only");
  EXPECT_EQ(run.workload.output_tokens, 512);
  ASSERT_EQ(run.requests.size(), 3u);
  EXPECT_EQ(run.requests[1].completion_tokens, 512);
  EXPECT_EQ(run.requests[1].answer, "A mill is a tool.");
  EXPECT_NEAR(run.summary.figure("e2e")->median, 1.418, 1e-9);
  EXPECT_NEAR(*run.summary.rate("output_throughput"), 1383 / 3.837, 1e-6);
}

// Its TTFT is the server's, or only the prompt's evaluation: never the client's.
TEST(ImportOld, TheServersFiguresAreNotTheClients) {
  const auto runs = import_all();
  const RunRecord& run = runs.at("llamacpp");
  EXPECT_EQ(run.summary.figure("ttft"), nullptr);
  EXPECT_EQ(run.summary.figure("decode_rate"), nullptr);
  ASSERT_TRUE(find(run, "ttft"));
  EXPECT_NEAR(find(run, "ttft")->values[0], 0.0066, 1e-12);
  EXPECT_EQ(find(run, "ttft")->source, "llama-server: ttft_ms");
  EXPECT_EQ(find(runs.at("exllamav3"), "ttft"), nullptr);  // null is no figure
  EXPECT_EQ(run.marks.front().code, "same_prompt");
}

TEST(ImportOld, TheSamePromptsHaveTheSameHash) {
  const auto runs = import_all();
  EXPECT_EQ(runs.at("vllm").workload.prompts_hash, runs.at("llamacpp").workload.prompts_hash);
  EXPECT_NE(runs.at("vllm").workload.prompts_hash, runs.at("trtllm").workload.prompts_hash);
}

TEST(ImportOld, WhatTheMachineDidNotTell) {
  const auto runs = import_all();
  EXPECT_TRUE(runs.at("exllamav3").provenance.gpus.empty());
  EXPECT_EQ(runs.at("trtllm").provenance.gpus[0].memory_total, 97887);
  EXPECT_EQ(runs.at("trtllm").provenance.driver, "590.12");
}

TEST(ImportOld, OthersAreRefusedWithThePlace) {
  EXPECT_FALSE(is_old_result("{}"));
  EXPECT_FALSE(is_old_result("{\"iterations\": [], \"schema_version\": 1}"));
  EXPECT_FALSE(is_old_result("iterations"));
  const auto message = [](const char* text) -> std::string {
    try {
      import_old_result(text, "F");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("{\"iterations\": []}").find("F: : expected a member 'repo_id'"),
            std::string::npos);
  EXPECT_NE(message(R"({"repo_id": "a", "engine": "b", "iterations": [{"wall_s": "x"}]})")
                .find("F: iterations[0].wall_s: expected a number"),
            std::string::npos);
  EXPECT_NE(message(R"({"repo_id": "a", "engine": "b", "iterations": [{"wall_s": -1}]})")
                .find("F: iterations[0].wall_s: expected seconds"),
            std::string::npos);
}

}  // namespace
}  // namespace mica
