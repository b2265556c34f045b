// Every architecture and weight format against logits of mlx-lm (tests/golden/models, made by
// tools/golden.py), on every backend of this build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/single.h"
#include "golden_model.h"

namespace mica {
namespace {

// ||a - b|| / ||b|| of each row of `vocab` logits, ascending; the last is the worst.
std::vector<double> relative_errors(const std::vector<float>& ours,
                                    const std::vector<float>& theirs, size_t vocab) {
  std::vector<double> rows;
  for (size_t begin = 0; begin < theirs.size(); begin += vocab) {
    double difference = 0, norm = 0;
    for (size_t i = begin; i < begin + vocab; ++i) {
      difference += std::pow(double{ours[i]} - double{theirs[i]}, 2);
      norm += std::pow(double{theirs[i]}, 2);
    }
    rows.push_back(std::sqrt(difference / norm));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

// The likeliest token agrees wherever mlx-lm's lead over the second exceeds `margin`.
void expect_same_choice(const std::vector<float>& ours, const std::vector<float>& theirs,
                        size_t vocab, float margin) {
  for (size_t row = 0; row * vocab < theirs.size(); ++row) {
    const auto begin = theirs.begin() + static_cast<std::ptrdiff_t>(row * vocab);
    std::vector<float> sorted(begin, begin + static_cast<std::ptrdiff_t>(vocab));
    const auto best = std::max_element(sorted.begin(), sorted.end()) - sorted.begin();
    std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
    if (sorted[0] - sorted[1] < margin) continue;
    const auto mine = ours.begin() + static_cast<std::ptrdiff_t>(row * vocab);
    EXPECT_EQ(std::max_element(mine, mine + static_cast<std::ptrdiff_t>(vocab)) - mine, best)
        << "row " << row;
  }
}

using Case = std::tuple<std::string, std::string>;  // backend, golden

class GoldenModel : public testing::TestWithParam<Case> {};

TEST_P(GoldenModel, LogitsAgreeWithMlx) {
  const auto& [device, label] = GetParam();
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend = make_backend({.device = device, .threads = 2});
  const auto model = load_golden(golden, *backend);
  const size_t vocab = golden.record["vocab"];
  const double tolerance = golden.dtype == DType::kF32 ? 1e-4 : 2e-2;

  const auto whole = all_logits(*backend, *model, golden.tokens);
  ASSERT_EQ(whole.size(), golden.logits.size());
  const std::vector<double> errors = relative_errors(whole, golden.logits, vocab);
  // With 16-bit keys and values two experts' scores within rounding may change places, which moves
  // that row and its successors: a few rows of such a model may be off, never half of them.
  const bool may_flip =
      golden.record["config"].contains("num_experts") && golden.dtype != DType::kF32;
  const double error = may_flip ? errors[errors.size() / 2] : errors.back();
  RecordProperty("relative_error", std::to_string(error));
  EXPECT_LT(error, tolerance);
  if (!may_flip)
    expect_same_choice(whole, golden.logits, vocab, golden.dtype == DType::kF32 ? 1e-3f : 0.15f);

  // In pieces the same bits, as the cache and the kernels promise. Dynamic rotation is the
  // exception: as in mlx-lm its angles depend on the length after each step.
  if (label.find("dynamic") != std::string::npos) return;
  for (int32_t step : {1, 5})
    EXPECT_EQ(all_logits(*backend, *model, golden.tokens, step), whole) << "step " << step;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("tests/golden/models")))
    for (const char* device : {"ref", "cpu"})
      cases.emplace_back(device, entry.path().stem().string());
  std::sort(cases.begin(), cases.end());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(all_cases()), [](const auto& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace mica
