// The headers of GGUF files, versions 2 and 3, little-endian: metadata and tensor infos.
//
// Layout: "GGUF", u32 version, u64 tensors, u64 keys; each key: string, u32 type, value; each
// tensor: string, u32 rank, u64 dimensions (innermost first), u32 type, u64 offset; zeros up to the
// alignment; then the data, from whose first byte offsets count. A string is a u64 length and
// bytes. Source: ggml/src/gguf.cpp and docs of the format; the widths and limits there hold here
// too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "checkpoint/gguf/gguf_types.h"
#include "tensor/tensor.h"

namespace mica {

enum class GgufValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
const char* name(GgufValueType type);  // "u32", "string", …

// One value of the metadata: a scalar is a list of one item. `items` holds the widest type of its
// kind: unsigned (and bool), signed, float, string; arrays of arrays are lists of values.
struct GgufValue {
  using Items = std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string>, std::vector<GgufValue>>;
  GgufValueType type = GgufValueType::kU32;  // of each item
  bool is_array = false;
  Items items;

  size_t size() const;
};

// One tensor: shape outermost first, as everywhere in Mica (the file has it the other way round).
struct GgufTensor {
  std::string name;
  GgufType type = GgufType::kF32;
  Shape shape;
  size_t offset = 0;  // from the start of the data
  size_t bytes = 0;

  int64_t elements() const { return shape.elements(); }
};

struct GgufHeader {
  uint32_t version = 3;
  size_t alignment = 32;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;  // in the file's order
  size_t data_begin = 0;            // of the file

  const GgufValue* find(std::string_view key) const;  // nullptr when absent
  // A scalar, or nullopt when it is absent or of another kind (negative for `unsigned_integer`).
  std::optional<uint64_t> unsigned_integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // of any numeric type
  std::optional<std::string> string(std::string_view key) const;
  // An array of non-negative integers, or a scalar as an array of one; else empty.
  // (`llama.attention.head_count_kv` is either.)
  std::vector<uint64_t> unsigned_integers(std::string_view key) const;
};

// Checks a whole header against the size of its file: types are known, sizes match, names are
// unique, ranges lie in the file, are aligned and don't overlap. `place` (the file's name) begins
// every message. `file` holds at least the header. Throws Error(kCheckpoint).
GgufHeader parse_gguf_header(std::span<const std::byte> file, size_t file_bytes,
                             const std::string& place);

// Whether the bytes begin as a GGUF file does.
bool is_gguf(std::span<const std::byte> file);

// A file, mapped. Move-only; views are valid while it lives.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const GgufHeader& header() const { return header_; }
  size_t file_bytes() const { return file_.bytes().size(); }
  std::span<const std::byte> data(const GgufTensor& tensor) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  GgufHeader header_;
};

// A model in one file, or in parts NAME-00001-of-000NN.gguf of which any one may be given; the
// first part's metadata are the model's. Throws Error(kCheckpoint): a missing part is named, and
// so are parts whose split.* keys don't belong together.
class GgufModel {
 public:
  explicit GgufModel(const std::filesystem::path& path);

  struct Found {
    const GgufFile* file = nullptr;
    const GgufTensor* tensor = nullptr;
  };
  const std::vector<GgufFile>& files() const { return files_; }
  const GgufHeader& metadata() const { return files_.front().header(); }
  std::optional<Found> find(std::string_view name) const;
  size_t file_bytes() const;

 private:
  void add_part(size_t part, size_t parts);
  std::vector<GgufFile> files_;
  std::map<std::string_view, Found> tensors_;
};

// The paths of all parts of the model that `path` is a part of, in order; {path} when its name is
// not that of a part. Looks at names alone.
std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path);

}  // namespace mica
