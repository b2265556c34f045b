#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

using simt::put_shifted;
using Run = std::function<std::vector<float>(TestBackend&)>;

// The result on the emulator, the same under every schedule.
std::vector<float> on_simt(DType dtype, const Run& run) {
  simt::SimtTestBackend backend(dtype);
  const std::vector<float> first = run(backend);
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend other(dtype, schedule);
    EXPECT_TRUE(simt::same_bits(run(other), first));
  }
  return first;
}

TEST(SimtElementwise, Add) {
  for (DType dtype : kFloats)
    for (int64_t count : {0, 1, 13, 2048, 5003})
      for (int64_t shift : {0, 1}) {
        SCOPED_TRACE(fmt::format("{} {} shift {}", name(dtype), count, shift));
        const auto x = simt::rounded(random_values(count, 1), dtype);
        const auto y = simt::rounded(random_values(count, 2), dtype);
        std::vector<float> sum = x;
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += y[i];
        const auto found = on_simt(dtype, [&](TestBackend& on) {
          const Tensor to = put_shifted(on, x, {1, count}, dtype, shift);
          on.ops().add(*on, to, on.put(y, {1, count}, dtype));
          return on.get(to);
        });
        EXPECT_EQ(found, simt::rounded(sum, dtype));
      }
}

TEST(SimtElementwise, GatherRows) {
  const std::vector<int32_t> rows = {4, 0, 2, 4};
  for (DType dtype : kFloats)
    for (int64_t size : {1, 7, 8, 577, 5000})
      for (size_t count : {size_t{0}, size_t{1}, rows.size()})
        for (int64_t shift : {0, 1}) {
          SCOPED_TRACE(fmt::format("{} {} of {} shift {}", name(dtype), count, size, shift));
          const auto x = simt::rounded(random_values(5 * size, 1), dtype);
          const std::vector<int32_t> wanted(rows.begin(),
                                            rows.begin() + static_cast<std::ptrdiff_t>(count));
          const auto n = static_cast<int64_t>(count);
          std::vector<float> expected;
          for (int32_t row : wanted)
            expected.insert(expected.end(), x.begin() + row * size, x.begin() + (row + 1) * size);
          const auto found = on_simt(dtype, [&](TestBackend& on) {
            const Tensor out =
                on.put(std::vector<float>(count * static_cast<size_t>(size), 7), {n, size}, dtype);
            on.ops().gather_rows(*on, put_shifted(on, x, {5, size}, dtype, shift),
                                 on.put_ids(wanted, {n}), out);
            return on.get(out);
          });
          EXPECT_EQ(found, expected);
        }
}

TEST(SimtElementwise, Softcap) {
  for (DType dtype : kFloats)
    for (int64_t count : {0, 1, 19, 5003})
      for (int64_t shift : {0, 1}) {
        SCOPED_TRACE(fmt::format("{} {} shift {}", name(dtype), count, shift));
        std::vector<float> values = random_values(count, 1, 20);
        if (count > 2) {
          values[0] = -1e30f;
          values[1] = 1e-5f;
        }
        values = simt::rounded(values, dtype);
        const auto run = [&](TestBackend& on, DType held) {
          const Tensor x = put_shifted(on, values, {1, count}, held, shift);
          on.ops().softcap(*on, x, 30);
          return on.get(x);
        };
        TestBackend ref({.device = "ref"});
        // Small values keep their relative precision.
        expect_close(on_simt(dtype, [&](TestBackend& on) { return run(on, dtype); }),
                     run(ref, DType::kF32), dtype, dtype == DType::kF16 ? 1e-3 : 1e-5);
      }
}

TEST(SimtElementwise, SoftcapKeepsNan) {
  for (DType dtype : kFloats) {
    const auto found = on_simt(dtype, [&](TestBackend& on) {
      const Tensor x = on.put({std::nanf(""), 1}, {1, 2}, dtype);
      on.ops().softcap(*on, x, 30);
      return on.get(x);
    });
    EXPECT_TRUE(std::isnan(found[0]));
    EXPECT_FALSE(std::isnan(found[1]));
  }
}

}  // namespace
}  // namespace mica
