// Whole plans of all backends and launch modes against tests/data/plans, and each Docker line
// against the start that the project documents. MICA_REGENERATE_GOLDENS=1 writes the files anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "bench/plan/show.h"
#include "bench/plan/test_models.h"
#include "test_data.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class GoldenPlan : public testing::Test {
 protected:
  // A model that the backend reads, under $MODELS.
  std::string model_for(const std::string& backend) {
    const fs::path root = folder_.path();
    if (backend == "llamacpp") {
      write_gguf(root / "org/model-GGUF/model-Q8_0.gguf");
      return (root / "org/model-GGUF").string();
    }
    const bool mlx = backend == "mica" || backend == "mlx-lm";
    const fs::path model = root / (backend == "exllamav3" ? "org/model-exl3"
                                   : mlx                  ? "org/model-4bit"
                                                          : "org/model");
    if (backend == "exllamav3")
      write_exl3(model);
    else if (mlx)
      write_mlx(model);
    else
      write_dense(model);
    return model.string();
  }
  ModelsFile models() {
    return parse_models_file("defaults: {storage: {primary: " + folder_.path().string() + "}}",
                             "models.yaml", table_);
  }
  std::string without_folder(std::string text) {
    const std::string from = fs::canonical(folder_.path()).string();
    for (size_t at = text.find(from); at != text.npos; at = text.find(from, at))
      text.replace(at, from.size(), "$MODELS");
    // Columns are as wide as the folder's name was: two spaces stand for all.
    for (size_t at = text.find("   "); at != text.npos; at = text.find("   ", at))
      text.erase(at, 1);
    return text;
  }
  TempFolder folder_;
  BackendTable table_;
};

TEST_F(GoldenPlan, EightBackendsThreeModes) {
  const bool regenerate = std::getenv("MICA_REGENERATE_GOLDENS") != nullptr;
  const PlanFacts facts = two_gpus();
  for (const BackendDescriptor& backend : table_.all())
    for (const LaunchMode mode : {LaunchMode::kDocker, LaunchMode::kProcess, LaunchMode::kAttach}) {
      PlanRequest request;
      request.model = model_for(backend.name);
      request.backend = backend.name;
      request.mode = mode;
      request.settings = {{"context", "8192"}, {"concurrency", "4"}};
      if (mode == LaunchMode::kAttach) request.url = "http://10.0.0.5:9000/v1/";
      const ResolvedPlan resolved = resolve_plan(request, table_, models(), facts);
      std::string text =
          without_folder(plan_to_text(resolved, fit_plan(resolved, backend, facts, {})));
      const fs::path file =
          source_path("tests/data/plans") / (backend.name + "-" + name(mode) + ".txt");
      if (regenerate)
        write_text_file(file, text);
      else
        EXPECT_EQ(text, read_text_file(file)) << file;
    }
}

// ---- The documented starts (peers of the descriptors' `source`).

struct Documented {
  std::string backend, model;
  std::vector<Words> groups;  // as the project's document has them, in Mica's terms
  std::vector<Words> added;   // by Mica, each for a reason
};

