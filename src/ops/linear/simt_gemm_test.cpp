// Products of many rows by expanded weights and the vendor's product, on the emulator.
#include <gtest/gtest.h>

#include "ops/linear/cuda_linear.h"
#include "ops/linear/test_weights.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr int64_t kTokens = 256, kColumns = 96, kRows = 37;

const WeightFormat kDenseBf16 = {{QuantMode::kNone, 0, 0}, DType::kBF16};
const WeightFormat kDenseF16 = {{QuantMode::kNone, 0, 0}, DType::kF16};
const WeightFormat kMxfp8 = {{QuantMode::kMxfp8, 8, 32}, DType::kBF16};

struct Case {
  WeightFormat format;
  DType activations = DType::kBF16, out = DType::kBF16;
  bool bias = false, add = false;
};

struct Inputs {
  explicit Inputs(const Case& c)
      : x(simt::rounded(random_values(kTokens * kColumns, 1), c.activations)),
        out(simt::rounded(random_values(kTokens * kRows, 2), c.out)),
        weights(c.format, 1, kRows, kColumns, c.bias) {}
  std::vector<float> x, out;
  TestWeights weights;
};

// The product through `call`, which is given x and one target.
template <typename Call>
std::vector<float> run(const Case& c, const Inputs& in, TestBackend& backend, Call&& call) {
  const auto prepared = (*backend).prepare(in.weights.view);
  const bool ref = backend.activation_dtype() == DType::kF32;
  const LinearTarget target = {
      prepared.get(), backend.put(in.out, {kTokens, kRows}, ref ? DType::kF32 : c.out), c.add};
  call(backend.put_activations(in.x, {kTokens, kColumns}), target);
  return backend.get(target.out);
}

std::vector<float> run_ref(const Case& c, const Inputs& in) {
  TestBackend backend({.device = "ref"});
  return run(c, in, backend, [&](const Tensor& x, const LinearTarget& target) {
    backend.ops().linear(*backend, {x, {&target, 1}});
  });
}

double scale_of(const std::vector<float>& values) {
  double largest = 1;
  for (float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return largest;
}

void check(const Case& c) {
  SCOPED_TRACE(to_string(c.format) + (c.bias ? " bias" : "") + (c.add ? " add" : "") + " to " +
               name(c.out));
  const Inputs in(c);
  const std::vector<float> expected = run_ref(c, in);
  // All rows at once through `linear`, and 16 of them at a time, which is the least.
  simt::SimtTestBackend backend(c.activations);
  const std::vector<float> found =
      run(c, in, backend, [&](const Tensor& x, const LinearTarget& target) {
        backend.ops().linear(*backend, {x, {&target, 1}});
      });
  expect_close(found, expected, c.out, scale_of(expected));
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend other(c.activations, schedule);
    EXPECT_EQ(run(c, in, other,
                  [&](const Tensor& x, const LinearTarget& target) {
                    EXPECT_TRUE(simt::serve_by_gemm(gpu::as_gpu(*other), x, {&target, 1}, 1));
                  }),
              found);
  }
}

TEST(SimtGemm, AgreesWithReference) {
  for (const WeightFormat& format : {kDenseBf16, kDenseF16, kMxfp8})
    for (bool f32 : {false, true})
      for (bool bias : {false, true})
        for (bool add : {false, true})
          check({.format = format,
                 .activations = format.dtype,
                 .out = f32 ? DType::kF32 : format.dtype,
                 .bias = bias,
                 .add = add});
}

bool serves(DType activations, const WeightFormat& format, int64_t tokens, bool deterministic) {
  simt::SimtTestBackend backend(activations, {},
                                {.device = "simt", .deterministic = deterministic});
  TestWeights w(format, 1, kRows, kColumns, false);
  const auto prepared = (*backend).prepare(w.view);
  const auto zeros = [&](int64_t columns) {
    return backend.put_activations(std::vector<float>(static_cast<size_t>(tokens * columns)),
                                   {tokens, columns});
  };
  const LinearTarget target = {prepared.get(), zeros(kRows)};
  const bool served = simt::serve_by_gemm(gpu::as_gpu(*backend), zeros(kColumns), {&target, 1});
  (*backend).synchronize();
  return served;
}

TEST(SimtGemm, ServesManyRowsOfTheWeightsDtype) {
  EXPECT_TRUE(serves(DType::kBF16, kDenseBf16, kTokens, false));
  EXPECT_FALSE(serves(DType::kBF16, kDenseBf16, kTokens - 1, false));
  EXPECT_FALSE(serves(DType::kBF16, kDenseBf16, kTokens, true));
  EXPECT_FALSE(serves(DType::kF16, kDenseBf16, kTokens, false));
  EXPECT_FALSE(serves(DType::kF16, kMxfp8, kTokens, false));
  EXPECT_FALSE(serves(DType::kF32, {{QuantMode::kNone, 0, 0}, DType::kF32}, kTokens, false));
}

// A target that the vendor's product doesn't serve leaves all to the other kernels.
TEST(SimtGemm, AllTargetsOrNone) {
  const auto run_all = [](TestBackend& backend, DType dtype) {
    std::vector<std::unique_ptr<PreparedLinear>> prepared;
    std::vector<LinearTarget> targets;
    for (const WeightFormat& format :
         {kDenseBf16, WeightFormat{{QuantMode::kNone, 0, 0}, DType::kF32}}) {
      TestWeights w(format, 1, kRows, kColumns, true);
      prepared.push_back((*backend).prepare(w.view));
      targets.push_back({prepared.back().get(), backend.put(std::vector<float>(kTokens * kRows),
                                                            {kTokens, kRows}, DType::kF32)});
    }
    const auto x = simt::rounded(random_values(kTokens * kColumns, 4), DType::kBF16);
    backend.ops().linear(*backend, {backend.put(x, {kTokens, kColumns}, dtype), targets});
    return std::pair(backend.get(targets[0].out), backend.get(targets[1].out));
  };
  TestBackend ref({.device = "ref"});
  simt::SimtTestBackend backend(DType::kBF16);
  const auto expected = run_all(ref, DType::kF32);
  const auto found = run_all(backend, DType::kBF16);
  expect_close(found.first, expected.first, DType::kF32);
  expect_close(found.second, expected.second, DType::kF32);
}

}  // namespace
}  // namespace mica
