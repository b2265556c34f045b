#include <gtest/gtest.h>

#include <cmath>

#include "backend_test.h"
#include "tolerance.h"

namespace mica {
namespace {

TEST(Elementwise, Add) {
  for (const BackendOptions& options : tested_backends())
    for (int64_t count : {1, 13, 70001}) {
      TestBackend backend(options), ref({.device = "ref"});
      const auto run = [&](TestBackend& on) {
        const Tensor x = on.put_activations(random_values(count, 1), {1, count});
        on.ops().add(*on, x, on.put_activations(random_values(count, 2), {1, count}));
        return on.get(x);
      };
      EXPECT_EQ(run(backend), run(ref));
    }
}

TEST(Elementwise, GatherRows) {
  for (const BackendOptions& options : tested_backends()) {
    TestBackend backend(options);
    const Tensor x = backend.put_activations({1, 2, 3, 4, 5, 6}, {3, 2});
    const Tensor out = backend.put_activations({0, 0, 0, 0}, {2, 2});
    backend.ops().gather_rows(*backend, x, backend.put_ids(std::vector<int32_t>{0, 2}, {2}), out);
    EXPECT_EQ(backend.get(out), (std::vector<float>{1, 2, 5, 6}));
    const Tensor none = backend.put_activations({}, {0, 2});
    backend.ops().gather_rows(*backend, x, backend.put_ids(std::vector<int32_t>{}, {0}), none);
  }
}

TEST(Elementwise, Softcap) {
  for (const BackendOptions& options : tested_backends())
    for (int64_t count : {1, 19, 70001}) {
      SCOPED_TRACE(options.isa);
      TestBackend backend(options), ref({.device = "ref"});
      std::vector<float> values = random_values(count, 1, 20);
      values[0] = -1e30f;
      const auto run = [&](TestBackend& on) {
        const Tensor x = on.put(values, {1, count});
        on.ops().softcap(*on, x, 30);
        return on.get(x);
      };
      // Small values keep their relative precision.
      expect_close(run(backend), run(ref), DType::kF32, 0.01);
    }
}

TEST(Elementwise, SoftcapKeepsNan) {
  for (const BackendOptions& options : tested_backends()) {
    TestBackend backend(options);
    const Tensor x = backend.put({std::nanf(""), 1}, {1, 2});
    backend.ops().softcap(*backend, x, 30);
    EXPECT_TRUE(std::isnan(backend.get(x)[0]));
  }
}

}  // namespace
}  // namespace mica
