// Table against table: runs an operation on `ref` and on every backend that this machine can test.
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ops/cpu/isa.h"

namespace mica {

// A backend with the tensors of one test.
class TestBackend {
 public:
  explicit TestBackend(const BackendOptions& options)
      : name(options.device + " " + options.isa + " " + std::to_string(options.threads)),
        backend_(make_backend(options)) {}
  // Any backend, and the checkpoint's dtype that activations follow.
  TestBackend(std::string name, std::unique_ptr<Backend> backend, DType checkpoint)
      : name(std::move(name)), backend_(std::move(backend)), checkpoint_(checkpoint) {}

  Backend& operator*() { return *backend_; }
  const Ops& ops() const { return backend_->ops(); }
  DType activation_dtype() const { return backend_->activation_dtype(checkpoint_); }

  // Uploads values; the memory lives as long as this object.
  Tensor put(const std::vector<float>& values, Shape shape, DType dtype) {
    MICA_CHECK(shape.elements() == static_cast<int64_t>(values.size()));
    std::vector<std::byte> bytes(values.size() * size_of(dtype));
    from_f32(values.data(), shape.elements(), dtype, bytes.data());
    return upload(bytes.data(), dtype, shape);
  }
  Tensor put(const std::vector<float>& values, Shape shape) {
    return put(values, shape, DType::kF32);
  }
  Tensor put_activations(const std::vector<float>& values, Shape shape) {
    return put(values, shape, activation_dtype());
  }
  Tensor put_ids(const std::vector<int32_t>& values, Shape shape) {
    MICA_CHECK(shape.elements() == static_cast<int64_t>(values.size()));
    return upload(values.data(), DType::kI32, shape);
  }
  Tensor put_bytes(const std::vector<std::byte>& bytes, Shape shape) {
    MICA_CHECK(shape.elements() == static_cast<int64_t>(bytes.size()));
    return upload(bytes.data(), DType::kU8, shape);
  }
  std::vector<std::byte> get_bytes(const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.bytes());
    backend_->synchronize();
    backend_->download(bytes.data(), tensor.data, bytes.size());
    return bytes;
  }
  std::vector<float> get(const Tensor& tensor) {
    const std::vector<std::byte> bytes = get_bytes(tensor);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    if (tensor.dtype == DType::kI32) {
      const auto* ints = reinterpret_cast<const int32_t*>(bytes.data());
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(ints[i]);
    } else {
      to_f32(bytes.data(), tensor.dtype, tensor.elements(), values.data());
    }
    return values;
  }

  const std::string name;

 private:
  Tensor upload(const void* data, DType dtype, Shape shape) {
    Tensor tensor{nullptr, dtype, shape};
    buffers_.push_back(backend_->allocate(std::max<size_t>(tensor.bytes(), 1)));
    tensor.data = buffers_.back().data();
    backend_->upload(tensor.data, data, tensor.bytes());
    return tensor;
  }

  std::unique_ptr<Backend> backend_;
  const DType checkpoint_ = DType::kBF16;
  std::vector<Buffer> buffers_;
};

// Options of all backends to compare with ref: every instruction set of this processor, on one
// thread and on three.
inline std::vector<BackendOptions> tested_backends() {
  std::vector<BackendOptions> result;
  for (Isa isa : kAllIsas) {
    if (isa > best_isa()) break;
    for (int threads : {1, 3})
      result.push_back({.device = "cpu", .threads = threads, .isa = name(isa)});
  }
  return result;
}

inline std::vector<float> random_values(int64_t count, uint32_t seed, float deviation = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

}  // namespace mica
