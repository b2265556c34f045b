#include <gtest/gtest.h>

#include <cmath>

#include "backend_test.h"
#include "ops/layer_norm/layer_norm.h"
#include "tolerance.h"

namespace mica {
namespace {

std::vector<float> run(const BackendOptions& options, int64_t rows, int64_t size, bool in_place,
                       bool with_bias) {
  TestBackend backend(options);
  const Shape shape{rows, size};
  LayerNormParams p;
  p.x = backend.put_activations(random_values(rows * size, 1), shape);
  p.weight = backend.put(random_values(size, 3), {size});
  if (with_bias) p.bias = backend.put(random_values(size, 4), {size});
  p.eps = 1e-5f;
  p.out = in_place ? p.x
                   : backend.put_activations(std::vector<float>(static_cast<size_t>(rows * size)),
                                             shape);
  backend.ops().layer_norm(*backend, p);
  return backend.get(p.out);
}

TEST(LayerNorm, AgreesWithReference) {
  for (const BackendOptions& options : tested_backends())
    for (int64_t size : {1, 7, 8, 33, 128, 577, 4096})
      for (int64_t rows : {1, 3, 70})
        for (bool in_place : {false, true})
          for (bool bias : {false, true}) {
            SCOPED_TRACE(fmt::format("{} {} {} x {}", options.isa, options.threads, rows, size));
            expect_close(run(options, rows, size, in_place, bias),
                         run({.device = "ref"}, rows, size, in_place, bias), DType::kF32);
          }
}

TEST(LayerNorm, KnownValues) {
  TestBackend backend({.device = "ref"});
  const Tensor x = backend.put({4, 8}, {1, 2});
  const Tensor weight = backend.put({1, 2}, {2}), bias = backend.put({0.5f, -1}, {2});
  backend.ops().layer_norm(*backend,
                           {.x = x, .weight = weight, .bias = bias, .eps = 0.5f, .out = x});
  const float scale = 1 / std::sqrt(4.5f);  // of 4 and 8: mean 6, variance 4
  expect_close(backend.get(x), {-2 * scale + 0.5f, 4 * scale - 1}, DType::kF32);
}

}  // namespace
}  // namespace mica
