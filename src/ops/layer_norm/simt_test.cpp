#include <gtest/gtest.h>

#include "ops/layer_norm/layer_norm.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

struct Case {
  DType dtype = DType::kF32;
  int64_t rows = 1, size = 1;
  bool in_place = false, bias = true;
  int64_t shift = 0;  // elements by which the tensors lie off 16 bytes
  std::string name() const {
    return fmt::format("{} {} x {}{} shift {}", mica::name(dtype), rows, size,
                       in_place ? " in place" : "", shift);
  }
};

struct Inputs {
  explicit Inputs(const Case& c)
      : x(simt::rounded(random_values(c.rows * c.size, 1), c.dtype)),
        weight(random_values(c.size, 3)),
        bias(random_values(c.size, 4)) {}
  std::vector<float> x, weight, bias;
};

std::vector<float> run_ref(const Case& c, const Inputs& in) {
  TestBackend backend({.device = "ref"});
  const Shape shape{c.rows, c.size};
  LayerNormParams p = {.x = backend.put(in.x, shape), .weight = backend.put(in.weight, {c.size})};
  if (c.bias) p.bias = backend.put(in.bias, {c.size});
  p.eps = 1e-5f;
  p.out = p.x;
  backend.ops().layer_norm(*backend, p);
  return backend.get(p.out);
}

std::vector<float> run_simt(const Case& c, const Inputs& in, const simt::Schedule& schedule) {
  simt::SimtTestBackend backend(c.dtype, schedule);
  const auto put = [&](const std::vector<float>& values, DType dtype, Shape shape) {
    return simt::put_shifted(backend, values, shape, dtype, c.shift);
  };
  const Shape shape{c.rows, c.size};
  LayerNormParams p = {.x = put(in.x, c.dtype, shape)};
  p.weight = put(in.weight, DType::kF32, {c.size});
  if (c.bias) p.bias = put(in.bias, DType::kF32, {c.size});
  p.eps = 1e-5f;
  p.out = c.in_place ? p.x : put(std::vector<float>(in.x.size()), c.dtype, shape);
  backend.ops().layer_norm(*backend, p);
  return backend.get(p.out);
}

void check(const Case& c) {
  SCOPED_TRACE(c.name());
  const Inputs in(c);
  const std::vector<float> first = run_simt(c, in, {});
  expect_close(first, run_ref(c, in), c.dtype);
  for (const simt::Schedule& schedule : simt::all_schedules(2))
    EXPECT_TRUE(run_simt(c, in, schedule) == first) << "another result under another schedule";
}

TEST(SimtLayerNorm, AgreesWithReference) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (int64_t size : {1, 7, 8, 33, 128, 577, 2048})
      for (int64_t rows : {1, 3})
        for (bool in_place : {false, true})
          check({.dtype = dtype, .rows = rows, .size = size, .in_place = in_place});
}

TEST(SimtLayerNorm, MoreThanABlockHasThreads) {
  for (DType dtype : {DType::kF32, DType::kBF16})
    for (int64_t size : {16391, 16392}) check({.dtype = dtype, .rows = 2, .size = size});
}

TEST(SimtLayerNorm, UnalignedTensors) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (bool bias : {false, true})
      check({.dtype = dtype, .rows = 3, .size = 264, .bias = bias, .shift = 1});
}

// Rows of such sizes lie at every alignment.
TEST(SimtLayerNorm, BitsDoNotDependOnThePlaceInTheBatch) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (int64_t size : {577, 1026, 1028}) {
      SCOPED_TRACE(fmt::format("{} {}", mica::name(dtype), size));
      const Case c = {.dtype = dtype, .rows = 4, .size = size};
      Inputs in(c);
      for (size_t i = 0; i < in.x.size(); ++i) in.x[i] = in.x[i % static_cast<size_t>(size)];
      const std::vector<float> out = run_simt(c, in, {});
      for (size_t i = 0; i < out.size(); ++i)
        ASSERT_EQ(out[i], out[i % static_cast<size_t>(size)]) << "element " << i;
    }
}

TEST(SimtLayerNorm, NoRows) {
  const Case c = {.rows = 0, .size = 8};
  EXPECT_TRUE(run_simt(c, Inputs(c), {}).empty());
}

}  // namespace
}  // namespace mica
