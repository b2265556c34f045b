// Processor, memory and limits, from files.
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <fstream>
#include <thread>

#include "doctor/facts.h"
#include "ops/cpu/isa.h"

namespace mica::doctor {
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

CpuFacts read_cpu() {
  CpuFacts cpu;
  cpu.name = processor_name();
  cpu.isa = name(choose_isa(""));
  cpu.threads = default_threads();
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const bool known = ::sched_getaffinity(0, sizeof mask, &mask) == 0;
  cpu.cpus = known ? CPU_COUNT(&mask) : static_cast<int>(std::thread::hardware_concurrency());
  return cpu;
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

LimitFacts read_limits(const fs::path& root) {
  LimitFacts limits;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    limits.open_files = files.rlim_cur;
    limits.open_files_max = files.rlim_max;
  }
  struct statvfs shared {};
  if (::statvfs((root / "dev/shm").c_str(), &shared) == 0) {
    limits.shared_memory = uint64_t{shared.f_blocks} * shared.f_frsize;
    limits.shared_memory_free = uint64_t{shared.f_bavail} * shared.f_frsize;
  }
  std::ifstream file(root / "sys/kernel/mm/transparent_hugepage/enabled");
  for (std::string word; file >> word;)  // "always [madvise] never"
    if (word.size() > 2 && word.front() == '[') limits.huge_pages = word.substr(1, word.size() - 2);
  return limits;
}

}  // namespace mica::doctor
