#include "bench/plan/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "bench/plan/test_resolver.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

using Resolver = ResolverTest;

TEST_F(Resolver, TheCommandLineWinsOverAll) {
  models_ = R"(
defaults: {backends: {vllm: {args: {context: 1, concurrency: 1}, env: {A: "1"}}}}
models:
  - repo_id: a/b
    backends: {vllm: {extra_args: [--max-model-len, "2"]}}
    profiles: {p: {args: {context: 3}}}
)";
  request_.model = "a/b";
  EXPECT_TRUE(has(command(), "--max-model-len 3"));
  request_.settings["context"] = "4";
  request_.environment["A"] = "2";
  const LaunchPlan plan = this->plan();
  EXPECT_TRUE(has(command(), "--max-model-len 4")) << command();
  EXPECT_FALSE(has(command(), "--max-model-len 3"));
  EXPECT_EQ(plan.context, 4);
  EXPECT_EQ(plan.concurrency, 1);
  EXPECT_TRUE(has(command(), "--env A=2"));
  for (const PlanArgument& argument : plan.arguments)
    if (argument.words.front() == "--max-model-len") {
      EXPECT_EQ(argument.origin.text, "--context");
    }
}

// What a load needs is no wish: all that somebody said goes before it.
TEST_F(Resolver, NeedsOfTheLoadLieBelowAll) {
  models_ = R"(
models:
  - repo_id: a/b
    profiles: {p: {args: {context: 700}}, q: {args: {}}}
)";
  request_.model = "a/b";
  request_.profile = "p";
  request_.needs = {{"context", "1024"}, {"no_such_setting", "1"}};
  EXPECT_EQ(plan().context, 700);
  request_.profile = "q";
  EXPECT_EQ(plan().context, 1024);
  for (const PlanArgument& argument : plan().arguments)
    if (argument.words.front() == "--max-model-len") {
      EXPECT_EQ(argument.origin.text, "derived: the load needs it");
    }
  request_.settings["context"] = "4096";
  EXPECT_EQ(plan().context, 4096);
  EXPECT_FALSE(has(warnings(), "no_such_setting"));
}

TEST_F(Resolver, TensorParallelIsTheGpusThatAreFound) {
  request_.model = "a/b";
  EXPECT_TRUE(has(command(), "--tensor-parallel-size 2"));
  request_.gpus = {1};
  EXPECT_FALSE(has(command(), "--tensor-parallel-size"));
  EXPECT_TRUE(has(command(), "--gpus \"device=1\"")) << command();
  request_.gpus = {};
  request_.settings["tensor_parallel"] = "1";
  EXPECT_FALSE(has(command(), "--tensor-parallel-size"));
  request_.gpus = {7};
  EXPECT_TRUE(has(error(), "there is no GPU 7; found 2"));
  facts_.gpus.clear();
  request_.gpus = {};
  request_.settings.clear();
  EXPECT_TRUE(has(warnings(), "no GPU was found, and vLLM needs one"));
}

TEST_F(Resolver, AProcessGetsVariablesAndItsOwnForm) {
  request_.model = "a/b";
  request_.mode = LaunchMode::kProcess;
  request_.gpus = {0};
  EXPECT_TRUE(command().starts_with("vllm serve a/b --host 127.0.0.1 --port 8000"));
  const std::string shell = shell_command(plan());
  EXPECT_TRUE(shell.starts_with("CUDA_VISIBLE_DEVICES=0 \\\n    VLLM_SERVER_DEV_MODE=1 \\\n"))
      << shell;
}

TEST_F(Resolver, MicaIsThisProgram) {
  request_.model = "mlx-community/x";
  request_.backend = "";
  facts_.programs["mica"] = "/opt/mica";
  EXPECT_TRUE(command().starts_with("/opt/mica serve --host 127.0.0.1")) << command();
  EXPECT_TRUE(has(command(), "--device cuda"));
  facts_.gpus.clear();
  EXPECT_TRUE(has(command(), "--device cpu"));
  request_.mode = LaunchMode::kDocker;
  EXPECT_FALSE(has(command(), "--gpus"));
}

