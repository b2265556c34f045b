// GGUF files for the tests of this folder.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/test_files.h"

namespace mica {

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::string pattern_bytes(size_t count) {
  std::string text(count, '\0');
  for (size_t i = 0; i < count; ++i) text[i] = static_cast<char>(i * 37 + 1);
  return text;
}

// Writes a file whose tensors are zeros; returns its bytes.
inline std::string write_gguf(const std::filesystem::path& path, const GgufMetadata& keys,
                              const std::vector<GgufWriter::Item>& items) {
  GgufWriter writer(path, keys, items);
  writer.finish();
  return read_text_file(path);
}

inline GgufHeader header_of(const std::string& bytes) {
  return parse_gguf_header(bytes_of(bytes), bytes.size(), "f.gguf");
}

}  // namespace mica
