// Whether a model fits the memory of the GPUs, or the host's where the processor computes: weights,
// keys and values, overhead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/plan/descriptor.h"
#include "bench/plan/model_facts.h"
#include "bench/plan/request.h"

namespace mica {

struct FitQuestion {
  ModelFacts model;
  BackendMemory memory;
  std::vector<PlanGpu> gpus;  // that are used
  int64_t context = 0;        // tokens of a sequence; 0 = what the model was made for
  int64_t sequences = 0;      // at one time; 0 = one
  int kv_bits = 16;
  double fraction = 0;           // of the memory; 0 = the backend's own
  bool can_quantize_kv = false;  // the backend has kv_bits
  // What lies in the host's memory: everything, or all but so many layers (-1: none), or so many
  // bytes of weights.
  bool on_cpu = false;
  int64_t gpu_layers = -1;
  uint64_t offloaded = 0;
  uint64_t host_available = 0;  // bytes; 0 = not known
  std::string offload;          // how the backend can: "gpu_layers", "cpu_offload"; empty = not
};

// Bytes of all GPUs together. An estimate: what a backend takes beside weights and keys is one
// figure of its descriptor.
struct MemoryFit {
  bool known = false;  // the GPUs' memory is known; on_cpu: the host's
  bool on_cpu = false;
  bool fits = false;
  int gpus = 1;
  int64_t context = 0, sequences = 1;
  int kv_bits = 16;
  uint64_t weights = 0, kv = 0, overhead = 0;  // what is needed
  uint64_t needed = 0, available = 0;
  int64_t most_context = 0;         // with these sequences, and that the model can; 0 = none fits
  int64_t most_sequences = 0;       // with this context
  std::vector<std::string> advice;  // what would make it fit, with numbers; or what room is left
};

MemoryFit fit_memory(const FitQuestion& question);

}  // namespace mica
