#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace mica {

// Throws Error(kUsage), which begins with `place`, when the disk of an existing folder has less
// than `bytes` free; a disk that doesn't say counts as large enough.
void check_disk_space(const std::filesystem::path& folder, size_t bytes, const std::string& place);

}  // namespace mica
