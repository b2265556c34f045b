#include "bench/plan/fit.h"

#include <algorithm>

#include "base/error.h"
#include "base/spelling.h"

namespace mica {
namespace {

constexpr int64_t kUnknownContext = 4096;  // where neither the user nor the model says one
constexpr int64_t kMostContext = int64_t{1} << 24, kMostSequences = 4096;

std::string gibibytes(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

struct Load {
  int gpus = 1;
  int64_t context = 0, sequences = 1;
  int kv_bits = 16;
};

class Estimate {
 public:
  explicit Estimate(const FitQuestion& question) : q_(question) {}

  uint64_t weights() const {
    const ModelFacts& model = q_.model;
    const uint64_t in_host = q_.memory.host_experts ? model.expert_bytes : 0;
    const uint64_t rest = model.weight_bytes - std::min(in_host, model.weight_bytes);
    return of_gpu_layers(rest - std::min(q_.offloaded, rest)) + model.projector_bytes;
  }
  uint64_t overhead(const Load& load) const {
    return static_cast<uint64_t>(q_.memory.overhead_mib) * static_cast<uint64_t>(load.gpus) << 20;
  }
  // Keys and values over all GPUs: where there are more GPUs than heads, some are kept twice.
  uint64_t kv(const Load& load) const {
    const uint64_t one = kv_bytes(q_.model.kv, load.context, load.kv_bits);
    const auto sequences = static_cast<uint64_t>(load.sequences);
    uint64_t all = one > UINT64_MAX / 64 / std::max<uint64_t>(sequences, 1) ? UINT64_MAX / 64
                                                                            : one * sequences;
    const int64_t heads = std::max<int64_t>(q_.model.kv.heads, 1);
    if (q_.memory.split == "tensors" && load.gpus > heads)
      all = all * static_cast<uint64_t>(load.gpus) / static_cast<uint64_t>(heads);
    return of_gpu_layers(all);
  }
  uint64_t needed(const Load& load) const { return weights() + kv(load) + overhead(load); }

  // Of so many GPUs; beyond those that are there, more of the first.
  uint64_t available(int gpus) const {
    uint64_t least = UINT64_MAX, sum = 0;
    for (int i = 0; i < gpus; ++i) {
      const PlanGpu& gpu =
          q_.gpus[static_cast<size_t>(i) < q_.gpus.size() ? static_cast<size_t>(i) : 0];
      const uint64_t one = usable(gpu);
      least = std::min(least, one);
      sum += one;
    }
    return q_.memory.split == "layers" ? sum : least * static_cast<uint64_t>(gpus);
  }
  bool fits(const Load& load) const { return needed(load) <= available(load.gpus); }

 private:
  // The share of the layers that lie on GPUs; layers are taken as equal.
  uint64_t of_gpu_layers(uint64_t bytes) const {
    const int64_t layers = q_.model.layers;
    if (q_.on_cpu || q_.gpu_layers < 0 || layers <= 0 || q_.gpu_layers >= layers) return bytes;
    return static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(q_.gpu_layers) /
                                 static_cast<double>(layers));
  }
  uint64_t usable(const PlanGpu& gpu) const {
    const double fraction = q_.fraction > 0 ? q_.fraction : q_.memory.fraction;
    const auto share = [&](uint64_t of) {
      return static_cast<uint64_t>(static_cast<double>(of) * fraction);
    };
    if (q_.memory.fraction_of == "total") return std::min(gpu.free, share(gpu.total));
    if (q_.memory.fraction_of == "free") {
      // The fraction is of what the weights leave, and for keys and values alone.
      const uint64_t fixed =
          (weights() / static_cast<uint64_t>(std::max<size_t>(q_.gpus.size(), 1)));
      return gpu.free > fixed ? fixed + share(gpu.free - fixed) : gpu.free;
    }
    return gpu.free;
  }

  const FitQuestion& q_;
};

// The largest n in [0, most] that `fits`; it fits no larger one where it does not fit a smaller.
template <typename Fits>
int64_t largest(int64_t most, Fits fits) {
  int64_t low = 0, high = most;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

void find_limits(const FitQuestion& q, const Estimate& estimate, const Load& load, MemoryFit& fit) {
  const int64_t most = q.model.context > 0 ? std::min(q.model.context, kMostContext) : kMostContext;
  fit.most_context = largest(most, [&](int64_t context) {
    Load other = load;
    other.context = context;
    return estimate.fits(other);
  });
  fit.most_sequences = largest(kMostSequences, [&](int64_t sequences) {
    Load other = load;
    other.sequences = sequences;
    return estimate.fits(other);
  });
}

void advise_on_load(const FitQuestion& q, const Estimate& estimate, const Load& load,
                    MemoryFit& fit) {
  if (fit.most_context >= 256)
    fit.advice.push_back(fmt::format("a context of at most {} tokens (--context) with {}",
                                     fit.most_context / 256 * 256,
                                     counted(load.sequences, "sequence")));
  if (load.sequences > 1 && fit.most_sequences >= 1)
    fit.advice.push_back(fmt::format("at most {} (--concurrency) of {} tokens",
                                     counted(fit.most_sequences, "sequence"), load.context));
  if (q.can_quantize_kv && load.kv_bits == 16) {
    Load other = load;
    other.kv_bits = 8;
    fit.advice.push_back(
        fmt::format("keys and values in 8 bits (--kv-bits 8) take {} instead of "
                    "{}, which {}",
                    gibibytes(estimate.kv(other)), gibibytes(estimate.kv(load)),
                    estimate.fits(other) ? "fits" : "is not enough alone"));
  }
}

// Part of the model in the host's memory, where the backend (or another one) can do that.
void advise_offload(const FitQuestion& q, const Estimate& estimate, const Load& load,
                    MemoryFit& fit) {
  const auto room = [&](uint64_t bytes) {
    const bool lacks = q.host_available > 0 && bytes > q.host_available;
    return fmt::format("{} in the host's memory{}", gibibytes(bytes),
                       lacks ? ", which has only " + gibibytes(q.host_available) : "");
  };
  const int64_t layers = q.model.layers;
  if (q.offload == "gpu_layers" && layers > 0) {
    const auto of = [&](int64_t n) {
      FitQuestion other = q;
      other.gpu_layers = n;
      return other;
    };
    const int64_t most = largest(layers - 1, [&](int64_t n) { return Estimate(of(n)).fits(load); });
    const FitQuestion rest = of(most);
    if (most > 0)
      fit.advice.push_back(
          fmt::format("{} of {} layers on the GPU (--set gpu_layers={}), {}; slower", most, layers,
                      most, room(fit.needed - Estimate(rest).needed(load))));
  }
  const uint64_t lacking = fit.needed - fit.available;
  if (q.offload == "cpu_offload" && lacking < estimate.weights()) {
    const auto gpus = static_cast<uint64_t>(load.gpus);
    const uint64_t each = (((lacking + gpus - 1) / gpus) >> 30) + 1;  // GiB
    fit.advice.push_back(
        fmt::format("--set cpu_offload={} keeps {}; slower", each, room(each * gpus << 30)));
  }
  const uint64_t experts = q.model.expert_bytes;
  if (experts > 0 && !q.memory.host_experts && q.model.format == "safetensors")
    fit.advice.push_back("the experts on the processor (--backend ktransformers): " +
                         room(experts));
}

void advise(const FitQuestion& q, const Estimate& estimate, const Load& load, MemoryFit& fit) {
  if (fit.fits) {
    fit.advice.push_back(
        fmt::format("there is room for {} tokens a sequence{}, or for {}", fit.most_context,
                    fit.most_context == q.model.context ? " (all that the model was made for)" : "",
                    counted(fit.most_sequences, "sequence")));
    return;
  }
  advise_on_load(q, estimate, load, fit);
  if (!q.on_cpu) advise_offload(q, estimate, load, fit);
  for (int gpus = load.gpus + 1; gpus <= 16 && !q.on_cpu; ++gpus) {
    Load other = load;
    other.gpus = gpus;
    if (!estimate.fits(other)) continue;
    fit.advice.push_back(fmt::format("{} GPUs of this size", gpus));
    break;
  }
  const uint64_t rest = estimate.kv(load) + estimate.overhead(load) + q.model.projector_bytes;
  if (q.model.parameters <= 0 || q.memory.host_experts) return;
  if (fit.available <= rest) {
    fit.advice.push_back("no quantization helps alone: keys, values and overhead fill the memory");
    return;
  }
  const double bits =
      static_cast<double>(fit.available - rest) * 8 / static_cast<double>(q.model.parameters);
  if (bits >= 1)
    fit.advice.push_back(
        fmt::format("a quantization to {:.1f} bits a weight or less; it has {:.1f}", bits,
                    q.model.bits_per_weight));
}

}  // namespace

MemoryFit fit_memory(const FitQuestion& asked) {
  FitQuestion question = asked;
  if (question.on_cpu) {  // the host's memory is one GPU's
    const uint64_t bytes = question.host_available;
    question.gpus = {{0, "host", 0, bytes, bytes}};
    question.memory.fraction_of.clear();
    question.memory.host_experts = false;
  }
  const Estimate estimate(question);
  Load load;
  load.gpus = std::max<int>(1, static_cast<int>(question.gpus.size()));
  load.context = question.context > 0         ? question.context
                 : question.model.context > 0 ? question.model.context
                                              : kUnknownContext;
  load.context = std::min(load.context, kMostContext);
  load.sequences = std::clamp<int64_t>(question.sequences, 1, kMostSequences);
  load.kv_bits = question.kv_bits;

  MemoryFit fit;
  fit.gpus = load.gpus;
  fit.on_cpu = question.on_cpu;
  fit.context = load.context;
  fit.sequences = load.sequences;
  fit.kv_bits = load.kv_bits;
  fit.weights = estimate.weights();
  fit.kv = estimate.kv(load);
  fit.overhead = estimate.overhead(load);
  fit.needed = estimate.needed(load);
  fit.known = !question.gpus.empty() &&
              std::all_of(question.gpus.begin(), question.gpus.end(),
                          [](const PlanGpu& gpu) { return gpu.total > 0 && gpu.free > 0; });
  if (!fit.known) return fit;
  fit.available = estimate.available(load.gpus);
  fit.fits = estimate.fits(load);
  find_limits(question, estimate, load, fit);
  advise(question, estimate, load, fit);
  return fit;
}

}  // namespace mica
