// Runs with known figures.
#pragma once

#include <string>

#include "bench/results/run_record.h"
#include "bench_records.h"

namespace mica {

inline gpu::GpuFacts sample_gpu(int index, const std::string& name = "NVIDIA RTX PRO 6000") {
  gpu::GpuFacts gpu;
  gpu.index = index;
  gpu.name = name;
  gpu.driver = "580.65.06";
  gpu.capability = 120;
  gpu.memory_total = 97887;
  gpu.link_generation = 4;
  gpu.link_generation_max = 5;
  gpu.link_width = gpu.link_width_max = 16;
  gpu.sm_clock = 2520;
  gpu.power_limit = 600;
  gpu.power = 71.5;
  return gpu;
}

// All that is known before the first request.
inline RunRecord sample_head(const std::string& backend = "vllm", int concurrency = 1) {
  RunRecord run;
  run.group = "matrix-1";
  run.plan.backend = backend;
  run.plan.mode = "process";
  run.plan.url = "http://127.0.0.1:8000";
  run.plan.command = {"serve", "--port", "8000", "--api-key", "***"};
  run.plan.values = {{"model", "org/model", "--model"}, {"port", "8000", "derived: it is free"}};
  run.plan.arguments = {{"--port", "8000", "derived: it is free"}};
  run.plan.environment = {{"HF_TOKEN", "***", "environment"}};
  run.plan.warnings = {"the version is not pinned"};
  run.provenance.mica_version = "0.1.0";
  run.provenance.host = {.cpu = "AMD EPYC 9354",
                         .kernel = "6.1.0",
                         .system = "debian",
                         .container = "",
                         .governor = "performance",
                         .cpus = 64,
                         .numa_nodes = 2,
                         .memory_bytes = uint64_t{256} << 30};
  run.provenance.driver = "580.65.06";
  run.provenance.cuda = "13.0";
  run.provenance.gpus = {sample_gpu(0), sample_gpu(1)};
  run.provenance.gpus_used = {0};
  run.provenance.engine = {.version = "0.11.0", .image = "", .image_digest = ""};
  run.provenance.model = {.id = "org/model",
                          .revision = "abc",
                          .format = "safetensors bf16",
                          .parameters = 8'000'000'000,
                          .files = {{"config.json", 700, "sha256:12"}}};
  run.workload.name = "synthetic 100+11";
  run.workload.arrivals = "closed:" + std::to_string(concurrency);
  run.workload.cache = "cold";
  run.workload.requests = 40;
  run.workload.input_tokens = 100;
  run.workload.output_tokens = 11;
  run.workload.exact_output = true;
  run.workload.seed = 7;
  run.workload.prompts_hash = "sha256:99";
  run.workload.limits = "ttft:500,tpot:50";
  run.workload.more = {{"temperature", "0"}};
  return run;
}

// A finished one. `speed` divides all of its times; with `concurrency` so many streams at once.
inline RunRecord sample_run(const std::string& backend = "vllm", double speed = 1,
                            int concurrency = 1) {
  RunRecord run = sample_head(backend, concurrency);
  run.id = "20260131T120000.123Z-" + backend + "-" + std::to_string(concurrency);
  run.started = "2026-01-31T12:00:00.123Z";
  run.state = RunState::kFinished;
  run.phases = {{"port", 4.5, ""}, {"first token", 1.25, "compiled kernels"}};
  const StreamSpec spec = {.ttft = 0.1 / speed, .gap = 0.01 / speed};
  RequestSample warm = streamed(0, spec);
  warm.warmup = true;
  run.requests.push_back(warm);
  for (int stream = 0; stream < concurrency; ++stream) {
    StreamSpec begun = spec;
    begun.sent = 1;
    for (RequestSample record : steady_run(40, begun)) {
      record.id = static_cast<int64_t>(run.requests.size());
      run.requests.push_back(std::move(record));
    }
  }
  run.server = {{"ttft", "s", "vllm's histogram", {}, {0.09, 0.095}}};
  run.telemetry = {{"gpu0.power", "W", "NVML", {0, 0.5, 1}, {70, 410.5, 400}}};
  run.gpu_use = {{.index = 0,
                  .name = "NVIDIA RTX PRO 6000",
                  .peak_memory = 45000,
                  .peak_own_memory = 44900,
                  .mean_busy = 93.5,
                  .mean_power = 410.5,
                  .mean_temperature = 61.5,
                  .max_temperature = 66,
                  .min_sm_clock = 1980,
                  .max_sm_clock = 2520,
                  .slowdown = "power limit",
                  .slowed = 0}};
  conclude(run);
  return run;
}

}  // namespace mica
