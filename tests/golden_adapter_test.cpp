// Adapters as mlx-lm writes them, against the logits of mlx-lm with the same adapters
// (tests/golden/adapters, made by tools/golden_adapter.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "checkpoint/adapter.h"
#include "engine/single.h"
#include "golden_model.h"
#include "model/adapters.h"
#include "test_devices.h"

namespace mica {
namespace {

std::vector<float> logits_of(Backend& backend, Model& model, const std::vector<int32_t>& tokens,
                             const AdapterSet* set, int32_t slot) {
  const auto count = static_cast<int32_t>(tokens.size());
  DirectRunner runner(backend, model, 1, count, count, count, {}, set ? set->max_rank() : 0);
  if (set) runner.use_adapters(*set, {slot});
  const Tensor logits = runner.step(tokens, /*all_rows=*/true);
  std::vector<float> out(static_cast<size_t>(logits.elements()));
  backend.download(out.data(), logits.data, out.size() * sizeof(float));
  return out;
}

using Case = std::tuple<ModelDevice, std::string>;
class GoldenAdapter : public testing::TestWithParam<Case> {};

TEST_P(GoldenAdapter, LogitsAgreeWithMlx) {
  const auto& [device, label] = GetParam();
  const std::filesystem::path folder = source_path("tests/golden/adapters");
  const Golden golden = read_golden(folder / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  Adapter adapter = read_adapter(folder / label);
  const int64_t rank = adapter.rank();
  AdapterSet set(*backend, *model, rank);
  const AdapterId id = set.add(std::move(adapter));

  const auto ours = logits_of(*backend, *model, golden.tokens, &set, set.slot(id));
  ASSERT_EQ(ours.size(), golden.logits.size());
  const bool rounds = backend->activation_dtype(DType::kBF16) == DType::kBF16;
  const double tolerance = golden.dtype == DType::kF32 ? 1e-4 : rounds ? 3e-2 : 5e-3;
  const double error = worst_error(ours, golden.logits, golden.tokens.size());
  EXPECT_LT(error, tolerance);
  RecordProperty("relative_error", std::to_string(error));

  // The adapter is what makes the difference.
  const auto without = logits_of(*backend, *model, golden.tokens, nullptr, 0);
  EXPECT_GT(worst_error(without, golden.logits, golden.tokens.size()), 0.1);
}

TEST(WorstError, IsNanWhereARowHasOne) {
  const std::vector<float> theirs = {1, 2, 3, 4};
  for (const size_t at : {0u, 3u}) {
    std::vector<float> ours = theirs;
    ours[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(worst_error(ours, theirs, 2) < 1);
  }
  EXPECT_DOUBLE_EQ(worst_error(std::vector<float>{1, 2, 3, 9}, theirs, 2), 1);
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& entry :
       std::filesystem::directory_iterator(source_path("tests/golden/adapters")))
    if (entry.path().extension() == ".json")
      for (const ModelDevice& device : model_devices())
        cases.emplace_back(device, entry.path().stem().string());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenAdapter, testing::ValuesIn(all_cases()), [](const auto& info) {
  return case_name(std::get<0>(info.param), std::get<1>(info.param));
});

}  // namespace
}  // namespace mica
