#include "bench/run/prefill_limit.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

std::vector<PlanGpu> gpus(const std::string& name, int count) {
  return std::vector<PlanGpu>(static_cast<size_t>(count), PlanGpu{.name = name});
}

TEST(PrefillLimit, IsTwoOperationsAParameter) {
  ModelFacts model;
  model.prefill_parameters = 8'000'000'000;
  const PrefillLimit one = prefill_limit(model, gpus("NVIDIA H100 80GB HBM3", 1));
  EXPECT_DOUBLE_EQ(one.rate, 1.98e15 / 16e9);
  EXPECT_EQ(one.from,
            "2 operations for each of 8e+09 parameters that a token of a prompt uses, 1.98e+15 a "
            "second at the dense peak of NVIDIA H100 80GB HBM3");
  const PrefillLimit two = prefill_limit(model, gpus("NVIDIA H100 80GB HBM3", 2));
  EXPECT_DOUBLE_EQ(two.rate, 2 * one.rate);
  EXPECT_NE(two.from.find("2x NVIDIA H100"), std::string::npos);
}

TEST(PrefillLimit, IsNotKnownWithoutPeakOrParameters) {
  ModelFacts model;
  EXPECT_EQ(prefill_limit(model, gpus("NVIDIA H100", 1)).rate, 0);
  model.prefill_parameters = 1'000'000;
  EXPECT_EQ(prefill_limit(model, {}).rate, 0);
  EXPECT_EQ(prefill_limit(model, gpus("Matrox Millennium", 1)).rate, 0);
  std::vector<PlanGpu> mixed = gpus("NVIDIA H100", 1);
  mixed.push_back({.name = "Matrox Millennium"});
  EXPECT_EQ(prefill_limit(model, mixed).rate, 0);
}

TEST(PrefillLimit, LongerNamesHoldBeforeShorterOnes) {
  EXPECT_GT(peak_operations("NVIDIA L40S"), peak_operations("NVIDIA L40"));
  EXPECT_GT(peak_operations("NVIDIA L40"), peak_operations("NVIDIA L4"));
  EXPECT_GT(peak_operations("NVIDIA RTX PRO 6000 Blackwell Server Edition"), 1e15);
}

}  // namespace
}  // namespace mica
