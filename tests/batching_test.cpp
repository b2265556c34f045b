// Promise 3: a request's tokens don't depend on what else is in the batch. Real models through the
// engine, on every backend: each of 16 mixed requests alone, and all at once.
#include <gtest/gtest.h>

#include <random>

#include "golden_model.h"
#include "test_devices.h"
#include "wait_for.h"

namespace mica {
namespace {

constexpr int kRequests = 16;

// Prompts of 1 to 40 tokens, some sharing a prefix; greedy ones and all kinds of sampling.
std::vector<Request> mixed_requests(int64_t vocab) {
  std::mt19937 random(5);
  std::vector<Request> requests(kRequests);
  std::vector<int32_t> shared;
  for (int i = 0; i < 34; ++i) shared.push_back(static_cast<int32_t>(random() % vocab));
  for (int i = 0; i < kRequests; ++i) {
    Request& request = requests[static_cast<size_t>(i)];
    if (i % 4 == 1) request.prompt = shared;
    const int count = 1 + static_cast<int>(random() % 8);
    for (int t = 0; t < count; ++t)
      request.prompt.push_back(static_cast<int32_t>(random() % vocab));
    request.max_tokens = 6 + i % 9;
    request.sampling.seed = 1000 + static_cast<uint64_t>(i);
    if (i % 2) request.sampling.temperature = 0.9f;
    if (i % 3 == 1) request.sampling.top_p = 0.8f;
    if (i % 5 == 3) request.sampling.top_k = 20;
    if (i % 5 == 4) request.sampling.repetition_penalty = 1.2f;
  }
  return requests;
}

struct Case {
  std::string device;
  const char* golden;
  int32_t chunk;
  int32_t kv_bits = 0;
};

class Batching : public testing::TestWithParam<Case> {};

TEST_P(Batching, SameTokensAloneAndTogether) {
  const Case& test = GetParam();
  const Golden golden =
      read_golden(source_path("tests/golden/models") / (std::string(test.golden) + ".json"));
  const auto backend = make_backend({.device = test.device, .threads = 2, .deterministic = true});
  const auto model = load_golden(golden, *backend);
  const std::vector<Request> requests = mixed_requests(model->config().vocab_size);

  EngineOptions options;
  options.max_batch_sequences = kRequests;
  options.prefill_step_tokens = 512;
  options.prefix_cache = false;
  options.kv_quant.bits = test.kv_bits;
  std::vector<std::vector<int32_t>> alone;
  {
    Engine engine(*backend, *model, options);
    for (const Request& request : requests) alone.push_back(wait_for(*engine.submit(request)));
  }
  options.prefill_step_tokens = test.chunk;
  options.prefix_cache = true;
  Engine engine(*backend, *model, options);
  for (int round = 0; round < 2; ++round) {  // the second round meets a warm prefix cache
    std::vector<std::shared_ptr<EventStream>> streams;
    for (const Request& request : requests) streams.push_back(engine.submit(request));
    for (size_t i = 0; i < streams.size(); ++i)
      EXPECT_EQ(wait_for(*streams[i]), alone[i]) << "request " << i << ", round " << round;
  }
  EXPECT_GT(engine.stats().cached_tokens, 0u);
}

std::vector<Case> all_cases() {
  const std::vector<Case> cases = {
      {"cpu", "llama-affine4g64", 512},   {"cpu", "qwen2-affine8g64", 7},
      {"cpu", "qwen3-bf16", 64},          {"cpu", "qwen3_moe-affine4g32", 16},
      {"cpu", "gemma3_text-mxfp4", 512},  {"cpu", "mistral_window", 5},
      {"ref", "llama-affine4g64", 512},   {"ref", "qwen3_moe-affine4g32", 7},
      {"ref", "gemma3_text-bf16", 16},    {"simt", "llama-affine4g64", 512},
      {"simt", "qwen3-bf16", 7},          {"simt", "qwen3_moe-affine4g32", 16},
      {"simt", "gemma3_text-mxfp4", 64},  {"simt", "mistral_window", 5},
      {"cpu", "llama-affine4g64", 7, 8},  {"cpu", "mistral_window", 5, 4},
      {"cpu", "gemma3_text-bf16", 64, 4}, {"ref", "qwen3-bf16", 16, 8},
      {"simt", "llama-affine4g64", 7, 8}, {"simt", "mistral_window", 5, 4}};
  const std::string asked = asked_test_device();
  if (asked.empty()) return cases;
  std::vector<Case> there;
  for (Case test : cases) {
    if (test.device != "cpu") continue;  // fewer of the same
    test.device = asked;
    there.push_back(test);
  }
  return there;
}

INSTANTIATE_TEST_SUITE_P(All, Batching, testing::ValuesIn(all_cases()), [](const auto& info) {
  return case_name({info.param.device},
                   info.param.golden + ("_" + std::to_string(info.param.chunk)) +
                       (info.param.kv_bits > 0 ? "_kv" + std::to_string(info.param.kv_bits) : ""));
});

}  // namespace
}  // namespace mica
