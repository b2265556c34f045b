// From traces to verdicts.
#include "bench/launch/gpu_verdict.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

// A steady state of one GPU.
struct State {
  std::optional<int64_t> own;  // MiB
  int64_t used = 0;
  int busy = 0;
  double power = 100;
};

struct Trace {
  std::vector<State> gpus;
  double cores = 0;  // busy, of the host
  double seconds = 5;
  std::string compiler;
};

std::vector<GpuSample> samples_of(const Trace& trace) {
  std::vector<GpuSample> samples;
  for (double time = 0; time <= trace.seconds; time += 0.5) {
    GpuSample sample;
    sample.time = 100 + time;
    sample.host = {3, 10 + trace.cores * time, uint64_t{2} << 30, trace.compiler};
    for (size_t i = 0; i < trace.gpus.size(); ++i) {
      const State& state = trace.gpus[i];
      GpuReading reading;
      reading.index = static_cast<int>(i);
      reading.name = "H100";
      reading.memory_total = 81559;
      reading.memory_used = state.used;
      reading.own_memory = state.own;
      reading.busy = state.busy;
      reading.power = state.power;
      reading.power_limit = 700;
      sample.gpus.push_back(reading);
    }
    samples.push_back(sample);
  }
  return samples;
}

const GpuSample kIdleBaseline = samples_of({{{{}, 500, 0}, {{}, 500, 0}}})[0];

GpuVerdict judge(const Trace& trace, bool generated, const GpuExpectation& expectation = {},
                 EngineActivity activity = {}) {
  activity.generated = generated;
  return judge_gpu_use(samples_of(trace), kIdleBaseline, expectation, activity);
}

void expect(GpuVerdictKind kind, const GpuVerdict& verdict) {
  EXPECT_STREQ(name(verdict.kind), name(kind)) << describe(verdict);
}

TEST(GpuVerdict, OnTheGpu) {
  const GpuVerdict verdict = judge({{{30000, 30500, 80}}, 0.5}, true, {1, 29000});
  expect(GpuVerdictKind::kOnGpu, verdict);
  EXPECT_TRUE(verdict.good());
  EXPECT_NE(
      describe(verdict).find("GPU 0 (H100): 29.3 GiB of the engine, busy 80 %, 100 W of 700 W"),
      std::string::npos)
      << describe(verdict);
  EXPECT_NE(describe(verdict).find("weights: 28.3 GiB"), std::string::npos);
  EXPECT_NE(describe(verdict).find("0.5 processor cores busy"), std::string::npos);
}

TEST(GpuVerdict, NotOnTheGpu) {  // the seed: a model that runs on the processor
  const GpuVerdict verdict = judge({{{0, 500, 0}, {0, 500, 0}}, 7.9}, false);
  expect(GpuVerdictKind::kNotOnGpu, verdict);
  EXPECT_NE(verdict.summary.find("7.9 processor cores"), std::string::npos) << verdict.summary;
  EXPECT_FALSE(verdict.good());
  expect(GpuVerdictKind::kNotOnGpu, judge({{{0, 500, 0}}, 7.9}, true));
  // Work of others is not the engine's.
  expect(GpuVerdictKind::kNotOnGpu,
         judge_gpu_use(samples_of({{{0, 40000, 99}}, 4}), samples_of({{{0, 40000, 99}}})[0], {},
                       {.generated = true}));
}

TEST(GpuVerdict, AContextWithoutWork) {  // llama.cpp with no layer on the GPU
  expect(GpuVerdictKind::kNotOnGpu, judge({{{450, 950, 0}}, 8}, true));
  expect(GpuVerdictKind::kNotOnGpu, judge({{{450, 950, 0}}, 8}, false));
}

TEST(GpuVerdict, OneGpuIdle) {
  const GpuVerdict verdict = judge({{{30000, 30500, 80}, {0, 4, 0}}}, true, {2, -1});
  expect(GpuVerdictKind::kOneGpuIdle, verdict);
  EXPECT_NE(verdict.summary.find("GPU 1 holds nothing"), std::string::npos) << verdict.summary;
  const GpuVerdict lazy = judge({{{30000, 30500, 80}, {30000, 30500, 0}}}, true, {2, -1});
  expect(GpuVerdictKind::kOneGpuIdle, lazy);
  EXPECT_NE(lazy.summary.find("GPU 1 holds memory and does nothing"), std::string::npos);
  // One is enough where one was wanted.
  expect(GpuVerdictKind::kOnGpu, judge({{{30000, 30500, 80}, {0, 4, 0}}}, true, {1, -1}));
  expect(GpuVerdictKind::kOnGpu, judge({{{30000, 30500, 80}, {0, 4, 0}}}, true));
}