TEST_F(Resolver, AttachStartsNothing) {
  request_.model = "a/b";
  request_.url = "http://10.0.0.1:9000/v1/";
  const LaunchPlan plan = this->plan();
  EXPECT_EQ(plan.mode, LaunchMode::kAttach);
  EXPECT_EQ(plan.url, "http://10.0.0.1:9000");
  EXPECT_EQ(plan.port.value, "9000");
  EXPECT_EQ(plan.served_name.value, "a/b");
  EXPECT_TRUE(plan.command(false).empty());
  EXPECT_EQ(plan.dialect.metrics_dialect, "vllm");
  request_.backend = "";
  EXPECT_TRUE(has(error(), "--backend says which engine answers"));
  request_.backend = "vllm";
  request_.url = "10.0.0.1:9000";
  EXPECT_TRUE(has(error(), "expected --url as http://"));
}

TEST_F(Resolver, ASnapshotIsMountedWithItsBlobs) {
  const fs::path repo = folder_.path() / "hub/models--org--name";
  const std::string commit(40, 'a');
  fs::create_directories(repo / "blobs");
  fs::create_directories(repo / "refs");
  write_dense(repo / "snapshots" / commit);
  fs::rename(repo / "snapshots" / commit / "model.safetensors", repo / "blobs/1");
  fs::create_symlink("../../blobs/1", repo / "snapshots" / commit / "model.safetensors");
  write_text_file(repo / "refs/main", commit);
  facts_.hub_cache = folder_.path() / "hub";
  facts_.environment["HF_TOKEN"] = "secret";
  request_.model = "org/name";
  const LaunchPlan plan = this->plan();
  const std::string root = fs::canonical(repo).string();
  EXPECT_EQ(plan.model.value, root + "/snapshots/" + commit);
  EXPECT_EQ(plan.revision, commit);
  EXPECT_TRUE(has(command(), "-v " + root + ":" + root + ":ro")) << command();
  EXPECT_TRUE(has(command(), "--served-model-name org/name"));
  EXPECT_FALSE(has(command(), "huggingface"));
  EXPECT_FALSE(has(command(), "HF_TOKEN"));  // nothing is downloaded
  request_.model = plan.model.value;         // the path itself knows its repository
  EXPECT_EQ(this->plan().repo_id, "org/name");
}

TEST_F(Resolver, TargetsOfLinksAreMountedToo) {
  const fs::path model = folder_.path() / "a/model", other = folder_.path() / "b";
  write_dense(model);
  fs::create_directories(other);
  fs::rename(model / "model.safetensors", other / "w");
  fs::create_symlink(other / "w", model / "model.safetensors");
  request_.model = model.string();
  const std::string target = fs::canonical(other).string();
  EXPECT_TRUE(has(command(), "-v " + target + ":" + target + ":ro")) << command();
}

TEST_F(Resolver, SecretsAreMasked) {
  models_ =
      "defaults: {backends: {vllm: {env: {MY_API_KEY: abc}, extra_args: [--api-key, k1, "
      "--hf-token=k2]}}}";
  facts_.environment["HF_TOKEN"] = "secret";
  request_.model = "a/b";
  const ResolvedPlan resolved = resolve();
  const std::string all = plan_to_text(resolved, {}) + plan_to_json(resolved, {}) + command();
  for (const char* secret : {"abc", "k1", "k2", "secret"}) EXPECT_FALSE(has(all, secret)) << secret;
  EXPECT_TRUE(has(command(), "--env HF_TOKEN --env MY_API_KEY"));
  EXPECT_TRUE(has(command(), "--api-key *** --hf-token=***"));
  const std::vector<std::string> words = resolved.plan.command(false);
  EXPECT_NE(std::find(words.begin(), words.end(), "k1"), words.end());
}

