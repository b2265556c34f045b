// Whole files, memory-mapped files and paths. Errors are ErrorKind::kCheckpoint with the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mica {

// A read-only mapping of a file. Move-only; unmapped at destruction.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);  // throws Error
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Tells the kernel that [offset, offset + size) is not needed any more, so that resident memory
  // falls; the range stays readable (it is read again from the file).
  void release(size_t offset, size_t size) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file as text; throws when it is missing or larger than `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

// Writes `text` to a temporary file beside `path` and renames it: readers see the old or the new.
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace mica
