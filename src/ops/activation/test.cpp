#include <gtest/gtest.h>

#include "backend_test.h"
#include "ops/activation/activation.h"
#include "tolerance.h"

namespace mica {
namespace {

std::vector<float> run(const BackendOptions& options, Activation kind,
                       const std::vector<float>& gate, bool in_place, bool with_up = true) {
  TestBackend backend(options);
  const auto count = static_cast<int64_t>(gate.size());
  ActivationParams p{.kind = kind};
  p.gate = backend.put_activations(gate, {1, count});
  if (with_up) p.up = backend.put_activations(random_values(count, 2), {1, count});
  p.out = in_place ? p.gate : backend.put_activations(std::vector<float>(gate.size()), {1, count});
  backend.ops().activation(*backend, p);
  return backend.get(p.out);
}

TEST(Activation, AgreesWithReference) {
  std::vector<float> gate = random_values(20001, 1, 4);
  for (float special : {0.0f, -0.0f, 30.0f, -30.0f, 100.0f, -100.0f, 3e38f, -3e38f, 1e-30f})
    gate.push_back(special);
  for (const BackendOptions& options : tested_backends())
    for (Activation kind : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh})
      for (size_t count : {size_t{1}, size_t{9}, size_t{31}, gate.size()}) {
        SCOPED_TRACE(fmt::format("{} {} kind {} of {}", options.isa, options.threads,
                                 static_cast<int>(kind), count));
        const std::vector<float> some(gate.end() - static_cast<std::ptrdiff_t>(count), gate.end());
        expect_close(run(options, kind, some, count == 31),
                     run({.device = "ref"}, kind, some, false), DType::kF32);
        expect_close(run(options, kind, some, count == 31, /*with_up=*/false),
                     run({.device = "ref"}, kind, some, false, /*with_up=*/false), DType::kF32);
      }
}

TEST(Activation, KnownValues) {
  const auto value = [](Activation kind, float x, float factor) {
    TestBackend backend({.device = "ref"});
    const Tensor gate = backend.put({x}, {1, 1});
    const Tensor up = factor == 1 ? Tensor{} : backend.put({factor}, {1, 1});
    backend.ops().activation(*backend, {.kind = kind, .gate = gate, .up = up, .out = gate});
    return backend.get(gate)[0];
  };
  EXPECT_FLOAT_EQ(value(Activation::kSilu, 1, 2), 2 * 0.73105858f);
  EXPECT_FLOAT_EQ(value(Activation::kGelu, -1, 1), -0.15865525f);
  EXPECT_FLOAT_EQ(value(Activation::kGeluTanh, -1, 1), -0.15880801f);
}

}  // namespace
}  // namespace mica
