#include "bench/plan/import.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/plan/models_file.h"

namespace mica {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// Its state of 2026-01-02: typed args, version, image types and overrides, PR builds.
const char* const kTyped = R"(
defaults:
  storage:
    primary: ~/models
    gguf: /data/gguf
  backends:
    vllm:
      version: v0.13.0
      image_type: prebuilt
      args:
        gpu_memory_utilization: 0.95
        max_model_len: 65536
        frequency_penalty: 0.1
      model_patterns:
        - pattern: "glm.*v"
          args: ["--enable-expert-parallel"]
        - pattern: "mistral|ministral"
          args: ["--tokenizer-mode", "mistral"]
        - pattern: "(a|b)+$"
          args: ["--x"]
    llama:
      version: b7500
      image_type: build
      args:
        n_gpu_layers: 999
        cache_type_k: q8_0
        cache_type_v: q8_0
        flash_attn: "on"
    exl:
      tabby_version: abc123
models:
  - repo_id: org/model
    include: ["*Q4_K_M*"]
    backend: llama
    backends:
      vllm:
        docker_image: my/vllm:1
        pr_number: 31575
        env: {VLLM_USE_V1: 1}
        extra_args: ["--max-num-batched-tokens", "8192"]
  - repo_id: org/other
    revisions: [4.0bpw, 6.0bpw]
    nightly: true
)";

TEST(Import, TheTypedState) {
  const BackendTable table;
  const ImportedModels imported = import_models({{kTyped, "old.yaml"}}, table);
  const std::string report = joined(imported.report);
  EXPECT_FALSE(has(report, "by hand")) << report << imported.yaml;
  const ModelsFile file = parse_models_file(imported.yaml, "new.yaml", table);
  EXPECT_EQ(file.primary->value, "~/models");
  EXPECT_EQ(file.gguf->value, "/data/gguf");
  const Layer& vllm = file.defaults.at("vllm");
  EXPECT_EQ(vllm.scalars.at("version").value, "v0.13.0");
  EXPECT_EQ(vllm.settings.at("memory_fraction")->values.front(), "0.95");
  EXPECT_EQ(vllm.settings.at("context")->values.front(), "65536");
  EXPECT_EQ(vllm.sampling.at("frequency_penalty")->value, "0.1");
  ASSERT_EQ(file.patterns.size(), 2u);
  EXPECT_EQ(file.patterns[0].globs, (std::vector<std::string>{"*glm*v*"}));
  EXPECT_EQ(file.patterns[1].globs, (std::vector<std::string>{"*mistral*", "*ministral*"}));
  const Layer& llama = file.defaults.at("llamacpp");
  EXPECT_FALSE(llama.scalars.contains("image_type"));
  ASSERT_EQ(llama.extra_arguments.add.size(), 2u);
  EXPECT_EQ(llama.settings.at("gpu_layers")->values.front(), "999");
  const ModelEntry& model = file.models.at(0);
  EXPECT_EQ(model.backend->value, "llamacpp");
  EXPECT_EQ(model.backends.at("vllm").scalars.at("image").value, "my/vllm:1");
  EXPECT_EQ(model.backends.at("vllm").environment.at("VLLM_USE_V1")->value, "1");
  EXPECT_EQ(file.models.at(1).revisions.size(), 2u);
  for (const char* line :
       {"old.yaml:11: gpu_memory_utilization is memory_fraction now",
        "old.yaml:13: frequency_penalty went into sampling",
        "old.yaml:19: '(a|b)+$' can't be written as globs", "llama is llamacpp now",
        "old.yaml:23: image_type build: the scripts' Dockerfile is not here",
        "cache_type_k is --cache-type-k in extra_args now", "tabby_version was read by nothing",
        "docker_image is image now",
        "pr_number is pr now, with a commit: pr: 31575@COMMIT, as said by git ls-remote "
        "https://github.com/vllm-project/vllm.git refs/pull/31575/head",
        "nightly chose a Python environment"})
    EXPECT_TRUE(has(report, line)) << line << "\n" << report;
}

// Its state of 2026-01-11: raw arguments, profiles, sampling, and server.yaml.
const char* const kRaw = R"(
defaults:
  backends:
    sglang:
      backend_version: v0.5.7
      extra_args: ["--mem-fraction-static", "0.8"]
      env_vars: {SGL_ENABLE_JIT_DEEPGEMM: "0"}
      model_patterns:
        - pattern: "MiMo"
          args: ["--attention-backend", "triton"]
          env_vars: {A: "1"}
    ktransformers: {extra_args: []}
    ik_llama: {extra_args: ["--x"]}
models:
  - repo_id: org/model
    profiles:
      fast:
        backend: vllm
        backend_version: nightly-abc
        image_type: cu130
        extra_args: ["--max-model-len", "32768", "--max-num-seqs", "64"]
        env_vars: {B: "2"}
        sampling: {frequency_penalty: 0.2}
      odd:
        backend: ik_llama
)";
const char* const kServer = R"(
open_webui: {enabled: true, image: ghcr.io/open-webui/open-webui, version: v0.6, port: 3080}
litellm: {enabled: true, image: ghcr.io/berriai/litellm, version: main, port: 4000, alias: local}
)";

TEST(Import, TheRawStateAndItsSidecars) {
  const BackendTable table;
  const ImportedModels imported =
      import_models({{kRaw, "models.yaml"}, {kServer, "server.yaml"}}, table);
  const std::string report = joined(imported.report);
  EXPECT_FALSE(has(report, "by hand")) << report << imported.yaml;
  const ModelsFile file = parse_models_file(imported.yaml, "new.yaml", table);
  const Layer& sglang = file.defaults.at("sglang");
  EXPECT_EQ(sglang.scalars.at("version").value, "v0.5.7");
  EXPECT_EQ(sglang.extra_arguments.add.at(0).words,
            (std::vector<std::string>{"--mem-fraction-static", "0.8"}));
  EXPECT_EQ(sglang.environment.at("SGL_ENABLE_JIT_DEEPGEMM")->value, "0");
  EXPECT_EQ(file.patterns.at(0).globs.front(), "*MiMo*");
  ASSERT_EQ(file.models.at(0).profiles.size(), 1u);
  const ModelProfile& fast = file.models.at(0).profiles.at(0);
  EXPECT_EQ(fast.backend->value, "vllm");
  EXPECT_EQ(fast.layer.extra_arguments.add.size(), 2u);
  EXPECT_EQ(fast.layer.sampling.at("frequency_penalty")->value, "0.2");
  EXPECT_TRUE(file.sidecars.at("litellm").enabled);
  EXPECT_EQ(file.sidecars.at("litellm").alias, "local");
  EXPECT_EQ(file.sidecars.at("open_webui").port, 3080);
  for (const char* line : {"models.yaml:5: backend_version is version now", "env_vars is env now",
                           "ik_llama is no backend of Mica", "image_type cu130 chose a Dockerfile",
                           "profile odd is for no backend that is known",
                           "a profile's extra_args are added to those below it now"})
    EXPECT_TRUE(has(report, line)) << line << "\n" << report;
}

TEST(Import, WhatIsNoModelsFile) {
  const BackendTable table;
  EXPECT_THROW(import_models({{"- a", "x.yaml"}}, table), Error);
  EXPECT_THROW(import_models({{"models: [", "x.yaml"}}, table), Error);
  const ImportedModels imported = import_models({{"modls: []\n", "x.yaml"}}, table);
  EXPECT_EQ(joined(imported.report), "x.yaml:1: modls is not known; it was left out\n");
}

}  // namespace
}  // namespace mica
