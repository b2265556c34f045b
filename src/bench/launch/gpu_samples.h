// GPUs over time: what an engine's processes hold and do there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/launch/process_table.h"

namespace mica {

struct GpuUser {  // a process on a GPU
  pid_t pid = 0;
  std::optional<int64_t> memory;  // MiB
  std::optional<int> busy;        // % of the time in which a kernel of it ran
};

// One GPU at one moment; what was not told is empty.
struct GpuReading {
  int index = -1;
  std::string uuid, name;
  std::optional<int64_t> memory_total, memory_used;  // MiB
  std::optional<int> busy, memory_busy;              // %
  std::optional<double> power, power_limit;          // W
  std::optional<int> temperature;                    // °C
  std::optional<int> sm_clock, memory_clock;         // MHz
  std::optional<int64_t> slowdown;                   // bits of gpu::kSlowdownReasons
  std::optional<double> energy;                      // J since the driver was loaded
  std::vector<GpuUser> users;
  // Of the engine; empty where its processes can't be told from others.
  std::optional<int64_t> own_memory;  // MiB
  std::optional<int> own_busy;        // %
};

// The engine on the host's side.
struct HostReading {
  int processes = 0;
  double cpu_seconds = 0;       // of those alive, since they began
  uint64_t resident_bytes = 0;  // their sum; shared pages count several times
  std::string compiler;         // name of one that compiles: "nvcc", "ptxas"; or empty
};

struct GpuSample {
  double time = 0;  // seconds of the steady clock (std::chrono::steady_clock's epoch)
  std::vector<GpuReading> gpus;
  HostReading host;
};

// Where readings come from.
class GpuSource {
 public:
  virtual ~GpuSource() = default;
  virtual std::string name() const = 0;  // "NVML 580.65.06", "nvidia-smi"
  virtual std::vector<GpuReading> read() = 0;
  virtual double least_interval() const { return 0; }  // seconds between readings
};

struct GpuSourceOptions {
  std::string nvml_library = "libnvidia-ml.so.1";  // as dlopen takes it; empty: none
  std::string smi = "nvidia-smi";                  // a path or a name; empty: none
  double smi_seconds = 5;                          // limit of one run
};

struct GpuSourceChoice {
  std::unique_ptr<GpuSource> source;  // null: no GPU to be seen
  std::string why;                    // it is this one, or none: the words of the libraries
};
GpuSourceChoice open_gpu_source(const GpuSourceOptions& options);

// Samples on a thread of its own, where the source is opened as well. A driver that hangs stops the
// samples, nothing else.
class GpuSampler {
 public:
  using Opener = std::function<GpuSourceChoice()>;
  using Members = std::function<std::vector<ProcessFacts>()>;
  // `members`: the engine's processes, asked for once a second; may be empty.
  GpuSampler(Opener open, double interval_seconds, Members members = {});
  ~GpuSampler();
  GpuSampler(const GpuSampler&) = delete;
  GpuSampler& operator=(const GpuSampler&) = delete;

  void set_members(Members members);
  std::string source() const;  // its name, or why there is none
  bool present() const;        // there is a source
  // A sample that begins now, members looked for anew; nothing when none came in time.
  std::optional<GpuSample> next(double seconds) const;
  std::vector<GpuSample> samples() const;
  std::vector<GpuSample> samples_since(double time) const;
  std::optional<GpuSample> last() const;
  bool hangs() const;  // a reading takes longer than 10 s

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;  // with the thread, which a hanging driver may keep
};

double steady_seconds();  // now, as GpuSample::time

// Energy in joules of these GPUs (by index; empty: all) between two times: their counters'
// difference where they exist and cover the span, else the integral of the power by the trapezoid
// rule, between samples by a straight line. Nothing when the samples don't cover the span.
std::optional<double> energy_joules(const std::vector<GpuSample>& samples, double begin, double end,
                                    const std::vector<int>& gpus = {});
std::optional<double> joules_per_token(const std::vector<GpuSample>& samples, double begin,
                                       double end, int64_t tokens,
                                       const std::vector<int>& gpus = {});

struct GpuSummary {  // of one GPU over a span
  int index = -1;
  std::string name;
  int64_t peak_memory = 0, peak_own_memory = 0;  // MiB
  double mean_busy = 0, mean_power = 0;          // %, W
  double mean_temperature = 0;
  int max_temperature = 0, min_sm_clock = 0, max_sm_clock = 0;
  int64_t slowdown = 0;  // all bits that were seen
  double slowed = 0;     // share of the samples with a harmful one
};
// 0 = not told.
std::vector<GpuSummary> summarise(const std::vector<GpuSample>& samples, double begin, double end);

}  // namespace mica
