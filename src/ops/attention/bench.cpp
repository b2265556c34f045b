// Attention beside its limits: bytes of the cache per second in decode, FLOP/s in prefill.
#include <benchmark/benchmark.h>

#include "ops/attention/test_case.h"

namespace mica {
namespace {

void run(benchmark::State& state, const AttentionCase& c) {
  TestBackend backend({.device = "cpu", .threads = static_cast<int>(state.range(0))});
  AttentionSetup setup(backend, c);
  double keys = 0;  // visible keys, summed over queries
  double length = 0;
  for (const AttentionSequence& s : c.sequences) {
    keys += static_cast<double>(s.queries) *
            (static_cast<double>(s.past) + static_cast<double>(s.queries + 1) / 2);
    length += static_cast<double>(s.past + s.queries);
  }
  for (auto _ : state) setup.run();
  const auto steps = static_cast<double>(state.iterations());
  const double bytes = 2 * length * static_cast<double>(c.kv_heads * c.spec().vector_bytes());
  const double flop = 4 * keys * static_cast<double>(c.heads * c.head_dim);
  state.counters["GB/s"] = benchmark::Counter(bytes * steps / 1e9, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] = benchmark::Counter(flop * steps / 1e9, benchmark::Counter::kIsRate);
}

// Arguments: threads, tokens of context, query heads, bits of the cache: 0 is bf16 (8 kv heads of
// 128).
void decode(benchmark::State& state) {
  run(state, {.sequences = {{.past = state.range(1) - 1, .queries = 1}},
              .heads = state.range(2),
              .kv_heads = 8,
              .head_dim = 128,
              .block_size = 32,
              .cache = DType::kBF16,
              .kv_bits = static_cast<int>(state.range(3))});
}

// Arguments: threads, tokens, query heads, bits of the cache.
void prefill(benchmark::State& state) {
  run(state, {.sequences = {{.past = 0, .queries = state.range(1)}},
              .heads = state.range(2),
              .kv_heads = 8,
              .head_dim = 128,
              .block_size = 32,
              .cache = DType::kBF16,
              .kv_bits = static_cast<int>(state.range(3))});
}

BENCHMARK(decode)
    ->ArgsProduct({{1, 2}, {1024, 8192, 32768}, {8, 32}, {0, 8, 4}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(prefill)
    ->ArgsProduct({{1, 2}, {512, 2048}, {32}, {0, 8, 4}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mica
