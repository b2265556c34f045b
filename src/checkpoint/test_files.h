// Small checkpoints for the tests of this folder.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "temp_folder.h"

namespace mica {

// The message of the checkpoint error that `action` throws; "" when it throws none.
inline std::string error_message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kCheckpoint ? error.what()
                                                  : std::string("wrong kind: ") + error.what();
  }
  return "";
}

// Tensors with their memory: element i of a float tensor is start + i, of an integer tensor too.
class TensorSet {
 public:
  void add(const std::string& name, DType dtype, Shape shape, float start = 0) {
    Buffer buffer = allocate_host(static_cast<size_t>(shape.elements()) * size_of(dtype));
    const Tensor tensor{buffer.data(), dtype, shape};
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const float value = start + static_cast<float>(i);
      if (is_float(dtype))
        from_f32(&value, 1, dtype, static_cast<char*>(tensor.data) + size_t(i) * size_of(dtype));
      else if (dtype == DType::kU32)
        tensor.as<uint32_t>()[i] = static_cast<uint32_t>(value);
      else if (dtype == DType::kU8)
        tensor.as<uint8_t>()[i] = static_cast<uint8_t>(value);
    }
    buffers_.push_back(std::move(buffer));
    tensors_.push_back({name, tensor});
  }
  // weight, scales, biases of an affine layer.
  void add_affine(const std::string& path, int64_t rows, int64_t columns, int bits, int group,
                  float start = 0) {
    add(path + ".weight", DType::kU32, {rows, columns * bits / 32}, start);
    add(path + ".scales", DType::kBF16, {rows, columns / group}, start);
    add(path + ".biases", DType::kBF16, {rows, columns / group}, start);
  }
  void write(const std::filesystem::path& path) {
    write_safetensors(path, tensors_);
    tensors_.clear();
  }

 private:
  std::vector<Buffer> buffers_;
  std::vector<NamedTensor> tensors_;
};

}  // namespace mica
