#include <gtest/gtest.h>

#include "ops/activation/activation.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

struct Case {
  Activation kind = Activation::kSilu;
  DType dtype = DType::kF32;
  int64_t rows = 1, size = 1;
  enum class Out { kOwn, kGate, kUp } out = Out::kOwn;
  bool with_up = true;
  int64_t shift = 0;  // elements by which the tensors lie off 16 bytes
};

std::vector<float> gates(int64_t count, DType dtype) {
  std::vector<float> gate = random_values(count, 1, 4);
  size_t i = 0;
  const float large = dtype == DType::kF16 ? 6e4f : 3e38f;
  for (float special : {0.0f, -0.0f, 30.0f, -30.0f, 100.0f, -100.0f, large, -large, 1e-30f})
    if (i < gate.size()) gate[i++] = special;
  return gate;
}

std::vector<float> run(TestBackend& backend, const Case& c, DType dtype) {
  const Shape shape{c.rows, c.size};
  const int64_t count = shape.elements();
  const auto put = [&](const std::vector<float>& values) {
    return simt::put_shifted(backend, values, shape, dtype, c.shift);
  };
  ActivationParams p{.kind = c.kind};
  p.gate = put(simt::rounded(gates(count, c.dtype), c.dtype));
  if (c.with_up) p.up = put(simt::rounded(random_values(count, 2), c.dtype));
  p.out = c.out == Case::Out::kGate ? p.gate
          : c.out == Case::Out::kUp ? p.up
                                    : put(std::vector<float>(static_cast<size_t>(count), 7));
  backend.ops().activation(*backend, p);
  return backend.get(p.out);
}

void check(const Case& c) {
  SCOPED_TRACE(
      fmt::format("kind {} {} {} x {}", static_cast<int>(c.kind), name(c.dtype), c.rows, c.size));
  TestBackend ref({.device = "ref"});
  // What f16 holds of a large result is infinity.
  const auto expected = simt::rounded(run(ref, c, DType::kF32), c.dtype);
  simt::SimtTestBackend backend(c.dtype);
  const auto found = run(backend, c, c.dtype);
  expect_close(found, expected, c.dtype, c.dtype == DType::kF32 ? 1 : 0.01);
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend other(c.dtype, schedule);
    EXPECT_EQ(run(other, c, c.dtype), found);
  }
}

TEST(SimtActivation, AgreesWithReference) {
  using Out = Case::Out;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (Activation kind : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh})
      for (auto [rows, size] :
           {std::pair<int64_t, int64_t>{0, 8}, {1, 1}, {1, 9}, {3, 577}, {2, 4096}}) {
        const Case c = {.kind = kind, .dtype = dtype, .rows = rows, .size = size};
        check(c);
        Case other = c;
        other.out = Out::kGate;
        check(other);
        other.with_up = false;
        check(other);
      }
}

TEST(SimtActivation, UnalignedOrIntoUp) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    check({.dtype = dtype, .rows = 2, .size = 264, .shift = 1});
    check({.dtype = dtype, .rows = 2, .size = 264, .with_up = false, .shift = 1});
    check({.dtype = dtype, .rows = 2, .size = 264, .out = Case::Out::kUp});
  }
}

}  // namespace
}  // namespace mica
