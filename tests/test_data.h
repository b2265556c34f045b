// Where tests find their files: $MICA_DATA_DIR in a relocated package, else the source tree.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace mica {

inline std::filesystem::path source_path(const std::filesystem::path& relative) {
  const char* moved = std::getenv("MICA_DATA_DIR");
  return std::filesystem::path(moved ? moved : MICA_SOURCE_DIR) / relative;
}

}  // namespace mica
