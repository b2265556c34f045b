// The `ref` backend: host memory, f32 activations, one thread, the oracle of all operations.
#pragma once

#include <memory>
#include <vector>

#include "ops/backend.h"

namespace mica {

std::unique_ptr<Backend> make_ref_backend();

namespace ref {

// A layer's weights, owned: dequantized to f32 while the backend's budget lasts, else a copy of the
// checkpoint's bytes that `row` dequantizes at each use.
class RefLinear : public PreparedLinear {
 public:
  RefLinear(const LinearWeights& weights, bool dequantize);

  // Row n of expert e as f32[K]: a pointer to the kept row, or to `scratch` filled with it.
  const float* row(int64_t expert, int64_t n, std::vector<float>& scratch) const;
  float bias(int64_t expert, int64_t n) const {
    return bias_.empty() ? 0.0f : bias_[static_cast<size_t>(expert * rows + n)];
  }

 private:
  std::vector<float> dense_;                                           // [E, N, K] or empty
  std::vector<float> bias_;                                            // [E, N] or empty
  std::vector<std::byte> weight_bytes_, scales_bytes_, biases_bytes_;  // what copy_ looks at
  LinearWeights copy_;
};

const RefLinear& as_ref(const PreparedLinear* weights);

}  // namespace ref
}  // namespace mica
