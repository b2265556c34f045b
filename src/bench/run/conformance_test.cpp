// Every built-in descriptor against the scripted engine in that engine's own dialect: identity,
// names, fields, caches and counts are as the descriptor says.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/plan/resolver.h"
#include "bench/run/matrix.h"
#include "fake_engine/engine.h"
#include "temp_folder.h"

namespace mica {
namespace {

// The scripted engine's name of a backend's dialect.
std::string dialect_of(const std::string& backend) {
  if (backend == "mlx-lm") return "mlx";
  if (backend == "exllamav3") return "tabby";
  if (backend == "ktransformers") return "sglang";  // a fork of it
  return backend;
}

std::vector<std::string> backends() {
  const BackendTable table;
  std::vector<std::string> names;
  for (const BackendDescriptor& backend : table.all()) names.push_back(backend.name);
  return names;
}

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  static fake::Script script_of(const std::string& dialect) {
    fake::Script script = fake::read_script(nlohmann::json{{"dialect", dialect}});
    script.timing.first_token_ms = 3;
    script.timing.interval_ms = 1;
    script.answer.cached_tokens = 0;
    return script;
  }

  LaunchPlan attach_to(const std::string& url) const {
    PlanRequest request;
    request.backend = GetParam();
    request.model = "org/fake-model";
    request.url = url;
    request.mode = LaunchMode::kAttach;
    request.settings["served_name"] = "fake-model";
    return resolve_plan(request, BackendTable(), {}, {}).plan;
  }

  MatrixReport measure(const LaunchPlan& plan) {
    BenchPoint point;
    point.workload = {.input_tokens = 16, .output_tokens = 6};
    point.requests = 4;
    MatrixOptions options;
    options.measure.warm_up.rounds = 2;
    options.launch.state_folder = folder_.path() / "state";
    options.launch.gpu_source = {.nvml_library = "", .smi = ""};
    return run_matrix({{.plan = plan}}, {point}, store_, options, {});
  }

  TempFolder folder_;
  ResultStore store_{folder_.path() / "results"};
};

TEST_P(Conformance, IsMeasuredAsItsDescriptorSays) {
  fake::FakeEngine engine(script_of(dialect_of(GetParam())));
  engine.start();
  const LaunchPlan plan = attach_to(engine.url());
  const MatrixReport report = measure(plan);
  ASSERT_TRUE(report.problems.empty()) << report.problems[0].text;
  ASSERT_EQ(report.runs.size(), 1u);
  const RunRecord run = store_.load(report.runs[0]);
  EXPECT_EQ(run.state, RunState::kFinished);
  EXPECT_EQ(run.backend(), GetParam());
  EXPECT_EQ(run.summary.finished, 4);
  EXPECT_EQ(run.provenance.engine.version.empty(), plan.probes.version.empty());
  EXPECT_EQ(run.workload.exact_output, plan.dialect.ignore_eos || plan.dialect.min_tokens);
  for (const RequestSample& request : run.requests) {
    EXPECT_EQ(request.status, RequestStatus::kOk) << request.error;
    EXPECT_EQ(request.output_tokens(), 6);
    EXPECT_GT(request.prompt_tokens, 0);  // usage came with the stream
  }
  EXPECT_EQ(run.server.empty(), plan.dialect.metrics.empty());  // the engine's own figures
  for (const Mark& mark : run.marks) EXPECT_NE(mark.code, "engine_disagrees") << mark.text;
  // Before the warm-up and before the load.
  EXPECT_EQ(engine.cache_resets(), plan.dialect.cache_reset.empty() ? 0 : 2);
}

TEST_P(Conformance, AnotherEngineIsNotTakenForIt) {
  if (BackendTable().get(GetParam()).probes.identity.empty()) return;  // mlx-lm says no name
  const std::string other = dialect_of(GetParam()) == "vllm" ? "sglang" : "vllm";
  fake::FakeEngine engine(script_of(other));
  engine.start();
  const MatrixReport report = measure(attach_to(engine.url()));
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].text.find("is answered by"), std::string::npos)
      << report.problems[0].text;
  ASSERT_EQ(report.runs.size(), 1u);
  EXPECT_EQ(store_.load(report.runs[0]).state, RunState::kFailed);
}

INSTANTIATE_TEST_SUITE_P(All, Conformance, testing::ValuesIn(backends()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace mica
