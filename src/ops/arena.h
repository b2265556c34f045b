// Activation memory of a step: taken in order, given back all at once.
#pragma once

#include "ops/backend.h"

namespace mica {

// The same sequence of `take` calls yields the same addresses, which CUDA graphs rely on.
class Arena {
 public:
  Arena(Backend& backend, size_t bytes) : buffer_(backend.allocate(bytes)) {}

  // Memory of undefined content, 256-byte aligned. Running out is a fault of the size estimate.
  Tensor take(DType dtype, Shape shape) {
    Tensor tensor{nullptr, dtype, shape};
    const size_t bytes = (tensor.bytes() + 255) / 256 * 256;
    MICA_CHECK_MSG(used_ + bytes <= buffer_.size(), "arena of {} bytes: {} more wanted after {}",
                   buffer_.size(), bytes, used_);
    tensor.data = static_cast<std::byte*>(buffer_.data()) + used_;
    used_ += bytes;
    high_water_ = used_ > high_water_ ? used_ : high_water_;
    return tensor;
  }
  // Scopes: remember the mark, take, go back.
  size_t mark() const { return used_; }
  void reset(size_t mark = 0) { used_ = mark; }
  size_t high_water() const { return high_water_; }
  size_t size() const { return buffer_.size(); }

 private:
  Buffer buffer_;
  size_t used_ = 0;
  size_t high_water_ = 0;
};

}  // namespace mica
