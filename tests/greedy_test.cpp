// Greedy answers of tiny models through the whole engine against mlx-lm's
// (tests/golden/greedy.json, made by tools/golden_greedy.py), on every backend of this build.
#include <gtest/gtest.h>

#include "golden_model.h"
#include "test_devices.h"
#include "wait_for.h"

namespace mica {
namespace {

using Case = std::tuple<ModelDevice, std::string>;

GoldenJson greedy_goldens() {
  return GoldenJson::parse(read_text_file(source_path("tests/golden/greedy.json")));
}

std::vector<int32_t> generate(Engine& engine, const std::vector<int32_t>& prompt, size_t count) {
  Request request;
  request.prompt = prompt;
  request.max_tokens = static_cast<int32_t>(count);
  return wait_for(*engine.submit(std::move(request)));
}

class Greedy : public testing::TestWithParam<Case> {};

// Twice: the second answer runs on recorded steps where the device records, and on a cached prefix.
TEST_P(Greedy, AnswersAsMlx) {
  const auto& [device, label] = GetParam();
  const GoldenJson record = greedy_goldens().at(label);
  const auto prompt = record["prompt"].get<std::vector<int32_t>>();
  const auto expected = record["answer"].get<std::vector<int32_t>>();
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  EngineOptions options;
  options.max_batch_sequences = 2;
  options.block_size = 8;
  options.prefill_step_tokens = 16;
  options.kv_bytes = 1 << 20;
  Engine engine(*backend, *model, options);
  for (int round = 0; round < 2; ++round)
    EXPECT_EQ(generate(engine, prompt, expected.size()), expected) << "round " << round;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const GoldenJson goldens = greedy_goldens();
  for (const auto& [label, record] : goldens.items())
    for (const ModelDevice& device : model_devices()) cases.emplace_back(device, label);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, Greedy, testing::ValuesIn(all_cases()), [](const auto& info) {
  return case_name(std::get<0>(info.param), std::get<1>(info.param));
});

}  // namespace
}  // namespace mica
