#include "base/disk_space.h"

#include "base/error.h"

namespace mica {

void check_disk_space(const std::filesystem::path& folder, size_t bytes, const std::string& place) {
  std::error_code failed;
  const std::filesystem::space_info space = std::filesystem::space(folder, failed);
  if (!failed && space.available < bytes)
    throw Error(ErrorKind::kUsage, "{}: expected {:.1f} GB of free space, found {:.1f}", place,
                static_cast<double>(bytes) / 1e9, static_cast<double>(space.available) / 1e9);
}

}  // namespace mica
