// Every architecture and weight format against logits of mlx-lm (tests/golden/models, made by
// tools/golden.py), on every backend of this build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>

#include "engine/single.h"
#include "golden_model.h"
#include "test_devices.h"

namespace mica {
namespace {

// docs/numerics.md; tools/golden_check.py has the same. `rounds`: the backend keeps activations in
// the checkpoint's dtype, as mlx does on a GPU: 2.6e-2 from the exact result at worst in these
// models.
double tolerance_of(const Golden& golden, bool rounds) {
  if (golden.dtype == DType::kF32) return 1e-4;
  const bool bf16 = golden.dtype == DType::kBF16;
  if (rounds) return bf16 ? 3e-2 : 5e-3;
  if (golden.reference == DType::kF32) return bf16 ? 5e-3 : 1e-3;
  return bf16 ? 2e-2 : 5e-3;
}

size_t likeliest(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// Whether the likeliest token leads the second by more than rounding explains: five times an
// error of `tolerance` in each logit.
bool is_decided(std::span<const float> theirs, double tolerance) {
  std::vector<float> sorted(theirs.begin(), theirs.end());
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  const double each = tolerance * norm(theirs) / std::sqrt(static_cast<double>(theirs.size()));
  return sorted[0] - sorted[1] > 5 * each;
}

// Every row counts, and the choice of token in most of them.
void expect_agreement(const std::vector<float>& ours, const Golden& golden, bool rounds) {
  const double tolerance = tolerance_of(golden, rounds);
  const size_t rows = golden.tokens.size(), vocab = golden.record["vocab"];
  ASSERT_EQ(golden.logits.size(), rows * vocab);
  ASSERT_EQ(ours.size(), golden.logits.size());
  double worst = 0;
  size_t decided = 0;
  for (size_t row = 0; row < rows; ++row) {
    const auto mine = std::span(ours).subspan(row * vocab, vocab);
    const auto theirs = std::span(golden.logits).subspan(row * vocab, vocab);
    const double error = relative_error(mine, theirs);
    EXPECT_LT(error, tolerance) << "row " << row;
    worst = std::max(worst, error);
    if (!is_decided(theirs, tolerance)) continue;
    ++decided;
    EXPECT_EQ(likeliest(mine), likeliest(theirs)) << "row " << row;
  }
  EXPECT_GT(decided, rounds ? rows / 4 : rows / 2);
  testing::Test::RecordProperty("relative_error", std::to_string(worst));
}

// A router's scores are off by about as much as its input; where the lead of the last chosen expert
// is smaller, another one is no fault and the case says nothing.
void expect_clear_routes(const Golden& golden) {
  ASSERT_FALSE(golden.router_margins.empty());
  for (const std::vector<double>& layer : golden.router_margins) {
    ASSERT_EQ(layer.size(), golden.tokens.size());
    EXPECT_GE(*std::min_element(layer.begin(), layer.end()), 2 * tolerance_of(golden, false));
  }
}

using Case = std::tuple<ModelDevice, std::string>;  // golden

class GoldenModel : public testing::TestWithParam<Case> {};

TEST_P(GoldenModel, LogitsAgreeWithMlx) {
  const auto& [device, label] = GetParam();
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  if (golden.experts) expect_clear_routes(golden);
  const auto whole = all_logits(*backend, *model, golden.tokens);
  expect_agreement(whole, golden, backend->activation_dtype(DType::kBF16) == DType::kBF16);
}

// In pieces the same bits, as the cache and the kernels promise.
TEST_P(GoldenModel, PiecesGiveTheSameBits) {
  const auto& [device, label] = GetParam();
  if (!device.keeps_bits()) GTEST_SKIP() << "bits depend on the batch without --deterministic";
  if (label.find("dynamic") != std::string::npos)
    GTEST_SKIP() << "angles of dynamic rotation depend on the length after each step, as in mlx-lm";
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  const auto whole = all_logits(*backend, *model, golden.tokens);
  for (int32_t step : {1, 5})
    EXPECT_EQ(all_logits(*backend, *model, golden.tokens, step), whole) << "step " << step;
}

// With keys and values in few bits, against mlx-lm's unquantized logits: docs/numerics.md.
class QuantizedCache : public testing::TestWithParam<Case> {};

TEST_P(QuantizedCache, LogitsStayNearMlx) {
  const auto& [device, label] = GetParam();
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  const size_t vocab = golden.record["vocab"];
  for (const int32_t bits : {8, 4}) {
    const KvQuantOptions kv = {.bits = bits};
    const auto whole = all_logits(*backend, *model, golden.tokens, 0, kv);
    double squares = 0;
    for (size_t row = 0; row < golden.tokens.size(); ++row) {
      const double error = relative_error(std::span(whole).subspan(row * vocab, vocab),
                                          std::span(golden.logits).subspan(row * vocab, vocab));
      EXPECT_LT(error, bits == 8 ? 5e-2 : 0.4) << bits << " bits, row " << row;
      squares += error * error;
    }
    const double mean = std::sqrt(squares / static_cast<double>(golden.tokens.size()));
    EXPECT_LT(mean, bits == 8 ? 3e-2 : 0.25) << bits << " bits";
    // Another cache than the unquantized one.
    EXPECT_GT(mean, bits == 8 ? 1e-4 : 1e-3) << bits << " bits";
    testing::Test::RecordProperty("relative_error_" + std::to_string(bits), std::to_string(mean));
    if (device.keeps_bits()) {
      EXPECT_EQ(all_logits(*backend, *model, golden.tokens, 5, kv), whole) << bits;
    }
  }
}

// The same models over mlx-lm's quantized cache, in f32: what differs are codes of elements on the
// edge of two, moved by rounding.
class QuantizedMlx : public testing::TestWithParam<Case> {};

TEST_P(QuantizedMlx, LogitsAgree) {
  const auto& [device, label] = GetParam();
  const auto record = GoldenJson::parse(read_text_file(source_path("tests/golden/kv.json")));
  const Golden golden = read_golden(source_path("tests/golden/models") / (label + ".json"));
  const auto backend =
      make_backend({.device = device.name, .threads = 2, .deterministic = device.deterministic});
  const auto model = load_golden(golden, *backend);
  const size_t vocab = golden.record["vocab"];
  for (const int32_t bits : {8, 4}) {
    const auto theirs = decode_floats(record[fmt::format("{}-kv{}", label, bits)]);
    const auto ours = all_logits(*backend, *model, golden.tokens, 0, {.bits = bits});
    ASSERT_EQ(ours.size(), theirs.size());
    double squares = 0;
    for (size_t row = 0; row < golden.tokens.size(); ++row)
      squares += std::pow(relative_error(std::span(ours).subspan(row * vocab, vocab),
                                         std::span(theirs).subspan(row * vocab, vocab)),
                          2);
    const double mean = std::sqrt(squares / static_cast<double>(golden.tokens.size()));
    EXPECT_LT(mean, bits == 8 ? 1e-3 : 1e-2) << bits << " bits";
    testing::Test::RecordProperty("relative_error_" + std::to_string(bits), std::to_string(mean));
  }
}

std::vector<Case> cases_of(std::initializer_list<const char*> labels) {
  std::vector<Case> cases;
  for (const char* label : labels)
    for (const ModelDevice& device : model_devices()) cases.emplace_back(device, label);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    All, QuantizedCache,
    testing::ValuesIn(cases_of({"llama-f32", "llama-bf16", "llama-f16", "qwen2-affine8g64",
                                "gemma3_text-f32", "gemma3_text-bf16", "mistral_window",
                                "llama_head80"})),
    [](const auto& info) { return case_name(std::get<0>(info.param), std::get<1>(info.param)); });
INSTANTIATE_TEST_SUITE_P(
    All, QuantizedMlx, testing::ValuesIn(cases_of({"llama-f32", "qwen3-f32", "llama_traditional"})),
    [](const auto& info) { return case_name(std::get<0>(info.param), std::get<1>(info.param)); });

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("tests/golden/models")))
    for (const ModelDevice& device : model_devices())
      cases.emplace_back(device, entry.path().stem().string());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(all_cases()), [](const auto& info) {
  return case_name(std::get<0>(info.param), std::get<1>(info.param));
});

}  // namespace
}  // namespace mica
