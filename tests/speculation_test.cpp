// Real models that guess: the same tokens as without, greedy and drawn, on every backend. The draft
// model is the model itself, or another of the same vocabulary, or the text's own n-grams.
#include <gtest/gtest.h>

#include <random>

#include "checkpoint/checkpoint.h"
#include "golden_model.h"
#include "test_devices.h"
#include "wait_for.h"

namespace mica {
namespace {

struct Case {
  ModelDevice device;
  std::string model;
  std::string draft;  // empty: n-grams
};

// A golden model, or the one in models/.
std::unique_ptr<Model> load(const std::string& label, Backend& backend) {
  if (label == "demo") {
    const std::filesystem::path directory = source_path("models/demo");
    ModelConfig config = load_model_config(directory);
    Checkpoint weights(directory);
    adopt_stored(config, weights);
    return load_model(config, weights, backend);
  }
  return load_golden(read_golden(source_path("tests/golden/models") / (label + ".json")), backend);
}

std::vector<Request> requests_for(int64_t vocabulary) {
  std::mt19937 random(8);
  std::vector<Request> requests(6);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request& request = requests[i];
    for (uint32_t n = 3 + random() % 20; n > 0; --n)
      request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary)));
    // Something to look up.
    const std::vector<int32_t> again = request.prompt;
    request.prompt.insert(request.prompt.end(), again.begin(), again.end());
    request.max_tokens = 12 + static_cast<int32_t>(i);
    request.sampling.seed = 77 + i;
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.8f;
    if (i == 3) request.sampling.top_p = 0.9f;
    if (i == 4) request.sampling.repetition_penalty = 1.2f;
  }
  return requests;
}

std::vector<std::vector<int32_t>> answers(Backend& backend, Model& model,
                                          const EngineOptions& options,
                                          const std::vector<Request>& requests,
                                          EngineStats* stats = nullptr) {
  Engine engine(backend, model, options);
  std::vector<std::shared_ptr<EventStream>> streams;
  for (const Request& request : requests) streams.push_back(engine.submit(request));
  std::vector<std::vector<int32_t>> all;
  for (const auto& stream : streams) all.push_back(wait_for(*stream));
  if (stats) *stats = engine.stats();
  return all;
}

class SpeculationOnModels : public testing::TestWithParam<Case> {};

TEST_P(SpeculationOnModels, SameTokens) {
  const Case& test = GetParam();
  const auto backend = make_backend(
      {.device = test.device.name, .threads = 2, .deterministic = test.device.deterministic});
  const auto model = load(test.model, *backend);
  std::unique_ptr<Model> draft;
  if (!test.draft.empty()) draft = load(test.draft, *backend);
  const std::vector<Request> requests = requests_for(model->config().vocab_size);
  EngineOptions options;
  options.max_batch_sequences = 4;
  options.block_size = 8;
  options.prefill_step_tokens = 16;
  options.max_context = 120;
  options.kv_bytes = 1 << 23;
  const auto plain = answers(*backend, *model, options, requests);
  options.speculation.draft_model = draft.get();
  options.speculation.ngrams = draft == nullptr;
  options.speculation.ngram_least = 1;
  EngineStats stats;
  EXPECT_EQ(answers(*backend, *model, options, requests, &stats), plain);
  EXPECT_GT(stats.draft_tokens, 0u);
  EXPECT_EQ(stats.draft_failures, 0u);
  if (test.draft == test.model) {
    EXPECT_GT(stats.accepted_draft_tokens, stats.draft_tokens * 9 / 10);
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (ModelDevice device : model_devices()) {
    // Where a row's bits depend on the batch, so may a token.
    if (device.is_gpu() && !device.deterministic) continue;
    cases.push_back({device, "llama-affine4g64", "llama-affine4g64"});
    cases.push_back({device, "llama-affine4g64", "llama-bf16"});
    cases.push_back({device, "gemma3_text-mxfp4", ""});
    if (device.name != "simt") cases.push_back({device, "demo", "demo"});  // a minute there
    if (device.is_gpu()) continue;
    cases.push_back({device, "qwen3_moe-affine4g32", "qwen3-bf16"});
    cases.push_back({device, "mistral_window", "mistral_window"});
    cases.push_back({device, "qwen2-affine8g64", ""});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, SpeculationOnModels, testing::ValuesIn(all_cases()),
                         [](const auto& info) {
                           const Case& test = info.param;
                           return case_name(
                               test.device,
                               test.model + "_by_" + (test.draft.empty() ? "ngrams" : test.draft));
                         });

}  // namespace
}  // namespace mica
