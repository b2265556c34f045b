// What lies in the cache folder, for reports.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mica::hub {

struct CachedModel {
  std::string repo;    // "org/name"
  uint64_t bytes = 0;  // of its files, unfinished ones included
  int unfinished = 0;  // downloads that were interrupted, or run just now
  uint64_t unfinished_bytes = 0;
  std::filesystem::path largest;  // finished file
  uint64_t largest_bytes = 0;
};

// Every repository's folder, also one without a snapshot, sorted by name. Unreadable ones count as
// empty.
std::vector<CachedModel> cache_usage(const std::filesystem::path& root);

}  // namespace mica::hub