TEST_F(Resolver, LlamaSharesItsContextOverItsSlots) {
  request_.model = "a/b-GGUF";
  request_.backend = "";
  request_.settings = {{"context", "8192"}, {"concurrency", "4"}, {"kv_bits", "8"}};
  request_.gguf = "Q4_K_M";
  const std::string text = command();
  EXPECT_TRUE(has(text, "-hf a/b-GGUF:Q4_K_M")) << text;
  EXPECT_TRUE(has(text, "--ctx-size 32768 --parallel 4"));
  EXPECT_TRUE(has(text, "--cache-type-k q8_0 --cache-type-v q8_0"));
  EXPECT_EQ(plan().context, 8192);
}

TEST_F(Resolver, FormatsAndCapabilities) {
  write_mlx(folder_.path() / "mlx");
  request_.model = (folder_.path() / "mlx").string();
  EXPECT_EQ(error(),
            "[plan] vllm (by --backend) reads safetensors, and the model is mlx: it reads no MLX "
            "checkpoints (2026-08-22, vLLM docs/features/quantization); these take it: mica, "
            "mlx-lm; --force starts it all the same");
  EXPECT_EQ(kind_, ErrorKind::kUsage);
  request_.force = true;
  const ResolvedPlan forced = resolve();
  ASSERT_TRUE(forced.capability);
  EXPECT_EQ(forced.capability->state, CapabilityRow::State::kRefused);
  EXPECT_TRUE(has(warnings(), "vllm (by --backend) reads safetensors, and the model is mlx: it"));
  request_.force = false;
  const fs::path fp8 = folder_.path() / "fp8";
  TensorSet tensors;
  tensors.add("x.weight", DType::kU8, {64, 256});
  write_model(fp8, R"("quantization_config": {"quant_method": "fp8", "weight_block_size": [1, 1]})",
              tensors);
  request_.model = fp8.string();
  request_.backend = "trtllm";
  EXPECT_TRUE(has(error(),
                  "TensorRT-LLM does not run this model (safetensors, fp8-block, 2 GPUs, "
                  "compute capability 12.0): no FP8 block scales on 12.x (2026-08-22"))
      << error();
  EXPECT_TRUE(has(error(), "; these take it: ktransformers, vllm, sglang; --force starts it"))
      << error();
  request_.force = true;
  EXPECT_TRUE(has(warnings(), "no FP8 block scales on 12.x"));
}

TEST_F(Resolver, WhatTheUserShouldKnow) {
  request_.model = "a/b-GGUF";
  request_.backend = "exllamav3";
  EXPECT_TRUE(
      has(error(), "exllamav3 (by --backend) reads exl3, and the model is gguf by its name"))
      << error();
  write_exl3(folder_.path() / "exl");
  request_.model = (folder_.path() / "exl").string();
  EXPECT_TRUE(has(warnings(), "tabbyapi:latest does not stand for one image; set `digest`"));
  request_.backend = "vllm";
  request_.model = "a/b@v2";
  request_.host = "0.0.0.0";
  EXPECT_TRUE(has(warnings(), "vLLM takes requests from other machines at 0.0.0.0"));
  EXPECT_TRUE(has(warnings(), "--env NCCL_P2P_DISABLE=1 helps (2026-08-22"));
  EXPECT_TRUE(has(command(), "--revision v2 ")) << command();
  EXPECT_TRUE(has(command(), "-p 0.0.0.0:8000:8000"));
  EXPECT_EQ(plan().url, "http://127.0.0.1:8000");
  request_.backend = "trtllm";
  EXPECT_TRUE(has(warnings(), "`mica pull a/b@v2` fetches it"));
}

TEST_F(Resolver, ASettingThatABackendLacksIsSaid) {
  request_.model = "mlx-community/x";
  request_.backend = "mlx-lm";
  request_.settings["context"] = "8192";
  EXPECT_TRUE(has(warnings(), "mlx-lm has no setting for --context"));
  EXPECT_EQ(plan().context, 8192);  // the memory's estimate and the workload go by it
  request_.own_settings["contxt"] = "1";
  EXPECT_TRUE(has(error(), "'contxt' is no setting of mlx-lm"));
}

