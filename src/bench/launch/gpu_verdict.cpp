#include "bench/launch/gpu_verdict.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "ops/cuda/probe/facts.h"

namespace mica {
namespace {

constexpr double kIdleBusy = 5;        // % in the mean: no kernel to speak of
constexpr double kSpinBusy = 90;       // %: kernels that wait for other GPUs look fully busy,
constexpr double kSpinPower = 0.45;    // and take this share of the power limit or less
constexpr double kWorkingCores = 0.5;  // of the engine's processes
constexpr double kIdleCores = 0.2;
constexpr double kWeightShare = 0.8;  // of the weights in GPU memory: below, some are elsewhere
constexpr double kEnoughSeconds = 2;  // shorter spans say nothing of how busy a GPU was

struct Use {  // of one GPU in the span
  int index = -1;
  std::string name;
  int64_t memory = 0;  // MiB, of the engine
  bool mapped = true;  // false: memory is what came since the baseline, whoever took it
  double busy = 0, peak = 0, power = 0, power_limit = 0;  // %, W; peak: of busy
  bool busy_told = false;
  int64_t slowdown = 0;
  bool used() const { return memory >= kUsedGpuMib; }
};

struct Facts {
  std::vector<Use> uses;
  double seconds = 0, cores = 0;
  uint64_t resident = 0;  // bytes, at most
  int processes = 0;
  std::string compiler;
  bool enough() const { return seconds >= kEnoughSeconds; }
  int64_t memory() const {
    int64_t sum = 0;
    for (const Use& use : uses) sum += use.memory;
    return sum;
  }
  int used() const {
    return static_cast<int>(
        std::count_if(uses.begin(), uses.end(), [](const Use& use) { return use.used(); }));
  }
  // The most that any used GPU was busy at a time: no kernels, where it is next to nothing.
  double peak() const {
    double peak = 0;
    for (const Use& use : uses) peak = std::max(peak, use.used() ? use.peak : 0);
    return peak;
  }
};

int64_t baseline_memory(const std::optional<GpuSample>& baseline, int index) {
  if (!baseline) return 0;
  for (const GpuReading& reading : baseline->gpus)
    if (reading.index == index) return reading.memory_used.value_or(0);
  return 0;
}

Use use_of(int index, const std::vector<GpuSample>& span,
           const std::optional<GpuSample>& baseline) {
  Use use;
  use.index = index;
  int64_t own = 0, grown = 0;
  int busy_count = 0, power_count = 0;
  for (const GpuSample& sample : span)
    for (const GpuReading& reading : sample.gpus) {
      if (reading.index != index) continue;
      use.name = reading.name;
      own = std::max(own, reading.own_memory.value_or(0));
      if (baseline)
        grown = std::max(grown, reading.memory_used.value_or(0) - baseline_memory(baseline, index));
      const auto busy = reading.own_busy ? reading.own_busy : reading.busy;
      use.busy += busy.value_or(0);
      use.peak = std::max<double>(use.peak, busy.value_or(0));
      busy_count += busy.has_value();
      use.power += reading.power.value_or(0);
      power_count += reading.power.has_value();
      use.power_limit = std::max(use.power_limit, reading.power_limit.value_or(0));
      use.slowdown |= reading.slowdown.value_or(0);
    }
  if (busy_count > 0) use.busy /= busy_count;
  if (power_count > 0) use.power /= power_count;
  use.busy_told = busy_count > 0;
  // Inside containers and on WSL the driver does not tell whose the memory is.
  use.mapped = own > 0 || grown < kUsedGpuMib;
  use.memory = use.mapped ? own : grown;
  return use;
}

// Processor seconds that came on top from sample to sample; processes that end take theirs away.
double cores_of(const std::vector<GpuSample>& span) {
  double seconds = 0;
  for (size_t i = 1; i < span.size(); ++i)
    seconds += std::max(0.0, span[i].host.cpu_seconds - span[i - 1].host.cpu_seconds);
  const double time = span.back().time - span.front().time;
  return time > 0 ? seconds / time : 0;
}

Facts gather(const std::vector<GpuSample>& span, const std::optional<GpuSample>& baseline) {
  Facts facts;
  if (span.empty()) return facts;
  std::map<int, bool> indices;
  for (const GpuSample& sample : span) {
    for (const GpuReading& reading : sample.gpus) indices[reading.index] = true;
    facts.resident = std::max(facts.resident, sample.host.resident_bytes);
    facts.processes = std::max(facts.processes, sample.host.processes);
    if (!sample.host.compiler.empty()) facts.compiler = sample.host.compiler;
  }
  for (const auto& [index, there] : indices) facts.uses.push_back(use_of(index, span, baseline));
  facts.seconds = span.back().time - span.front().time;
  facts.cores = cores_of(span);
  return facts;
}

std::string gib(int64_t mib) {
  return fmt::format("{:.1f} GiB", static_cast<double>(mib) / 1024);
}

std::vector<std::string> evidence_of(const Facts& facts, const GpuExpectation& expectation,
                                     const EngineActivity& activity) {
  std::vector<std::string> lines;
  for (const Use& use : facts.uses) {
    std::string line = fmt::format("GPU {} ({}): {} {}", use.index, use.name, gib(use.memory),
                                   use.mapped ? "of the engine" : "more than before the start");
    if (use.busy_told) line += fmt::format(", busy {:.0f} %", use.busy);
    if (use.power > 0) line += fmt::format(", {:.0f} W", use.power);
    if (use.power_limit > 0) line += fmt::format(" of {:.0f} W", use.power_limit);
    for (const auto& reason : gpu::kSlowdownReasons)
      if (reason.harmful && (use.slowdown & reason.bit)) line += fmt::format(", {}", reason.text);
    lines.push_back(line);
  }
  if (expectation.weight_mib > 0)
    lines.push_back(fmt::format("weights: {}", gib(expectation.weight_mib)));
  lines.push_back(fmt::format("host: {} process{}, {:.1f} processor cores busy, {} resident",
                              facts.processes, facts.processes == 1 ? "" : "es", facts.cores,
                              gib(static_cast<int64_t>(facts.resident >> 20))));
  if (!facts.compiler.empty()) lines.push_back("a compiler runs: " + facts.compiler);
  lines.push_back(fmt::format("log: silent for {:.0f} s{}", activity.silence,
                              activity.last_line.empty() ? "" : "; last: " + activity.last_line));
  lines.push_back(fmt::format("looked at for {:.1f} s", facts.seconds));
  return lines;
}

struct Finding {
  GpuVerdictKind kind;
  std::string summary;
};

bool compiles(const Facts& facts, const EngineActivity& activity) {
  return !facts.compiler.empty() || activity.compile_lines;
}

std::string indices_of(const Facts& facts, bool (*wanted)(const Use&)) {
  std::string text;
  for (const Use& use : facts.uses)
    if (wanted(use)) text += (text.empty() ? "" : ", ") + std::to_string(use.index);
  return text;
}

std::optional<Finding> unused(const Facts& facts, const EngineActivity& activity) {
  if (facts.used() > 0) return std::nullopt;
  if (!activity.generated && compiles(facts, activity))
    return Finding{GpuVerdictKind::kCompiling, "it compiles, and has not touched a GPU yet"};
  if (!activity.generated && facts.cores < kIdleCores)
    return Finding{GpuVerdictKind::kWaiting, "it waits: neither a GPU nor the processor works"};
  return Finding{
      GpuVerdictKind::kNotOnGpu,
      fmt::format("it does not run on a GPU: none has memory of it, and {:.1f} processor "
                  "cores are busy",
                  facts.cores)};
}

std::optional<Finding> idle_gpu(const Facts& facts, const GpuExpectation& expectation,
                                const EngineActivity& activity) {
  if (facts.used() < expectation.gpus)
    return Finding{
        GpuVerdictKind::kOneGpuIdle,
        fmt::format("{} GPUs are wanted and {} used; GPU {} holds nothing of it", expectation.gpus,
                    facts.used(), indices_of(facts, [](const Use& use) { return !use.used(); }))};
  constexpr double kWorks = 30;  // %
  const auto lazy = [](const Use& use) { return use.used() && use.peak < kIdleBusy; };
  const bool one_works = facts.peak() >= kWorks;
  if (expectation.gpus > 1 && activity.generated && facts.enough() && one_works &&
      std::any_of(facts.uses.begin(), facts.uses.end(), lazy))
    return Finding{GpuVerdictKind::kOneGpuIdle,
                   fmt::format("GPU {} holds memory and does nothing", indices_of(facts, lazy))};
  return std::nullopt;
}

bool spins(const Facts& facts) {
  int spinning = 0;
  for (const Use& use : facts.uses)
    if (use.used() && use.busy >= kSpinBusy && use.power > 0 &&
        use.power <= kSpinPower * use.power_limit)
      ++spinning;
  return spinning >= 2;
}

// No token came, and GPUs hold memory of the engine.
Finding stuck(const Facts& facts, const EngineActivity& activity) {
  if (spins(facts))
    return {GpuVerdictKind::kWaiting,
            "its GPUs wait for one another: fully busy at little power, as when NCCL hangs "
            "(NCCL_P2P_DISABLE=1 on machines without NVLink)"};
  if (compiles(facts, activity) && facts.peak() < kSpinBusy)
    return {GpuVerdictKind::kCompiling, "it compiles kernels or captures graphs"};
  if (facts.peak() < kIdleBusy && facts.cores < kIdleCores)
    return {GpuVerdictKind::kWaiting, "it waits: neither a GPU nor the processor works"};
  if (facts.peak() < kIdleBusy && facts.cores >= kWorkingCores)
    return {
        GpuVerdictKind::kNotOnGpu,
        fmt::format("it computes on the processor: {:.1f} cores are busy, no GPU is", facts.cores)};
  return {GpuVerdictKind::kOnGpu, "its GPUs are at work; it is slow, or the request is large"};
}

Finding working(const Facts& facts, const GpuExpectation& expectation) {
  const int64_t memory = facts.memory();
  const double wanted = kWeightShare * static_cast<double>(expectation.weight_mib);
  if (expectation.weight_mib > 0 && static_cast<double>(memory) < wanted)
    return {GpuVerdictKind::kPartialOffload,
            fmt::format("part of it is not on a GPU: {} of memory there, {} of weights",
                        gib(memory), gib(expectation.weight_mib))};
  // Short requests leave no trace in a GPU's utilization: weights that are there are proof enough.
  if (expectation.weight_mib <= 0 && facts.enough() && facts.peak() < kIdleBusy &&
      facts.cores >= kWorkingCores)
    return {GpuVerdictKind::kNotOnGpu,
            fmt::format("it holds GPU memory and computes on the processor: {:.1f} cores are busy",
                        facts.cores)};
  return {GpuVerdictKind::kOnGpu, fmt::format("it runs on {} GPU{}, {} of memory", facts.used(),
                                              facts.used() == 1 ? "" : "s", gib(memory))};
}

Finding on_processor(const Facts& facts, const EngineActivity& activity) {
  if (!activity.generated && compiles(facts, activity))
    return {GpuVerdictKind::kCompiling, "it compiles; a run on the processor is wanted"};
  if (!activity.generated && facts.cores < kIdleCores)
    return {GpuVerdictKind::kWaiting, "it waits: the processor does not work for it"};
  if (facts.used() > 0)
    return {GpuVerdictKind::kNoGpuExpected,
            "a run on the processor was wanted; it holds GPU memory as well"};
  if (activity.generated)
    return {GpuVerdictKind::kNoGpuExpected, "a run on the processor, as wanted"};
  return {
      GpuVerdictKind::kNoGpuExpected,
      fmt::format("{:.1f} processor cores are busy for it, as wanted; it is slow, or the request "
                  "is large",
                  facts.cores)};
}

Finding find(const Facts& facts, const GpuExpectation& expectation,
             const EngineActivity& activity) {
  if (activity.dead) return {GpuVerdictKind::kDead, "it has ended: " + activity.end};
  if (expectation.gpus == 0) return on_processor(facts, activity);
  if (facts.uses.empty())
    return {GpuVerdictKind::kCannotTell, "no GPU can be looked at on this machine"};
  if (const auto finding = unused(facts, activity)) return *finding;
  if (const auto finding = idle_gpu(facts, expectation, activity)) return *finding;
  return activity.generated ? working(facts, expectation) : stuck(facts, activity);
}

}  // namespace

const char* name(GpuVerdictKind kind) {
  switch (kind) {
    case GpuVerdictKind::kOnGpu: return "on_gpu";
    case GpuVerdictKind::kNoGpuExpected: return "no_gpu_expected";
    case GpuVerdictKind::kCannotTell: return "cannot_tell";
    case GpuVerdictKind::kNotOnGpu: return "not_on_gpu";
    case GpuVerdictKind::kOneGpuIdle: return "one_gpu_idle";
    case GpuVerdictKind::kPartialOffload: return "partial_offload";
    case GpuVerdictKind::kCompiling: return "compiling";
    case GpuVerdictKind::kWaiting: return "waiting";
    case GpuVerdictKind::kDead: return "dead";
  }
  MICA_CHECK(false);
}

std::string describe(const GpuVerdict& verdict) {
  std::string text = fmt::format("{}: {}", name(verdict.kind), verdict.summary);
  for (const std::string& line : verdict.evidence) text += "\n    " + line;
  return text;
}

GpuVerdict judge_gpu_use(const std::vector<GpuSample>& span,
                         const std::optional<GpuSample>& baseline,
                         const GpuExpectation& expectation, const EngineActivity& activity) {
  const Facts facts = gather(span, baseline);
  const Finding finding = find(facts, expectation, activity);
  return {finding.kind, finding.summary, evidence_of(facts, expectation, activity)};
}

}  // namespace mica
