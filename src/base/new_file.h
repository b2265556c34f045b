#pragma once

#include <cstddef>
#include <filesystem>

namespace mica {

// A file that appears under its name, whole, at `finish`; until then it is a temporary one beside
// it, which the destructor removes.
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path);  // throws Error
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Any order, from any thread; what nothing was written to reads as zeros.
  void write(const void* data, size_t bytes, size_t offset);
  void resize(size_t bytes);
  void finish();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

}  // namespace mica
