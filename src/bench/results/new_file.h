// Files that replace nothing.
#pragma once

#include <filesystem>
#include <string_view>

namespace mica {

// Writes a file that appears whole and on the disk, or not at all. False when there is one of that
// name; throws Error(kMeasurement) when it can't be written.
bool write_new_file(const std::filesystem::path& path, std::string_view text);

// Gives `from` the name `to` unless that is taken: false.
bool rename_new(const std::filesystem::path& from, const std::filesystem::path& to);

// All of `bytes` at the end of an open file; false with errno set.
bool append_bytes(int fd, std::string_view bytes);

}  // namespace mica
