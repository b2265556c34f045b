// One run with all that is needed to believe and repeat it: what a result file holds.
// docs/results.md describes the file, config/result.schema.json is its JSON Schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/client/record.h"
#include "bench/plan/plan.h"
#include "bench/statistics/checks.h"
#include "bench/statistics/run_summary.h"
#include "ops/cuda/probe/facts.h"

namespace mica {

// Of the file. Grows by one when a reader of the old one would misunderstand the new.
inline constexpr int kResultSchemaVersion = 1;

enum class RunState {
  kRunning,      // its journal is written
  kFinished,     // all of its requests have ended, well or not
  kInterrupted,  // the user or the end of the process cut it short
  kFailed,       // it could not go on: `error` says why
};
const char* name(RunState state);  // "running", "finished", "interrupted", "failed"

// A value of the plan and where it came from; a secret's value is "***".
struct PlanValue {
  std::string name, value, origin;
  friend bool operator==(const PlanValue&, const PlanValue&) = default;
};

// The launch plan as it is kept: values as text, secrets masked.
struct PlanRecord {
  std::string backend, mode, profile;  // mode: "docker", "process", "attach"
  std::string url;
  std::vector<std::string> command;  // as started, masked
  std::vector<PlanValue> values;     // "model", "served_name", "image", …
  std::vector<PlanValue> arguments;  // of the program: "--port" "8000"
  std::vector<PlanValue> environment, docker_options, mounts, sampling;
  std::vector<std::string> warnings;

