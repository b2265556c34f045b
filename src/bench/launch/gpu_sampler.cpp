#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "bench/launch/gpu_samples.h"

namespace mica {
namespace {

constexpr double kMembersInterval = 1;  // seconds between looks through /proc
constexpr double kHangSeconds = 10;     // of one reading
constexpr size_t kMaxSamples = 40000;   // beyond, every second one of the older half goes
constexpr auto kPartingTime = std::chrono::seconds(2);

bool is_compiler(const std::string& name) {
  static constexpr const char* kNames[] = {"nvcc",    "cicc", "ptxas", "fatbinary", "nvlink",
                                           "cc1plus", "c++",  "g++",   "clang++",   "ninja"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

HostReading host_reading(const std::vector<ProcessFacts>& members) {
  static const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  HostReading host;
  for (const ProcessFacts& member : members) {
    ++host.processes;
    host.cpu_seconds += static_cast<double>(member.cpu_ticks) / ticks;
    host.resident_bytes += member.resident_bytes;
    if (is_compiler(member.name)) host.compiler = member.name;
  }
  return host;
}

void add_own(GpuReading& reading, const std::set<pid_t>& own) {
  int64_t memory = 0;
  int busy = 0;
  bool memory_told = true, busy_told = false;
  for (const GpuUser& user : reading.users) {
    if (!own.contains(user.pid)) continue;
    memory += user.memory.value_or(0);
    memory_told &= user.memory.has_value();
    busy += user.busy.value_or(0);
    busy_told |= user.busy.has_value();
  }
  if (memory_told) reading.own_memory = memory;
  if (busy_told) reading.own_busy = std::min(busy, 100);
}

void thin(std::vector<GpuSample>& samples) {
  const size_t half = samples.size() / 2;
  size_t kept = 0;
  for (size_t i = 0; i < samples.size(); ++i)
    if (i >= half || i % 2 == 0) samples[kept++] = std::move(samples[i]);
  samples.resize(kept);
}

}  // namespace

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct GpuSampler::Shared {
  Opener open;
  double interval = 0.25;

  std::mutex mutex;
  std::condition_variable changed;
  bool present = false;
  std::string why = "not looked yet";
  Members members;
  std::vector<GpuSample> samples;
  double reading_since = 0;  // 0: none is under way
  bool asked = false;        // for a sample at once
  bool ending = false, ended = false;

  // Of the thread alone:
  std::unique_ptr<GpuSource> source;
  double looked = 0;  // at the members
  HostReading host;
  std::set<pid_t> own;

  void look(const Members& look_for, double now, bool anew) {
    if (!look_for || (!anew && now - looked < kMembersInterval)) return;
    looked = now;
    const std::vector<ProcessFacts> found = look_for();
    host = host_reading(found);
    own.clear();
    for (const ProcessFacts& member : found) own.insert(member.id.pid);
  }

  void sample(const Members& look_for, bool anew) {
    GpuSample sample;
    sample.time = steady_seconds();
    look(look_for, sample.time, anew);
    if (source) sample.gpus = source->read();
    // The middle of the reading is nearest to what it tells.
    sample.time = (sample.time + steady_seconds()) / 2;
    sample.host = host;
    if (look_for)
      for (GpuReading& reading : sample.gpus) add_own(reading, own);
    const std::lock_guard lock(mutex);
    samples.push_back(std::move(sample));
    if (samples.size() > kMaxSamples) thin(samples);
    changed.notify_all();
  }

  void run() {
    GpuSourceChoice choice = open();
    source = std::move(choice.source);
    std::unique_lock lock(mutex);
    present = source != nullptr;
    why = choice.why;
    const double pause = std::max(interval, source ? source->least_interval() : 1);
    while (!ending) {
      const Members look_for = members;
      const bool anew = std::exchange(asked, false);
      reading_since = steady_seconds();
      lock.unlock();
      sample(look_for, anew);
      lock.lock();
      reading_since = 0;
      changed.wait_for(lock, std::chrono::duration<double>(pause),
                       [this] { return ending || asked; });
    }
    ended = true;
    changed.notify_all();
  }
};

GpuSampler::GpuSampler(Opener open, double interval_seconds, Members members)
    : shared_(std::make_shared<Shared>()) {
  shared_->open = std::move(open);
  shared_->interval = interval_seconds;
  shared_->members = std::move(members);
  shared_->reading_since = steady_seconds();
  std::thread([shared = shared_] { shared->run(); }).detach();
}

GpuSampler::~GpuSampler() {
  std::unique_lock lock(shared_->mutex);
  shared_->ending = true;
  shared_->members = {};
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, kPartingTime, [this] { return shared_->ended; });
}

void GpuSampler::set_members(Members members) {
  const std::lock_guard lock(shared_->mutex);
  shared_->members = std::move(members);
}

std::string GpuSampler::source() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->why;
}

bool GpuSampler::present() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->present;
}

std::optional<GpuSample> GpuSampler::next(double seconds) const {
  std::unique_lock lock(shared_->mutex);
  const double begin = steady_seconds();
  shared_->asked = true;
  shared_->changed.notify_all();
  const auto& samples = shared_->samples;
  const auto is_there = [&] { return !samples.empty() && samples.back().time >= begin; };
  if (!shared_->changed.wait_for(lock, std::chrono::duration<double>(seconds), is_there))
    return std::nullopt;
  return samples.back();
}

std::vector<GpuSample> GpuSampler::samples() const {
  return samples_since(0);
}

std::vector<GpuSample> GpuSampler::samples_since(double time) const {
  const std::lock_guard lock(shared_->mutex);
  const auto& all = shared_->samples;
  const auto first =
      std::lower_bound(all.begin(), all.end(), time,
                       [](const GpuSample& sample, double wanted) { return sample.time < wanted; });
  return {first, all.end()};
}

std::optional<GpuSample> GpuSampler::last() const {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->samples.empty()) return std::nullopt;
  return shared_->samples.back();
}

bool GpuSampler::hangs() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->reading_since > 0 && steady_seconds() - shared_->reading_since > kHangSeconds;
}

}  // namespace mica
