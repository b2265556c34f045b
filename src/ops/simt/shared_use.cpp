#include "ops/simt/shared_use.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <mutex>

namespace mica::simt {
namespace {

class SharedUse {
 public:
  ~SharedUse() {
    const char* path = std::getenv("MICA_SIMT_SHARED");
    if (!path) return;
    std::ofstream out(path, std::ios::app);
    for (const auto& [kernel, bytes] : most_) out << kernel << ' ' << bytes << '\n';
  }
  void note(const char* kernel, size_t bytes) {
    const std::lock_guard lock(mutex_);
    size_t& most = most_[kernel];
    most = std::max(most, bytes);
  }
  std::map<std::string, size_t> most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, size_t> most_;
};

SharedUse& use() {
  static SharedUse use;
  return use;
}

}  // namespace

std::map<std::string, size_t> largest_shared_use() {
  return use().most();
}

void note_shared_use(const char* kernel, size_t bytes) {
  use().note(kernel, bytes);
}

}  // namespace mica::simt
