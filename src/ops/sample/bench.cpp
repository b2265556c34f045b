// Sampling of one row of 151936 logits.
#include <benchmark/benchmark.h>

#include "backend_test.h"
#include "ops/sample/sample.h"

namespace mica {
namespace {

constexpr int64_t kVocabulary = 151936;

void run(benchmark::State& state, const SamplingParams& params, int32_t top_logprobs = 0) {
  TestBackend backend({.device = "cpu", .threads = 1});
  // A few likely tokens over a broad floor, as models give.
  std::vector<float> logits = random_values(kVocabulary, 1, 2.5f);
  for (size_t i = 0; i < 40; ++i) logits[i * 1999] += 12;
  const Tensor tensor = backend.put(logits, {1, kVocabulary});
  const std::vector<int32_t> history = {1, 2, 3, 4, 5, 6, 7, 8};
  SampleRow row{.params = &params, .history = history, .top_logprobs = top_logprobs};
  SampleResult result;
  for (auto _ : state) {
    backend.ops().sample(*backend, {.logits = tensor, .rows = {&row, 1}, .results = {&result, 1}});
    ++row.draw;
  }
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kVocabulary * 4) / 1e9, benchmark::Counter::kIsRate);
}

void greedy(benchmark::State& state) {
  run(state, {});
}
void greedy_top_20(benchmark::State& state) {
  run(state, {}, 20);
}
void temperature(benchmark::State& state) {
  run(state, {.temperature = 0.8f});
}
void top_k(benchmark::State& state) {
  run(state, {.temperature = 0.8f, .top_k = 40});
}
void top_p(benchmark::State& state) {
  run(state, {.temperature = 0.8f, .top_p = 0.95f});
}
void top_p_flat(benchmark::State& state) {
  run(state, {.temperature = 0.8f, .top_p = 0.9999f});
}
void all_filters(benchmark::State& state) {
  run(state, {.temperature = 0.8f,
              .top_p = 0.95f,
              .min_p = 0.01f,
              .top_k = 40,
              .xtc_probability = 1,
              .repetition_penalty = 1.1f});
}

BENCHMARK(greedy)->Unit(benchmark::kMicrosecond);
BENCHMARK(greedy_top_20)->Unit(benchmark::kMicrosecond);
BENCHMARK(temperature)->Unit(benchmark::kMicrosecond);
BENCHMARK(top_k)->Unit(benchmark::kMicrosecond);
BENCHMARK(top_p)->Unit(benchmark::kMicrosecond);
BENCHMARK(top_p_flat)->Unit(benchmark::kMicrosecond);
BENCHMARK(all_filters)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mica
