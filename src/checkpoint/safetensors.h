// The safetensors format: a reader over a mapped file, a writer that streams.
//
// Layout: u64 little-endian length of the header, the header as JSON
//   {"__metadata__": {"k": "v"}, "name": {"dtype": "BF16", "shape": [..], "data_offsets": [a, b]}}
// then the data; offsets count from its first byte.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/new_file.h"
#include "tensor/tensor.h"

namespace mica {

// One tensor of a header. F8 types read as u8 (so does mlx), U64 as i64.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  size_t offset = 0;  // from the start of the data
  size_t bytes = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // sorted by name
  std::map<std::string, std::string> metadata;
  size_t data_begin = 0;  // of the file
};

// Checks a whole header against the size of its file: names are unique, sizes match shape and
// dtype, ranges lie in the file and don't overlap. `place` (the file's name) begins every message.
// `file` holds at least the 8 bytes of the length and the header. Throws Error(kCheckpoint).
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, size_t file_bytes,
                                           const std::string& place);

// A checkpoint file, mapped. Move-only; views are valid while it lives.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  const SafetensorsEntry* find(std::string_view name) const;  // nullptr when absent

  // A read-only view of an entry's bytes in the mapping; it may be unaligned for its dtype.
  Tensor view(const SafetensorsEntry& entry) const;
  // These bytes won't be needed again; false when they don't lie in this file.
  bool release(const void* data, size_t bytes) const;
  // Starts to read the entry and `ahead` bytes behind it into the page cache.
  void prefetch(const SafetensorsEntry& entry, size_t ahead = 0) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

// Writes a file whose tensors are known by dtype and shape beforehand, one after the other. The
// data lie in descending order of element size, so that every tensor is aligned. The file appears
// under its name at `finish`; without it the temporary file is removed.
class SafetensorsWriter {
 public:
  struct Item {
    std::string name;
    DType dtype;
    Shape shape;
  };
  SafetensorsWriter(const std::filesystem::path& path, std::vector<Item> items,
                    const std::map<std::string, std::string>& metadata = {{"format", "mlx"}});

  // All bytes of an item; any order, from any thread.
  void write(const std::string& name, const void* data);
  void finish() { file_.finish(); }

 private:
  NewFile file_;
  std::map<std::string, std::pair<size_t, size_t>> places_;  // name -> offset in the file, bytes
};

struct NamedTensor {
  std::string name;
  Tensor tensor;  // host memory
};

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "mlx"}});

// "BF16", "U32", …: a dtype as headers spell it.
const char* safetensors_name(DType dtype);

}  // namespace mica