  // The value of that name, or empty.
  const std::string& value(std::string_view name) const;
  friend bool operator==(const PlanRecord&, const PlanRecord&) = default;
};
// `command`: of LaunchPlan::command(masked).
PlanRecord record_of(const LaunchPlan& plan, std::vector<std::string> command);

struct HostRecord {
  std::string cpu, kernel, system, container, governor;  // governor: of the clocks, or empty
  int cpus = 0, numa_nodes = 0;                          // logical processors
  uint64_t memory_bytes = 0, memory_limit_bytes = 0;     // limit: of the container, 0 = none
  friend bool operator==(const HostRecord&, const HostRecord&) = default;
};

struct ModelFile {
  std::string name;
  uint64_t bytes = 0;
  // "sha256:…" of the whole, "git:…" of a hub's small file, "sampled-sha256:…" of parts of a large
  // one (hash_model_files()); or empty.
  std::string hash;
  friend bool operator==(const ModelFile&, const ModelFile&) = default;
};

struct ModelRecord {
  std::string id, revision, format;  // "org/name" or a folder's name; "safetensors mlx 4 bit"
  int64_t parameters = 0;            // 0: not known
  std::vector<ModelFile> files;
  friend bool operator==(const ModelRecord&, const ModelRecord&) = default;
};

struct EngineRecord {
  std::string version;              // that the engine reports
  std::string image, image_digest;  // docker: as asked for, and what ran
  friend bool operator==(const EngineRecord&, const EngineRecord&) = default;
};

struct Provenance {
  std::string mica_version;
  HostRecord host;
  std::string driver, cuda;         // "580.65.06", "13.0": the newest CUDA that the driver knows
  std::vector<gpu::GpuFacts> gpus;  // of the machine, before the run
  std::optional<std::vector<int>> gpus_used;  // indices; nothing: not known
  EngineRecord engine;
  ModelRecord model;
};

// A text that was sent, or its first part; private runs keep no text.
struct PromptRecord {
  std::string text;
  std::string sha256;  // of the whole text
  uint64_t bytes = 0;  // of the whole text
  std::string role;    // "system"; empty = the user's
  friend bool operator==(const PromptRecord&, const PromptRecord&) = default;
};

struct PictureRecord {
  std::string name;    // the file's, or the URL of one that was not sent itself
  std::string sha256;  // of the file, or empty
  uint64_t bytes = 0;
  friend bool operator==(const PictureRecord&, const PictureRecord&) = default;
};

// What was asked of the engine.
struct WorkloadRecord {
  std::string name;      // "synthetic 512+128", a data set's file
  std::string arrivals;  // as parse_arrivals() takes it: "closed:8"
  std::string cache;     // "cold", "shared" (by turns or prefixes that were asked for), "warm"
  int64_t requests = 0, warmup = 0;
  int64_t input_tokens = 0, output_tokens = 0;  // of each request; 0: they differ or are not set
  bool exact_output = false;                    // the length was to be exact
  uint64_t seed = 0;
  std::string prompts_hash;      // of all prompts: equal means the same texts in the same order
  std::string limits;            // as parse_limits() takes it, or empty
  double max_prefill_rate = 0;   // tokens/s that the checks allow; 0: their default
  std::string max_prefill_from;  // how it was computed, or empty
  // Texts of the user, of a data set or of a built-in set, as the measured requests had them, in
  // their order. Made ones are told by seed and lengths: `more`.
  std::vector<PromptRecord> prompts;
  std::vector<PictureRecord> pictures;
  bool is_private = false;  // texts of prompts and answers were not kept
  std::vector<std::pair<std::string, std::string>> more;
  friend bool operator==(const WorkloadRecord&, const WorkloadRecord&) = default;
};

struct PhaseRecord {  // of the start: "pull", "port", "model", "first token"
  std::string name;
  double seconds = 0;
  std::string note;
  friend bool operator==(const PhaseRecord&, const PhaseRecord&) = default;
};

// Values over time, or one a request: telemetry ("gpu0.power") and what the server says about
// itself. `times` is empty or as long as `values`, seconds of the run's clock.
struct SeriesRecord {
  std::string name, unit, source;
  std::vector<double> times, values;
  friend bool operator==(const SeriesRecord&, const SeriesRecord&) = default;
};

// One GPU over the measured load; 0 = not told.
struct GpuUseRecord {
  int index = -1;
  std::string name;
  int64_t peak_memory = 0, peak_own_memory = 0;  // MiB; own: of the engine's processes
  double mean_busy = 0, mean_power = 0;          // %, W
  double mean_temperature = 0;                   // °C
  int max_temperature = 0;
  int min_sm_clock = 0, max_sm_clock = 0;  // MHz
  std::string slowdown;                    // all reasons seen but idleness: "power limit"
  double slowed = 0;                       // share of the samples with a harmful reason, 0 to 1
  friend bool operator==(const GpuUseRecord&, const GpuUseRecord&) = default;
};

// Of a run that another program measured.
struct ImportRecord {
  std::string program, layout, file;
  std::vector<std::string> missing;  // what it can't say, a sentence each
  friend bool operator==(const ImportRecord&, const ImportRecord&) = default;
};

struct RunRecord {
  std::string id;       // new_run_name()
  std::string started;  // UTC, "2026-01-31T12:00:00.123Z"
  RunState state = RunState::kRunning;
  std::string error;
  std::string group;  // runs of one matrix or sweep share it
  std::string point;  // point_key(): equal for the same work of the same engine; or empty
  std::optional<ImportRecord> imported;
  PlanRecord plan;
  Provenance provenance;
  WorkloadRecord workload;
  std::vector<PhaseRecord> phases;
  std::vector<RequestSample> requests;  // warm-up first, then in the order in which they ended
  RunSummary summary;
  std::vector<SeriesRecord> telemetry, server;
  std::vector<GpuUseRecord> gpu_use;
  std::vector<Mark> marks;

  const std::string& backend() const { return plan.backend; }
  // GPUs that did the work: the used ones, all there are where that is not known; 0 without any.
  int gpu_count() const;
  std::string gpu_name() const;  // "2x NVIDIA RTX PRO 6000", or the processor's name
  bool invalid() const;          // has a mark kInvalid
};

// "20260131T120000.123Z-1a2b3c4d": UTC and 32 bits of a hash of plan and workload; sorts by time.
std::string new_run_name(const PlanRecord& plan, const WorkloadRecord& workload);
std::string plan_hash(const PlanRecord& plan, const WorkloadRecord& workload);  // 8 hex digits

std::string utc_now();  // RunRecord::started

// Sets the summary and adds the marks of check_run(), once all requests are there.
void conclude(RunRecord& run);

}  // namespace mica