TEST_F(Resolver, SamplingGoesIntoRequestsThatTakeIt) {
  models_ = "defaults: {backends: {trtllm: {sampling: {top_k: 5, repeat_penalty: 1.1}}}}";
  request_.model = "a/b";
  request_.backend = "trtllm";
  ASSERT_EQ(plan().sampling.size(), 1u);
  EXPECT_EQ(plan().sampling[0].name, "top_k");
  EXPECT_TRUE(has(warnings(), "m.yaml:1: trtllm takes no field repeat_penalty"));
}

TEST_F(Resolver, ImagesOfTheUser) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  models_ = "defaults: {backends: {vllm: {image: 'mine:{version}', version: v9, digest: '" +
            digest + "'}}}";
  request_.model = "a/b";
  EXPECT_TRUE(has(command(), " mine:v9@" + digest + " --model"));
  request_.image = "other:1";
  models_ = "models: []";
  EXPECT_TRUE(has(command(), " other:1 --model"));
  request_.backend = "sglang";
  models_ = "defaults: {backends: {sglang: {image_type: build}}}";
  EXPECT_TRUE(has(error(), "there is no build_context with a Dockerfile"));
}

TEST_F(Resolver, NamesOfNothing) {
  models_ = "models: [{repo_id: a/b, name: short}]";
  request_.model = "shrt";
  EXPECT_EQ(error(),
            "[plan] 'shrt': there is no such file or folder, and it is no repository "
            "(org/name or org/name@revision) and no model of m.yaml; is short meant?");
  request_.model = "short";
  EXPECT_EQ(plan().repo_id, "a/b");
  request_.profile = "fast";
  EXPECT_TRUE(has(error(), "a/b has no profile 'fast'"));
  request_.model = "c/d";
  EXPECT_TRUE(has(error(), "the models file has no entry for 'c/d'"));
}

TEST_F(Resolver, ARunningServerHasNamesOfItsOwn) {
  request_.model = "demo";
  request_.backend = "vllm";
  request_.url = "http://127.0.0.1:8000";
  EXPECT_EQ(plan().served_name.value, "demo");
  EXPECT_EQ(plan().repo_id, "");
}

TEST_F(Resolver, StorageRootsAndRevisions) {
  models_ = "defaults: {storage: {primary: ~/m}}\nmodels: [{repo_id: a/b, revisions: [r1]}]";
  facts_.environment["HOME"] = folder_.path().string();
  write_dense(folder_.path() / "m/a/b/r1");
  write_dense(folder_.path() / "m/c/d");
  const std::string root = fs::canonical(folder_.path()).string();
  request_.model = "a/b";
  EXPECT_EQ(plan().model.value, root + "/m/a/b/r1");
  request_.model = "c/d";
  EXPECT_EQ(plan().model.value, root + "/m/c/d");
  request_.model = root + "/m/a/b/r1";
  EXPECT_EQ(plan().repo_id, "a/b");
  EXPECT_EQ(plan().revision, "r1");
}

TEST_F(Resolver, ImagesNeedAProjector) {
  write_gguf(folder_.path() / "m.gguf");
  request_.model = (folder_.path() / "m.gguf").string();
  request_.backend = "";
  request_.vision = true;
  EXPECT_TRUE(has(error(), "images need a vision projector")) << error();
  EXPECT_TRUE(has(error(), "--mmproj FILE"));
  write_text_file(folder_.path() / "mmproj-f16.gguf", "x");
  EXPECT_TRUE(has(command(), "--mmproj " + fs::canonical(folder_.path()).string()));
  request_.vision = false;
  request_.projector = "none";
  EXPECT_FALSE(has(command(), "--mmproj"));
}

TEST(ShellQuote, WordsAsAShellTakesThem) {
  EXPECT_EQ(shell_quote("--a=b/c:1"), "--a=b/c:1");
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("a b"), "'a b'");
  EXPECT_EQ(shell_quote("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(shell_quote("\"device=0\""), "'\"device=0\"'");
}

}  // namespace
}  // namespace mica
