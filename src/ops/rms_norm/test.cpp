#include <gtest/gtest.h>

#include <cmath>

#include "backend_test.h"
#include "ops/rms_norm/rms_norm.h"
#include "tolerance.h"

namespace mica {
namespace {

struct Result {
  std::vector<float> out, residual;
};

Result run(const BackendOptions& options, int64_t rows, int64_t size, bool with_residual,
           bool in_place) {
  TestBackend backend(options);
  const Shape shape{rows, size};
  RmsNormParams p;
  p.x = backend.put_activations(random_values(rows * size, 1), shape);
  if (with_residual) p.residual = backend.put_activations(random_values(rows * size, 2), shape);
  p.weight = backend.put(random_values(size, 3), {size});
  p.eps = 1e-5f;
  p.out = in_place ? p.x
                   : backend.put_activations(std::vector<float>(static_cast<size_t>(rows * size)),
                                             shape);
  backend.ops().rms_norm(*backend, p);
  return {backend.get(p.out), with_residual ? backend.get(p.residual) : std::vector<float>()};
}

TEST(RmsNorm, AgreesWithReference) {
  for (const BackendOptions& options : tested_backends())
    for (int64_t size : {1, 7, 8, 33, 128, 577, 4096})
      for (int64_t rows : {1, 3, 70})
        for (bool residual : {false, true})
          for (bool in_place : {false, true}) {
            SCOPED_TRACE(fmt::format("{} {} {} x {}", options.isa, options.threads, rows, size));
            const Result expected = run({.device = "ref"}, rows, size, residual, in_place);
            const Result found = run(options, rows, size, residual, in_place);
            expect_close(found.out, expected.out, DType::kF32);
            EXPECT_EQ(found.residual, expected.residual);
          }
}

TEST(RmsNorm, KnownValues) {
  TestBackend backend({.device = "ref"});
  const Tensor x = backend.put({3, 4}, {1, 2}), weight = backend.put({1, 2}, {2});
  backend.ops().rms_norm(*backend, {.x = x, .weight = weight, .eps = 0.5f, .out = x});
  const float scale = 1 / std::sqrt(13.0f);  // mean of squares 12.5
  expect_close(backend.get(x), {3 * scale, 8 * scale}, DType::kF32);
}

}  // namespace
}  // namespace mica
