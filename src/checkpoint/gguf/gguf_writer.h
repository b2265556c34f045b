// Writes GGUF files of version 3, tensor by tensor.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/new_file.h"
#include "checkpoint/gguf/gguf.h"

namespace mica {

// Keys in the order in which they are written.
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

GgufValue gguf_u32(uint64_t value);
GgufValue gguf_f32(float value);
GgufValue gguf_bool(bool value);
GgufValue gguf_string(std::string value);
GgufValue gguf_strings(std::vector<std::string> values);
GgufValue gguf_f32s(const std::vector<float>& values);
GgufValue gguf_i32s(const std::vector<int32_t>& values);

// Bytes of a tensor; rows are whole blocks of the type.
size_t gguf_bytes(GgufType type, const Shape& shape);

// A file whose tensors are known by type and shape beforehand; nothing but the header is held in
// memory. The file appears under its name at `finish`; without it the temporary file is removed.
class GgufWriter {
 public:
  struct Item {
    std::string name;
    GgufType type = GgufType::kF32;
    Shape shape;  // outermost first
  };
  // Throws Error(kCheckpoint) when the file can't be written.
  GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
             const std::vector<Item>& items);

  // Bytes of a tensor from its byte `offset` on; any order, from any thread.
  void write(const std::string& name, std::span<const std::byte> data, size_t offset = 0);
  void finish() { file_.finish(); }
  size_t file_bytes() const { return file_bytes_; }

 private:
  NewFile file_;
  std::map<std::string, std::pair<size_t, size_t>> places_;  // name -> offset in the file, bytes
  size_t file_bytes_ = 0;
};

}  // namespace mica