// The differences in form that hold for all:
//   - `-p 8000:8000` is `-p 127.0.0.1:8000:8000`: nothing is open to the network unasked
//   - the tag is the descriptor's version instead of `latest`
//   - `--env HF_TOKEN=$HF_TOKEN` is `--env HF_TOKEN`: the secret stays out of the command line
//   - `--rm -it` is the launcher's matter: it keeps a container until its end was looked at
//   - a folder of models is mounted read-only, at the path that it has on this machine
std::vector<Documented> documented(const std::string& models) {
  const std::string cache = "/home/u/.cache/huggingface:/root/.cache/huggingface";
  const std::string options = "/home/u/.local/state/mica/files/trtllm-options.yaml";
  return {
      {"vllm",
       "org/model",
       {{"docker", "run"},
        {"--runtime", "nvidia"},
        {"--gpus", "all"},
        {"--ipc=host"},
        {"-p", "127.0.0.1:8000:8000"},
        {"-v", cache},
        {"--env", "HF_TOKEN"},
        {"vllm/vllm-openai:v0.27.1"},
        {"--model", "org/model"}},
       {{"-v", "vllm-cache:/root/.cache/vllm"},  // docs/deployment/docker.md: keeps compiled graphs
        {"--env", "VLLM_SERVER_DEV_MODE=1"},     // /reset_prefix_cache between runs
        {"--enable-prompt-tokens-details"}}},    // cached tokens are counted
      {"sglang",
       "org/model",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"--shm-size", "32g"},
        {"--ipc=host"},
        {"-p", "127.0.0.1:30000:30000"},
        {"-v", cache},
        {"--env", "HF_TOKEN"},
        {"lmsysorg/sglang:v0.5.16-cu130"},
        {"python3", "-m", "sglang.launch_server"},
        {"--model-path", "org/model"},
        {"--host", "0.0.0.0"},
        {"--port", "30000"}},
       {{"--enable-metrics"}, {"--enable-cache-report"}}},
      {"llamacpp",
       models + "/org/model-GGUF/model-Q8_0.gguf",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"-p", "127.0.0.1:8080:8080"},
        {"-v", models + "/org/model-GGUF:" + models + "/org/model-GGUF:ro"},
        {"ghcr.io/ggml-org/llama.cpp:server-cuda13-b10524"},
        {"-m", models + "/org/model-GGUF/model-Q8_0.gguf"},
        {"--host", "0.0.0.0"},
        {"--port", "8080"},
        {"--n-gpu-layers", "99"}},
       {{"--metrics"}, {"--alias", "org/model-GGUF"}}},
      {"trtllm",
       "org/model",
       {{"docker", "run"},
        {"--ipc", "host"},
        {"--gpus", "all"},
        {"--ulimit", "memlock=-1"},
        {"--ulimit", "stack=67108864"},
        {"-p", "127.0.0.1:8000:8000"},
        {"-v", "/home/u/.cache:/root/.cache"},
        {"nvcr.io/nvidia/tensorrt-llm/release:1.2.1"},
        {"trtllm-serve"},
        {"org/model"},
        {"--host", "0.0.0.0"},
        {"--port", "8000"}},
       {{"--env", "HF_TOKEN"},
        {"-v", options + ":" + options + ":ro"},  // return_perf_metrics, for its metrics
        {"--extra_llm_api_options", options}}},
      // No image of the project: its local start, in an image that is built.
      {"mlx-lm",
       "mlx-community/model",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"-p", "127.0.0.1:8080:8080"},
        {"mica-bench/mlx-lm:0.32.0"},
        {"--model", "mlx-community/model"},
        {"--host", "0.0.0.0"},
        {"--port", "8080"}},
       {{"-v", cache}, {"--env", "HF_TOKEN"}}},
      // docker/docker-compose.yml of TabbyAPI; its model comes from config.yml there.
      {"exllamav3",
       models + "/org/model-exl3",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"--shm-size", "8g"},
        {"--ulimit", "memlock=-1"},
        {"--ulimit", "nofile=1048576"},
        {"-p", "127.0.0.1:5000:5000"},
        {"-v", models + "/org/model-exl3:" + models + "/org/model-exl3:ro"},
        {"ghcr.io/theroyallab/tabbyapi:latest"},
        {"main.py"},
        {"--host", "0.0.0.0"}},
       {{"--port", "5000"},
        {"--model-dir", models + "/org", "--model-name", "model-exl3"},
        {"--disable-auth", "true"}}},
      // doc/en/kt-kernel/AVX2-Tutorial.md, without its tuning for one machine.
      {"ktransformers",
       models + "/org/model",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"-p", "127.0.0.1:30000:30000"},
        {"-v", models + "/org/model:" + models + "/org/model:ro"},
        {"kvcache/ktransformers:v0.4.3-cu128"},
        {"/opt/miniconda3/envs/serve/bin/python", "-m", "sglang.launch_server"},
        {"--host", "0.0.0.0"},
        {"--port", "30000"},
        {"--model", models + "/org/model", "--kt-weight-path", models + "/org/model"},
        {"--kt-cpuinfer", "16"},
        {"--kt-threadpool-count", "1"},
        {"--kt-num-gpu-experts", "32"},
        {"--kt-method", "BF16"},
        {"--served-model-name", "org/model"}},
       {{"--ipc=host"}, {"--enable-metrics"}}},
      // docs/docker.md of this repository.
      {"mica",
       "mlx-community/model",
       {{"docker", "run"},
        {"--gpus", "all"},
        {"-p", "127.0.0.1:8080:8080"},
        {"-v", "/home/u/.cache/huggingface:/cache/huggingface"},
        {"--user", "1000:1000"},
        {"mica"},
        {"serve"},
        {"--host", "0.0.0.0"},
        {"--device", "cuda"},
        {"--model", "mlx-community/model"}},
       {{"--port", "8080"}, {"--env", "HF_TOKEN"}}},
  };
}

TEST_F(GoldenPlan, DockerLinesAreTheProjectsOwnAndWhatIsExplained) {
  PlanFacts facts = two_gpus();
  facts.gpus.resize(1);
  facts.environment["HF_TOKEN"] = "secret";
  const std::string models = fs::canonical(folder_.path()).string();
  for (const Documented& d : documented(models)) {
    if (d.model.starts_with("/")) model_for(d.backend);  // the others are to be downloaded
    PlanRequest request;
    request.model = d.model;
    request.backend = d.backend;
    request.mode = LaunchMode::kDocker;
    const LaunchPlan plan = resolve_plan(request, table_, this->models(), facts).plan;
    std::vector<Words> expected = d.groups;
    expected.insert(expected.end(), d.added.begin(), d.added.end());
    std::vector<Words> found = plan.grouped_command(false);
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, expected) << d.backend << "\n" << shell_command(plan);
  }
}

}  // namespace
}  // namespace mica
