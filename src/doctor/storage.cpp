#include "doctor/storage.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "checkpoint/hub/usage.h"

namespace mica::doctor {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Emit = ChildProcess::Emit;

constexpr double kLimitSeconds = 2.5;
constexpr double kReadSeconds = 0.6;
constexpr uint64_t kSmallestRead = uint64_t{16} << 20;
constexpr size_t kReadBytes = size_t{1} << 30, kBlock = size_t{4} << 20;

fs::path nearest_existing(fs::path folder) {
  std::error_code ignored;
  while (!fs::exists(folder, ignored) && folder.has_relative_path()) folder = folder.parent_path();
  return folder.empty() ? "." : folder;
}

// Spaces and the like stand as \040 in mountinfo.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The type of the file system that `folder` is on: the mount with the longest path above it; of
// several on one path the last.
std::string file_system_type(const fs::path& folder) {
  std::error_code failed;
  const std::string path = fs::canonical(folder, failed).string() + "/";
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line, type;
  size_t longest = 0;
  while (std::getline(mounts, line)) {
    std::istringstream words(line);
    std::string skipped, mount, word;
    words >> skipped >> skipped >> skipped >> skipped >> mount;
    while (words >> word && word != "-") {
    }
    words >> word;
    mount = unescaped(mount);
    if (!mount.ends_with('/')) mount += '/';
    if (!path.starts_with(mount) || mount.size() < longest) continue;
    longest = mount.size();
    type = word;
  }
  return type;
}

// Bytes a second of a sequential read past the page cache; 0 where the file system has no such.
double read_rate(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) return 0;
  const std::unique_ptr<void, decltype(&std::free)> block(std::aligned_alloc(4096, kBlock),
                                                          std::free);
  const auto start = Clock::now();
  double seconds = 0;
  size_t bytes = 0;
  while (bytes < kReadBytes && seconds < kReadSeconds) {
    const ssize_t got = ::read(fd, block.get(), kBlock);
    if (got <= 0) break;
    bytes += static_cast<size_t>(got);
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  ::close(fd);
  return bytes < kSmallestRead && seconds < kReadSeconds ? 0 : static_cast<double>(bytes) / seconds;
}

void ask_storage(const fs::path& cache, const Emit& emit) {
  std::error_code ignored;
  const fs::path folder = nearest_existing(cache);
  emit(fmt::format("folder\t{}\n", folder.string()));
  emit(fmt::format("cache\t{} {}\n", int{fs::is_directory(cache, ignored)},
                   int{::access(folder.c_str(), W_OK) == 0}));
  emit(fmt::format("type\t{}\n", file_system_type(folder)));
  struct statvfs space {};
  if (::statvfs(folder.c_str(), &space) == 0)
    emit(fmt::format("space\t{} {}\n", uint64_t{space.f_blocks} * space.f_frsize,
                     uint64_t{space.f_bavail} * space.f_frsize));
  hub::CachedModel largest;
  for (const hub::CachedModel& model : hub::cache_usage(cache)) {
    emit(fmt::format("model\t{} {} {} {}\n", model.repo, model.bytes, model.unfinished,
                     model.unfinished_bytes));
    if (model.largest_bytes > largest.largest_bytes) largest = model;
  }
  if (largest.largest_bytes >= kSmallestRead)
    emit(fmt::format("rate\t{:.0f}\n", read_rate(largest.largest)));
}

}  // namespace

ChildProcess start_storage(const fs::path& cache) {
  return ChildProcess::function([&](const Emit& emit) { ask_storage(cache, emit); }, kLimitSeconds);
}

void read_storage(ProcessResult result, const fs::path& cache, MachineFacts& facts) {
  DiskFacts& disk = facts.disk;
  facts.cache.folder = disk.folder = cache;
  disk.hung = result.timed_out;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const std::string kind = line.substr(0, tab), value = line.substr(tab + 1);
    std::istringstream words(value);
    if (kind == "folder") disk.folder = value;
    if (kind == "cache") words >> facts.cache.exists >> facts.cache.writable;
    if (kind == "type") disk.type = value;
    if (kind == "space") words >> disk.total >> disk.free;
    if (kind == "rate") words >> disk.bytes_per_second;
    if (kind != "model") continue;
    hub::CachedModel& model = facts.cache.models.emplace_back();
    words >> model.repo >> model.bytes >> model.unfinished >> model.unfinished_bytes;
  }
}

}  // namespace mica::doctor
