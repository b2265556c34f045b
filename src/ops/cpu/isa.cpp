#include "ops/cpu/isa.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"

namespace mica {
namespace {

// First word of a small text file, or "".
std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// Distinct (package, core) pairs in the affinity mask.
int physical_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0)
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::set<std::pair<std::string, std::string>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string place = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
    std::string core = read_word(place + "core_id");
    if (core.empty()) core = fmt::format("cpu{}", cpu);
    cores.emplace(read_word(place + "physical_package_id"), core);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

// CPUs that the cgroup's quota allows (v2, then v1), rounded up; a large number without a quota.
int quota_cpus() {
  constexpr int kUnlimited = 1 << 20;
  double quota = -1, period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string first;
  if (v2 >> first >> period) {
    if (first == "max") return kUnlimited;
    quota = std::strtod(first.c_str(), nullptr);
  } else {
    quota = std::strtod(read_word("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").c_str(), nullptr);
    period = std::strtod(read_word("/sys/fs/cgroup/cpu/cpu.cfs_period_us").c_str(), nullptr);
  }
  if (quota <= 0 || period <= 0) return kUnlimited;
  return std::max(1, static_cast<int>(std::min<double>(kUnlimited, quota / period + 0.99)));
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return "portable";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512Vnni: return "avx512";
    case Isa::kAvx512Bf16: return "avx512bf16";
  }
  return "?";
}

Isa choose_isa(const std::string& wanted) {
  const Isa best = best_isa();
  if (wanted.empty()) return std::min(best, Isa::kAvx512Vnni);
  for (Isa isa : kAllIsas) {
    if (wanted != name(isa)) continue;
    if (isa > best)
      throw Error(ErrorKind::kDevice, "[cpu] isa '{}' asked, this processor has at most '{}'",
                  wanted, name(best));
    return isa;
  }
  throw Error(ErrorKind::kUsage,
              "[cpu] isa: expected portable, avx2, avx512 or avx512bf16, found '{}'", wanted);
}

int default_threads() {
  return std::min(physical_cores(), quota_cpus());
}

}  // namespace mica
