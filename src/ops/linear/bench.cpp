// Matrix products beside the machine's limits, e.g.
//   bench_linear --benchmark_filter=4-bit.*2048x8192 --benchmark_repetitions=5
// MICA_THREADS sets the threads (default: physical cores), MICA_ISA the instruction set. Weights of
// few tokens are rotated through copies of 192 MB in all, so that they come from memory (but for
// the 256 rows, which stay in the cache).
// MICA_CLOCK=cpu counts the first thread's CPU time: one thread on a machine that is busy
// otherwise. Counters: GB/s of prepared weights and its share of a read probe run beside it; GOP/s
// (2 N K T) and its share of the integer dot's (16 x 16 bits) measured peak.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/linear/bench_probe.h"
#include "ops/linear/linear.h"
#include "ops/linear/test_weights.h"

namespace mica {
namespace {

Backend& backend() {
  static const Ops table = {.embed = cpu::embed, .linear = cpu::linear};
  static const auto instance = [] {
    const char* threads = std::getenv("MICA_THREADS");
    const char* isa = std::getenv("MICA_ISA");
    return make_cpu_backend({.threads = threads ? std::atoi(threads) : 0, .isa = isa ? isa : ""},
                            table);
  }();
  return *instance;
}

const LimitProbes& probes() {
  switch (cpu_isa(backend())) {
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16: return kProbesAvx512;
    case Isa::kAvx2: return kProbesAvx2;
    case Isa::kPortable: break;
  }
  return kProbesPortable;
}

double now() {
  static const bool cpu_clock = std::getenv("MICA_CLOCK") != nullptr;
  timespec t;
  clock_gettime(cpu_clock ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double seconds_of(const std::function<void()>& work) {
  const double start = now();
  work();
  return now() - start;
}

// What the machine gives: probes run after every measured product, since other programs and, on a
// virtual machine, other guests change it from one moment to the next.
class Limits {
 public:
  void sample() {
    read_time_ += seconds_of([&] { read(); });
    read_bytes_ += static_cast<double>(kPiece);
    dot_time_ += seconds_of([&] {
      cpu_threads(backend()).run([&](int) { benchmark::DoNotOptimize(probes().dot(kRounds)); });
    });
    dot_operations_ += static_cast<double>(kRounds) * dots_per_round() * 16 * 2 * 2 *
                       cpu_threads(backend()).size();
  }
  double bytes_per_second() const { return read_bytes_ / read_time_; }
  double operations_per_second() const { return dot_operations_ / dot_time_; }

 private:
  static constexpr size_t kChunk = 256 << 10, kPiece = size_t{16} << 20, kAll = size_t{192} << 20;
  static constexpr int64_t kRounds = 50000;

  static int dots_per_round() {
    const Isa isa = cpu_isa(backend());
    return isa >= Isa::kAvx512Vnni ? 12 : isa == Isa::kAvx2 ? 6 : 4;
  }
  void read() {
    const auto* piece = static_cast<const std::byte*>(memory().data()) + at_;
    at_ = (at_ + kPiece) % kAll;
    cpu_threads(backend()).parallel_for(kPiece / kChunk, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        benchmark::DoNotOptimize(probes().read(piece + static_cast<size_t>(i) * kChunk, kChunk));
    });
  }
  static const Buffer& memory() {
    static const Buffer buffer = [] {
      Buffer fresh = allocate_host(kAll);
      std::fill_n(static_cast<uint8_t*>(fresh.data()), kAll, uint8_t{1});
      return fresh;
    }();
    return buffer;
  }
  size_t at_ = 0;
  double read_time_ = 0, read_bytes_ = 0, dot_time_ = 0, dot_operations_ = 0;
};

struct Case {
  WeightFormat format;
  int64_t rows, columns, tokens;
};

// The prepared copies of a case's matrix; the last case's are kept for the next.
std::vector<std::unique_ptr<PreparedLinear>>& copies_of(const Case& c) {
  static std::vector<std::unique_ptr<PreparedLinear>> copies;
  static std::string last;
  const std::string key =
      fmt::format("{} {} {} {}", to_string(c.format), c.rows, c.columns, c.tokens > 16);
  if (key == last) return copies;
  last = key;
  copies.clear();
  const TestWeights w(c.format, 1, c.rows, c.columns, false);
  constexpr size_t kTotal = size_t{192} << 20;
  do {
    copies.push_back(backend().prepare(w.view));
  } while (c.tokens <= 16 && c.rows > 256 && copies.size() * copies[0]->weight_bytes < kTotal);
  return copies;
}

void run(benchmark::State& state, const Case& c) {
  auto& copies = copies_of(c);
  std::vector<float> x(static_cast<size_t>(c.tokens * c.columns), 0.5f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97) - 48.0f;
  std::vector<float> y(static_cast<size_t>(c.tokens * c.rows));
  size_t next = 0;
  Limits limits;
  double time = 0;
  for (auto _ : state) {
    const LinearTarget target{
        copies[next].get(), {y.data(), DType::kF32, {c.tokens, c.rows}}, false};
    next = (next + 1) % copies.size();
    const double once = seconds_of([&] {
      backend().ops().linear(backend(),
                             {{x.data(), DType::kF32, {c.tokens, c.columns}}, {&target, 1}});
    });
    time += once;
    state.SetIterationTime(once);
    limits.sample();
  }
  const auto iterations = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(copies[0]->weight_bytes) * iterations / time;
  const double operations =
      2.0 * static_cast<double>(c.rows * c.columns * c.tokens) * iterations / time;
  state.counters["GB/s"] = bytes * 1e-9;
  state.counters["of_read"] = bytes / limits.bytes_per_second();
  state.counters["GOP/s"] = operations * 1e-9;
  state.counters["of_peak"] = operations / limits.operations_per_second();
}

// Repacking at load: GB/s of checkpoint bytes.
void prepare(benchmark::State& state, const WeightFormat& format) {
  const TestWeights w(format, 1, 8192, 2048, false);
  double time = 0;
  for (auto _ : state) {
    const double once = seconds_of([&] { benchmark::DoNotOptimize(backend().prepare(w.view)); });
    time += once;
    state.SetIterationTime(once);
  }
  state.counters["GB/s"] = static_cast<double>(w.view.weight_bytes()) *
                           static_cast<double>(state.iterations()) / time * 1e-9;
}

void register_all() {
  const std::pair<const char*, WeightFormat> formats[] = {
      {"4-bit-g64", {{QuantMode::kAffine, 4, 64}, DType::kBF16}},
      {"4-bit-g32", {{QuantMode::kAffine, 4, 32}, DType::kBF16}},
      {"8-bit-g64", {{QuantMode::kAffine, 8, 64}, DType::kBF16}},
      {"bf16", {{}, DType::kBF16}},
      {"f16", {{}, DType::kF16}},
      {"f32", {{}, DType::kF32}},
      {"2-bit-g64", {{QuantMode::kAffine, 2, 64}, DType::kBF16}},
      {"3-bit-g64", {{QuantMode::kAffine, 3, 64}, DType::kBF16}},
      {"5-bit-g64", {{QuantMode::kAffine, 5, 64}, DType::kBF16}},
      {"6-bit-g64", {{QuantMode::kAffine, 6, 64}, DType::kBF16}},
      {"mxfp4", {{QuantMode::kMxfp4, 4, 32}, DType::kBF16}},
      {"nvfp4", {{QuantMode::kNvfp4, 4, 16}, DType::kBF16}},
      {"mxfp8", {{QuantMode::kMxfp8, 8, 32}, DType::kBF16}},
      {"4-bit-g64-f32", {{QuantMode::kAffine, 4, 64}, DType::kF32}},
  };
  const int64_t shapes[][2] = {{256, 2048},  {2048, 2048}, {8192, 2048},
                               {2048, 8192}, {1024, 3072}, {128256, 2048}};
  for (const auto& [label, format] : formats) {
    benchmark::RegisterBenchmark(fmt::format("prepare/{}", label).c_str(),
                                 [f = format](benchmark::State& state) { prepare(state, f); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    for (const auto& [rows, columns] : shapes) {
      for (int64_t tokens : {1, 4, 8, 64, 512}) {
        if (rows > 100000 && tokens > 4) continue;  // the output layer of a few sequences
        const Case c{format, rows, columns, tokens};
        benchmark::RegisterBenchmark(
            fmt::format("{}/{}x{}/T{}", label, rows, columns, tokens).c_str(),
            [c](benchmark::State& state) { run(state, c); })
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace mica
