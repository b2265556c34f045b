#include "bench/results/run_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "bench_runs.h"
#include "test_data.h"
#include "text/grammar/grammar.h"

namespace mica {
namespace {

// A run with every member set to something.
RunRecord full_run() {
  RunRecord run = sample_run();
  run.error = "the engine died: \"CUDA error\"\n";
  run.plan.mode = "docker";
  run.plan.profile = "fast";
  run.plan.docker_options = {{"--gpus", "all", "backend vllm"}};
  run.plan.mounts = {{"/models", "/models:ro", "storage root"}};
  run.plan.sampling = {{"temperature", "0", "models.yaml:12"}};
  run.provenance.engine = {"0.11.0", "vllm/vllm-openai:v0.11.0", "vllm@sha256:aa"};
  run.provenance.host.container = "docker";
  run.provenance.host.memory_limit_bytes = 1 << 30;
  run.workload.max_prefill_rate = 50000;
  run.workload.max_prefill_from = "2 operations a parameter";
  run.workload.prompts = {{"Be short.", "aa", 9, "system"}, {"Why is…", "bb", 70000, ""}};
  run.workload.pictures = {{"chart.png", "cc", 1234}, {"https://example.com/a.png", "", 0}};
  run.workload.is_private = true;
  run.imported = ImportRecord{"old bench scripts", "gpu_info", "a.json", {"The GPUs."}};
  RequestSample broken = failed(99, 3.25, RequestStatus::kServerError);
  broken.http_status = 200;
  broken.group = "turn 2";
  broken.due = 3.125;
  broken.reasoning = "Hm…";
  broken.tool_calls = R"([{"name":"f"}])";
  broken.reasoning_tokens = 5;
  broken.chunks = {{3.3, ChunkKind::kRole, 0},
                   {3.4, ChunkKind::kReasoning, 5},
                   {3.5, ChunkKind::kToolCall, 14},
                   {3.6, ChunkKind::kUsage, 0}};
  run.requests.push_back(broken);
  conclude(run);
  return run;
}

TEST(RunJson, WhatIsWrittenIsRead) {
  for (const RunRecord& run : {full_run(), sample_run(), sample_head()}) {
    const std::string text = to_json(run);
    EXPECT_EQ(to_json(run_from_json(text, "here")), text);
  }
  const RunRecord run = full_run(), again = run_from_json(to_json(run), "here");
  EXPECT_EQ(again.plan, run.plan);
  EXPECT_EQ(again.workload, run.workload);
  EXPECT_EQ(again.provenance.host, run.provenance.host);
  EXPECT_EQ(again.provenance.model, run.provenance.model);
  EXPECT_EQ(again.provenance.gpus[1].sm_clock, 2520);
  EXPECT_EQ(again.phases, run.phases);
  EXPECT_EQ(again.marks, run.marks);
  EXPECT_EQ(again.server, run.server);
  EXPECT_EQ(again.telemetry, run.telemetry);
  EXPECT_EQ(again.imported, run.imported);
  ASSERT_EQ(again.requests.size(), run.requests.size());
  EXPECT_EQ(again.requests[5].first_token, run.requests[5].first_token);  // to the last bit
  EXPECT_EQ(again.requests.back().chunks[2].kind, ChunkKind::kToolCall);
  EXPECT_EQ(again.requests.back().status, RequestStatus::kServerError);
  EXPECT_EQ(again.summary.figure("ttft")->median_interval,
            run.summary.figure("ttft")->median_interval);
  EXPECT_EQ(again.summary.goodput->limits, run.summary.goodput->limits);
}

TEST(RunJson, TheSummaryCanBeMadeAnewFromTheRequests) {
  const RunRecord run = sample_run();
  RunRecord again = run_from_json(to_json(run), "here");
  again.marks.clear();
  conclude(again);
  EXPECT_EQ(to_json(again), to_json(run));
}

TEST(RunJson, BytesThatAreNoUtf8) {
  RequestSample record = streamed(3, {});
  record.answer = "a\xff\xfe z";
  EXPECT_EQ(request_from_json(to_json(record), "here").answer, "a\uFFFD\uFFFD z");
}

TEST(RunJson, MembersOfALaterMicaAreIgnored) {
  auto json = nlohmann::ordered_json::parse(to_json(sample_run()));
  json["weather"] = "fine";
  json["requests"][0]["weather"] = 3;
  EXPECT_EQ(to_json(run_from_json(json.dump(), "here")), to_json(sample_run()));
}

std::string message_of(const std::string& text) {
  try {
    run_from_json(text, "FILE");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

std::string changed(const std::string& pointer, const nlohmann::ordered_json& value) {
  auto json = nlohmann::ordered_json::parse(to_json(full_run()));
  json[nlohmann::ordered_json::json_pointer(pointer)] = value;
  return json.dump();
}

TEST(RunJson, ErrorsNameThePlace) {
  const struct {
    const char* pointer;
    nlohmann::ordered_json value;
    const char* message;
  } cases[] = {
      {"/schema_version", 2, "FILE: schema_version: expected schema version 1"},
      {"/requests/3/sent", "now", "FILE: requests[3].sent: expected a number, found \"now\""},
      {"/requests/3/status", "fine", "FILE: requests[3].status: expected a status"},
      {"/requests/3/id", 1.5, "FILE: requests[3].id: expected an integer, found 1.5"},
      {"/requests/3/chunks/kinds", "r", "requests[3].chunks: expected as many times and bytes"},
      {"/requests/3/chunks/bytes/2", -1, "requests[3].chunks.bytes[2]: expected a size"},
      {"/summary/figures/ttft/median", nullptr, ""},
      {"/summary/figures/ttft/median_interval", 3, "median_interval: expected an array"},
      {"/summary/rates", {1}, "FILE: summary.rates: expected an object"},
      {"/marks/0/severity", "bad", "FILE: marks[0].severity: expected note, warning or invalid"},
      {"/telemetry/0/times", {1}, "FILE: telemetry[0]: expected as many times as values"},
      {"/workload/seed", -1, "FILE: workload.seed: expected a number that is not negative"},
      {"/state", "lost", "FILE: state: expected running, finished, interrupted or failed"},
      {"/plan", "x", "FILE: plan: expected an object"},
      {"/provenance/gpus", 3, "FILE: provenance.gpus: expected an array"},
  };
  for (const auto& c : cases)
    EXPECT_NE(message_of(changed(c.pointer, c.value)).find(c.message), std::string::npos)
        << c.pointer << ": " << message_of(changed(c.pointer, c.value));
  EXPECT_NE(message_of("").find("FILE: expected JSON"), std::string::npos);
  EXPECT_NE(message_of("[]").find("FILE: : expected an object"), std::string::npos);
  EXPECT_NE(message_of(to_json(full_run()).substr(0, 5000)).find("expected JSON"),
            std::string::npos);
}

// Grammars have numbers of at most 18 digits of fraction, and without exponents where they have
// bounds (docs/structured-output.md).
nlohmann::ordered_json rounded(nlohmann::ordered_json value) {
  if (value.is_number_float()) value = std::round(value.get<double>() * 1e4) / 1e4;
  if (value.is_structured())
    for (auto& member : value) member = rounded(member);
  return value;
}

// Follows a text with the grammar of config/result.schema.json.
class ResultSchema : public testing::Test {
 protected:
  ResultSchema() {
    GrammarCompiler compiler(std::make_shared<TokenVocabulary>(
        std::vector<std::string>{"a"}, std::vector<int32_t>(), std::vector<bool>()));
    GrammarSpec spec;
    spec.kind = GrammarSpec::Kind::kJsonSchema;
    spec.text = read_text_file(source_path("config/result.schema.json"));
    grammar_ = compiler.compile(spec);  // closed objects: a member that is not described is wrong
  }
  bool allows(const std::string& text) const {
    GrammarMatcher matcher(grammar_);
    return matcher.accept_text(rounded(nlohmann::ordered_json::parse(text)).dump()) &&
           matcher.can_end();
  }
  std::shared_ptr<const CompiledGrammar> grammar_;
};

TEST_F(ResultSchema, AllowsWhatIsWritten) {
  EXPECT_TRUE(allows(to_json(full_run())));
  EXPECT_TRUE(allows(to_json(sample_run())));
  RunRecord empty;
  empty.plan.mode = "attach";
  empty.workload.cache = "cold";
  EXPECT_TRUE(allows(to_json(empty)));
}

TEST_F(ResultSchema, RefusesOthers) {
  EXPECT_FALSE(allows("{}"));
  EXPECT_FALSE(allows(changed("/schema_version", 2)));
  EXPECT_FALSE(allows(changed("/requests/0/sent", "now")));
  EXPECT_FALSE(allows(changed("/requests/0/status", "fine")));
  EXPECT_FALSE(allows(changed("/weather", "fine")));
}

TEST(RunRecord, SecretsAreMasked) {
  LaunchPlan plan;
  plan.backend = "vllm";
  plan.model = {"org/model", {"--model"}};
  plan.arguments = {{{"--api-key", "hidden"}, {"--api-key"}}, {{"--max-tokens", "5"}, {"default"}}};
  plan.environment = {{"HF_TOKEN", "hidden", true, {"environment"}}, {"A", "1", false, {"--env"}}};
  plan.mounts = {{"/m", "/models", false, {"root"}}, {"/c", "/cache", true, {"root"}}};
  const PlanRecord record = record_of(plan, {"vllm", "--api-key", "***"});
  EXPECT_EQ(record.arguments[0].value, "***");
  EXPECT_EQ(record.arguments[1].value, "5");
  EXPECT_EQ(record.environment[0].value, "***");
  EXPECT_EQ(record.environment[1].value, "1");
  EXPECT_EQ(record.mounts[0].value, "/models:ro");
  EXPECT_EQ(record.mounts[1].value, "/cache");
  EXPECT_EQ(record.value("model"), "org/model");
  EXPECT_EQ(record.value("image"), "");
  RunRecord run = sample_run();
  run.plan = record;
  EXPECT_EQ(to_json(run).find("hidden"), std::string::npos);
}

TEST(RunRecord, NamesAreUniqueByTimeAndPlan) {
  const RunRecord run = sample_head();
  const std::string name = new_run_name(run.plan, run.workload);
  ASSERT_EQ(name.size(), 29u);  // 20260131T120000.123Z-1a2b3c4d
  EXPECT_EQ(name.substr(21), plan_hash(run.plan, run.workload));
  RunRecord other = run;
  other.workload.seed = 8;
  EXPECT_NE(plan_hash(other.plan, other.workload), plan_hash(run.plan, run.workload));
  other = run;
  other.plan.command.push_back("--fast");
  EXPECT_NE(plan_hash(other.plan, other.workload), plan_hash(run.plan, run.workload));
}

TEST(RunRecord, GpusThatDidTheWork) {
  RunRecord run = sample_head();
  EXPECT_EQ(run.gpu_count(), 1);
  EXPECT_EQ(run.gpu_name(), "NVIDIA RTX PRO 6000");
  run.provenance.gpus_used.reset();
  EXPECT_EQ(run.gpu_name(), "2x NVIDIA RTX PRO 6000");
  run.provenance.gpus_used.emplace();  // none of them
  EXPECT_EQ(run.gpu_count(), 0);
  EXPECT_EQ(run.gpu_name(), "AMD EPYC 9354");
  run.provenance.gpus.clear();
  EXPECT_EQ(run.gpu_count(), 0);
  EXPECT_EQ(run.gpu_name(), "AMD EPYC 9354");
}

}  // namespace
}  // namespace mica
