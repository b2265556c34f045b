// The `simt` backend in tests of operations: any activation dtype, any schedule. Where
// $MICA_TEST_DEVICE names a GPU it is that one's `cuda` backend, and the schedule means nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "backend_test.h"
#include "ops/simt/schedules.h"
#include "ops/simt/simt_backend.h"

namespace mica::simt {

class SimtTestBackend : public TestBackend {
 public:
  explicit SimtTestBackend(DType activations, const Schedule& schedule = {},
                           const BackendOptions& options = {.device = "simt"})
      : TestBackend((tests_a_gpu() ? "cuda " : "simt ") + std::string(mica::name(activations)),
                    make(options, schedule), activations) {}

 private:
  static std::unique_ptr<Backend> make(BackendOptions options, const Schedule& schedule) {
    if (!tests_a_gpu()) return simt::make_backend(options, {.schedule = schedule});
    options.device = asked_test_device();
    return mica::make_backend(options);
  }
};

// What a tensor of the dtype holds of the values: give these to `ref` too.
inline std::vector<float> rounded(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  from_f32(values.data(), static_cast<int64_t>(values.size()), dtype, bytes.data());
  std::vector<float> result(values.size());
  to_f32(bytes.data(), dtype, static_cast<int64_t>(values.size()), result.data());
  return result;
}

// NaN equals itself here.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
  });
}

// A tensor that lies `shift` elements off 16 bytes.
inline Tensor put_shifted(TestBackend& backend, std::vector<float> values, Shape shape, DType dtype,
                          int64_t shift) {
  values.insert(values.begin(), static_cast<size_t>(shift), 0.0f);
  const Tensor all = backend.put(values, {static_cast<int64_t>(values.size())}, dtype);
  return {all.as<std::byte>() + static_cast<size_t>(shift) * size_of(dtype), dtype, shape};
}

}  // namespace mica::simt
