// What the host adds to a step: plan, batch tensors, bookkeeping. No model, no sampler.
#include <benchmark/benchmark.h>

#include "engine/batch_builder.h"
#include "engine/fake_model.h"
#include "engine/scheduler.h"

namespace mica {
namespace {

// A decode step of `sequences`, each with `context` tokens in blocks of 32.
void BM_DecodeStep(benchmark::State& state) {
  const auto sequences = static_cast<int32_t>(state.range(0));
  const auto context = static_cast<int32_t>(state.range(1));
  const int32_t blocks = sequences * (context / 32 + 2);
  fake::FakeBackend backend;
  const BatchLimits limits{.tokens = 512 + sequences,
                           .sequences = sequences,
                           .rows = sequences,
                           .blocks_per_sequence = context / 32 + 2,
                           .block_size = 32};
  BatchBuilder builder(backend, limits);
  std::vector<Sequence> all(static_cast<size_t>(sequences));
  Scheduler scheduler({.blocks = blocks, .max_sequences = sequences, .prefill_tokens = 1 << 20});
  uint64_t id = 0;
  const auto refill = [&] {
    for (Sequence& sequence : all) {
      if (sequence.place != Sequence::Place::kOutside) scheduler.remove(sequence);
      sequence = {};
      sequence.id = id++;
      sequence.prompt_tokens = context;
      for (int32_t i = 0; i < context; ++i)
        sequence.tokens.push_back(static_cast<int32_t>(id) * 7 + i);
      scheduler.add(sequence);
    }
    scheduler.complete(scheduler.plan());
    for (Sequence& sequence : all) sequence.tokens.push_back(1);
  };
  refill();
  for (auto _ : state) {
    if (all[0].length() >= context + 32) {
      state.PauseTiming();
      refill();
      state.ResumeTiming();
    }
    const std::vector<Slice> step = scheduler.plan();
    benchmark::DoNotOptimize(&builder.build(step));
    scheduler.complete(step);
    for (Sequence& sequence : all) sequence.tokens.push_back(1);
  }
}
BENCHMARK(BM_DecodeStep)->Args({1, 1024})->Args({32, 1024})->Args({32, 16384})->Args({256, 1024});

}  // namespace
}  // namespace mica
