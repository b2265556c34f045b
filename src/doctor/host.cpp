// Processor and limits, from files.
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <fstream>
#include <thread>

#include "doctor/facts.h"
#include "ops/cpu/isa.h"

namespace mica::doctor {

namespace fs = std::filesystem;

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
