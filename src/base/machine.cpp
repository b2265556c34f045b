#include "base/machine.h"

#include <sys/utsname.h>

#include <fstream>

namespace mica {
namespace {

namespace fs = std::filesystem;

// A number in a small file; 0 for "max", the text of no limit, and where there is none.
uint64_t read_number(const fs::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : 0;
}

// "MemTotal:  16314228 kB" in bytes.
uint64_t meminfo(const fs::path& root, const std::string& key) {
  std::ifstream file(root / "proc/meminfo");
  std::string word;
  uint64_t kilobytes = 0;
  while (file >> word)
    if (word == key + ":" && file >> kilobytes) return kilobytes << 10;
  return 0;
}

}  // namespace

std::string processor_name(const fs::path& root) {
  std::ifstream file(root / "proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos || colon + 2 >= line.size()) break;
    return line.substr(colon + 2);
  }
  return "CPU";
}

MemoryFacts read_memory(const fs::path& root) {
  MemoryFacts memory;
  memory.total = meminfo(root, "MemTotal");
  memory.available = meminfo(root, "MemAvailable");
  const fs::path v2 = root / "sys/fs/cgroup", v1 = v2 / "memory";
  memory.limit = read_number(v2 / "memory.max");
  memory.used_of_limit = read_number(v2 / "memory.current");
  if (memory.limit == 0) {
    memory.limit = read_number(v1 / "memory.limit_in_bytes");
    memory.used_of_limit = read_number(v1 / "memory.usage_in_bytes");
  }
  // Version 1 writes a number beyond every memory where there is no limit.
  if (memory.limit >= memory.total) memory.limit = memory.used_of_limit = 0;
  return memory;
}

std::string kernel_release() {
  utsname kernel{};
  return ::uname(&kernel) == 0 ? kernel.release : "";
}

}  // namespace mica
