// What a plan keeps to, lowers or refuses.
#include <algorithm>

#include "bench/plan/test_resolver.h"

namespace mica {
namespace {

using ResolveChecks = ResolverTest;

TEST_F(ResolveChecks, AKeyIsHandedOverAndNeverShown) {
  request_.model = "a/b-GGUF";
  request_.key = "hush-1";
  request_.host = "0.0.0.0";
  for (const char* backend : {"vllm", "sglang", "llamacpp", "mica", "mlx-lm", "trtllm"}) {
    request_.backend = backend;
    request_.model = backend == std::string("llamacpp") ? "a/b-GGUF" : "a/b";
    const ResolvedPlan resolved = resolve();
    const std::string shown = plan_to_text(resolved, {}) + plan_to_json(resolved, {}) + command();
    EXPECT_FALSE(has(shown, "hush")) << shown;
    const BackendKey& key = table_.get(backend).key;
    const auto& variables = resolved.plan.environment;
    const std::vector<std::string> words = resolved.plan.command(/*masked=*/false);
    const bool in_words = std::find(words.begin(), words.end(), "hush-1") != words.end();
    const bool in_variable = std::any_of(variables.begin(), variables.end(), [&](auto& variable) {
      return variable.name == key.variable && variable.value == "hush-1" && variable.secret;
    });
    EXPECT_EQ(in_words, !key.words.empty()) << backend;
    EXPECT_EQ(in_variable, !key.variable.empty()) << backend;
    EXPECT_EQ(has(warnings(), "no way to be told a key"), !key.is_taken()) << backend;
    EXPECT_EQ(has(warnings(), "at 0.0.0.0, with the key"), key.is_taken()) << warnings();
  }
  EXPECT_TRUE(table_.get("vllm").key.is_taken() && table_.get("sglang").key.is_taken());
}

TEST_F(ResolveChecks, AContextBeyondTheModels) {
  write_dense(folder_.path() / "m");  // made for 40960
  request_.model = (folder_.path() / "m").string();
  models_ = "defaults: {backends: {vllm: {args: {context: 50000}}}}";
  EXPECT_TRUE(has(command(), "--max-model-len 40960")) << command();
  EXPECT_EQ(plan().context, 40960);
  EXPECT_TRUE(
      has(warnings(),
          "a context of 50000 tokens (m.yaml:1), and the model was made for 40960: lowered"))
      << warnings();
  const ResolvedPlan lowered = resolve();
  EXPECT_TRUE(
      has(plan_to_text(lowered, {}), "the model was made for 40960 tokens; m.yaml:1 said 50000"));
  models_ =
      "defaults: {backends: {vllm: {args: {context: 50000}, extra_args: [--hf-overrides, "
      "'{\"rope_parameters\": {}}']}}}";
  EXPECT_EQ(plan().context, 50000);  // its positions are stretched
  models_ = "models: []";
  request_.needs["context"] = "60000";
  EXPECT_EQ(plan().context, 40960);
  for (auto* said : {&request_.settings, &request_.own_settings}) {
    (*said)["context"] = "100000";
    EXPECT_TRUE(has(command(), "--max-model-len 100000")) << command();
    EXPECT_TRUE(has(warnings(), "made for 40960: it is kept, but the engine may refuse it"));
    said->clear();
  }
  request_.settings["context"] = "40960";
  EXPECT_FALSE(has(warnings(), "made for"));
}

TEST_F(ResolveChecks, GpusShareTheHeadsEvenly) {
  write_dense(folder_.path() / "m");  // 16 heads, 8 of keys and values
  request_.model = (folder_.path() / "m").string();
  facts_.gpus.push_back(facts_.gpus[0]);
  EXPECT_TRUE(has(command(), "--tensor-parallel-size 2")) << command();
  EXPECT_EQ(plan().gpus, 2);
  EXPECT_TRUE(has(warnings(), "1 of 3 GPUs stay idle: 3 do not divide the model's 16 attention"));
  EXPECT_TRUE(has(plan_to_text(resolve(), {}),
                  "derived: of 3 GPUs found as many as divide the model's 16 attention heads"));
  request_.settings["tensor_parallel"] = "3";
  EXPECT_TRUE(has(command(), "--tensor-parallel-size 3"));
  EXPECT_TRUE(has(warnings(), "tensor_parallel is 3, which does not divide the model's 16"));
  request_.settings.clear();
  facts_.gpus.push_back(facts_.gpus[0]);
  EXPECT_EQ(plan().gpus, 4);
  EXPECT_FALSE(has(warnings(), "stay idle"));
  request_.backend = "exllamav3";  // deals out layers
  write_exl3(folder_.path() / "exl");
  request_.model = (folder_.path() / "exl").string();
  facts_.gpus.pop_back();
  EXPECT_EQ(plan().gpus, 3);
}

TEST_F(ResolveChecks, WhatThePlanSaysIsNoSetting) {
  request_.model = "a/b";
  request_.own_settings["port"] = "18440";
  EXPECT_EQ(error(), "[plan] --set port: it can't be set here; --port says it");
  request_.own_settings = {{"model", "x/y"}};
  EXPECT_EQ(error(), "[plan] --set model: it can't be set here; --model says it");
}

TEST_F(ResolveChecks, AFormatThatNobodyKnowsIsNoRefusal) {
  request_.model = "ggml-org/foo";
  request_.backend = "llamacpp";
  EXPECT_TRUE(has(command(), "-hf ggml-org/foo ")) << command();
  EXPECT_TRUE(has(warnings(), "its name does not tell its format; taken for gguf, as llama.cpp"));
  request_.backend = "mica";  // reads two
  EXPECT_TRUE(has(warnings(), "its name does not tell its format\n")) << warnings();
  request_.backend = "";
  request_.gguf = "Q4_K_M";
  EXPECT_EQ(plan().backend, "llamacpp");
  EXPECT_FALSE(has(warnings(), "does not tell"));
  request_.backend = "vllm";
  EXPECT_TRUE(has(error(), "and the model is gguf by its name")) << error();
}

TEST_F(ResolveChecks, WhereItComputesAndWhatItMayTake) {
  write_mlx(folder_.path() / "mlx");
  facts_.host_available = uint64_t{2} << 30;
  request_.model = (folder_.path() / "mlx").string();
  request_.backend = "mica";
  const auto fit = [&] { return *fit_plan(resolve(), table_.get("mica"), facts_, {}); };
  EXPECT_FALSE(plan().on_cpu);
  request_.settings["device"] = "cpu";
  EXPECT_TRUE(has(command(), "--device cpu"));
  EXPECT_TRUE(fit().fits);
  EXPECT_TRUE(has(fit_to_text(fit()), "on the host's memory, which has 2.0 GiB available: it fits"))
      << fit_to_text(fit());
  facts_.host_available = uint64_t{1} << 30;
  EXPECT_FALSE(fit().fits);
  request_.settings.clear();
  facts_.gpus.clear();
  EXPECT_TRUE(plan().on_cpu);
  request_.model = "a/b";
  request_.backend = "vllm";
  EXPECT_FALSE(plan().on_cpu);
  for (const char* wrong : {"3", "0", "-0.5", "x"}) {
    request_.settings["memory_fraction"] = wrong;
    EXPECT_EQ(error(), std::string("[plan] --memory-fraction: memory_fraction: expected a share "
                                   "above 0 and at most 1, found '") +
                           wrong + "'");
  }
  request_.settings["memory_fraction"] = "1";
  EXPECT_EQ(plan().memory_fraction, 1);
}

TEST_F(ResolveChecks, AFileOfOptionsIsWrittenForTheBackend) {
  request_.model = "a/b";
  request_.backend = "trtllm";
  const std::string path = "/home/u/.local/state/mica/files/trtllm-options.yaml";
  const ResolvedPlan resolved = resolve();
  ASSERT_EQ(resolved.plan.files.size(), 1u);
  EXPECT_EQ(resolved.plan.files[0].path, path);
  EXPECT_EQ(resolved.plan.files[0].text, "return_perf_metrics: true\n");
  EXPECT_TRUE(has(command(), "--extra_llm_api_options " + path)) << command();
  EXPECT_TRUE(has(command(), "-v " + path + ":" + path + ":ro")) << command();
  EXPECT_TRUE(has(plan_to_text(resolved, {}),
                  "cat > " + path + " <<'END'\nreturn_perf_metrics: true\nEND\ndocker run"));
  EXPECT_TRUE(has(plan_to_json(resolved, {}), "return_perf_metrics: true\\n"));
  EXPECT_FALSE(has(warnings(), "return_perf_metrics"));
  // The user's own instead: mounted, and its need is said.
  const std::string own = (folder_.path() / "own.yaml").string();
  write_text_file(own, "x: 1\n");
  for (const std::string flag : {"--extra_llm_api_options", "--config"}) {
    request_.extra_arguments = {flag, own};
    EXPECT_TRUE(plan().files.empty());
    EXPECT_TRUE(has(command(), "-v " + own + ":" + own + ":ro")) << command();
    EXPECT_TRUE(has(command(), "--extra_llm_api_options " + own)) << command();
    EXPECT_TRUE(has(warnings(), "answers only with return_perf_metrics: true in the file of"));
  }
}

TEST_F(ResolveChecks, AttachWantsNoVersionUnlessSomebodyDoes) {
  request_.model = "a/b";
  request_.url = "http://127.0.0.1:1";
  EXPECT_EQ(plan().backend_version.value, "");
  request_.version = "v1";
  EXPECT_EQ(plan().backend_version.value, "v1");
}

TEST_F(ResolveChecks, EntriesThatNothingTellsApart) {
  models_ = "models:\n- {repo_id: a/b}\n- {repo_id: a/b}";
  request_.model = "a/b";
  EXPECT_EQ(
      error(),
      "[models] 'a/b' may mean 2 entries; nothing tells them apart: give each a `name` in the "
      "file, or take one away:\n  m.yaml:2: a/b\n  m.yaml:3: a/b");
}

}  // namespace
}  // namespace mica