TEST(GpuVerdict, PartialOffload) {
  const GpuVerdict verdict = judge({{{12000, 12500, 40}}, 9}, true, {1, 40000});
  expect(GpuVerdictKind::kPartialOffload, verdict);
  EXPECT_NE(verdict.summary.find("11.7 GiB of memory there, 39.1 GiB of weights"),
            std::string::npos)
      << verdict.summary;
  expect(GpuVerdictKind::kOnGpu, judge({{{39000, 39500, 40}}, 1}, true, {1, 40000}));
  expect(GpuVerdictKind::kOnGpu,
         judge({{{20000, 20500, 40}, {20000, 20500, 41}}}, true, {2, 40000}));
}

TEST(GpuVerdict, Compiling) {
  expect(GpuVerdictKind::kCompiling, judge({{{30000, 30500, 0}}, 4, 5, "ptxas"}, false));
  expect(GpuVerdictKind::kCompiling,
         judge({{{30000, 30500, 10}}, 4}, false, {}, {.compile_lines = true}));
  expect(GpuVerdictKind::kCompiling, judge({{{0, 500, 0}}, 4, 5, "cicc"}, false));
  // It does not excuse an engine that has answered.
  expect(GpuVerdictKind::kNotOnGpu, judge({{{0, 500, 0}}, 4, 5, "cicc"}, true));
}

TEST(GpuVerdict, Waiting) {
  expect(GpuVerdictKind::kWaiting, judge({{{30000, 30500, 0}}, 0.02}, false));
  expect(GpuVerdictKind::kWaiting, judge({{{0, 500, 0}}, 0.02}, false));
  const GpuVerdict spinning =
      judge({{{30000, 30500, 100, 150}, {30000, 30500, 100, 150}}, 2}, false, {2, -1});
  expect(GpuVerdictKind::kWaiting, spinning);
  EXPECT_NE(spinning.summary.find("NCCL_P2P_DISABLE"), std::string::npos);
  // Fully busy at full power is work.
  expect(GpuVerdictKind::kOnGpu,
         judge({{{30000, 30500, 100, 650}, {30000, 30500, 100, 640}}, 2}, false, {2, -1}));
}

TEST(GpuVerdict, DeadAndNoGpuExpectedAndUnknown) {
  const GpuVerdict dead = judge({{{0, 500, 0}}}, false, {}, {.dead = true, .end = "exit status 1"});
  expect(GpuVerdictKind::kDead, dead);
  EXPECT_NE(dead.summary.find("exit status 1"), std::string::npos);
  expect(GpuVerdictKind::kNoGpuExpected, judge({{{0, 500, 0}}, 8}, true, {0, -1}));
  // No token came: whether it computes or hangs is told on the processor as well.
  expect(GpuVerdictKind::kNoGpuExpected, judge({{{0, 500, 0}}, 8}, false, {0, -1}));
  expect(GpuVerdictKind::kWaiting, judge({{{0, 500, 0}}, 0}, false, {0, -1}));
  EXPECT_TRUE(judge({{}, 8}, true, {0, -1}).good());
  expect(GpuVerdictKind::kCannotTell, judge({{}, 8}, true));
  expect(GpuVerdictKind::kCannotTell, judge_gpu_use({}, std::nullopt, {}, {}));
}

TEST(GpuVerdict, WhereProcessesAreNotToldMemoryThatCameCounts) {
  // As inside a container: no process is listed.
  const GpuVerdict verdict = judge({{{0, 30500, 80}}, 0.5}, true, {1, 29000});
  expect(GpuVerdictKind::kOnGpu, verdict);
  EXPECT_NE(describe(verdict).find("29.3 GiB more than before the start"), std::string::npos)
      << describe(verdict);
  expect(GpuVerdictKind::kOnGpu, judge({{{std::nullopt, 30500, 80}}, 0.5}, true, {1, 29000}));
}

TEST(GpuVerdict, AShortLookSaysNothingOfIdleness) {
  expect(GpuVerdictKind::kOnGpu, judge({{{30000, 30500, 0}}, 3, 0.5}, true));
}

}  // namespace
}  // namespace mica
