#include "checkpoint/hub/usage.h"

#include <algorithm>

#include "checkpoint/hub/cache.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnfinished = ".incomplete";

// Calls `visit(path, bytes)` for every regular file below; links are not followed.
template <typename Visit>
void for_each_file(const fs::path& folder, const Visit& visit) {
  std::error_code failed;
  constexpr auto kOptions = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(folder, kOptions, failed), end; !failed && it != end;
       it.increment(failed)) {
    std::error_code unreadable;
    if (it->is_symlink(unreadable) || !it->is_regular_file(unreadable)) continue;
    const uintmax_t bytes = it->file_size(unreadable);
    if (!unreadable) visit(it->path(), static_cast<uint64_t>(bytes));
  }
}

}  // namespace

std::vector<CachedModel> cache_usage(const fs::path& root) {
  std::vector<CachedModel> models;
  std::error_code failed;
  for (fs::directory_iterator it(root, failed), end; !failed && it != end; it.increment(failed)) {
    CachedModel model;
    model.repo = repo_of(it->path());
    if (model.repo.empty()) continue;
    for_each_file(it->path(), [&](const fs::path& path, uint64_t bytes) {
      model.bytes += bytes;
      if (path.native().ends_with(kUnfinished)) {
        ++model.unfinished;
        model.unfinished_bytes += bytes;
      } else if (bytes > model.largest_bytes) {
        model.largest = path;
        model.largest_bytes = bytes;
      }
    });
    models.push_back(std::move(model));
  }
  std::sort(models.begin(), models.end(),
            [](const CachedModel& a, const CachedModel& b) { return a.repo < b.repo; });
  return models;
}

}  // namespace mica::hub
