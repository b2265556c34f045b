// Shape, Tensor (a view that never owns) and Buffer (an owner of memory).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>

#include "base/error.h"
#include "tensor/dtype.h"

namespace mica {

// Up to 5 dimensions, row-major, outermost first.
class Shape {
 public:
  static constexpr int kMaxRank = 5;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    MICA_CHECK(dims.size() <= kMaxRank);
    for (int64_t d : dims) dims_[static_cast<size_t>(rank_++)] = d;
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  void push_back(int64_t dim) {
    MICA_CHECK(rank_ < kMaxRank);
    dims_[static_cast<size_t>(rank_++)] = dim;
  }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<size_t>(i)];
    return n;
  }
  bool operator==(const Shape& other) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "(32, 128)"

// A dense row-major view. `data` lies in the memory of the backend that the tensor is used with.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  bool empty() const { return data == nullptr; }
  int64_t elements() const { return shape.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  // Rows [begin, end) of the outermost dimension.
  Tensor rows(int64_t begin, int64_t end) const;
  // The same elements under another shape.
  Tensor view(Shape other) const;
};

// An owner of memory of some backend; movable, frees through the function it was made with.
class Buffer {
 public:
  Buffer() = default;
  Buffer(void* data, size_t size, std::function<void(void*, size_t)> release)
      : data_(data), size_(size), release_(std::move(release)) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }
  void reset() {
    if (data_) release_(data_, size_);
    data_ = nullptr;
    size_ = 0;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(release_, other.release_);
  }
  void* data_ = nullptr;
  size_t size_ = 0;
  std::function<void(void*, size_t)> release_;
};

// Host memory, 64-byte aligned (2 MiB aligned and advised as huge pages from 1 MiB on), zeroed by
// the system on first touch. Throws Error(kOutOfMemory).
Buffer allocate_host(size_t bytes);

// Converts `count` elements of any float dtype to f32 and back (round to nearest even).
void to_f32(const void* source, DType dtype, int64_t count, float* out);
void from_f32(const float* source, int64_t count, DType dtype, void* out);

}  // namespace mica
