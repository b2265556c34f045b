#include "bench/run/gpu_report.h"

#include <gtest/gtest.h>

#include "bench/report/details.h"
#include "bench/report/report.h"
#include "bench_runs.h"
#include "temp_folder.h"

namespace mica {
namespace {

// Two GPUs over ten seconds, 300 and 100 W; the engine's memory on the first one alone.
GpuSpan span_of(std::optional<int64_t> own, int64_t slowdown = 4) {
  GpuSpan span;
  span.source = "NVML 580";
  span.epoch = 100;
  span.begin = 101;
  span.end = 109;
  span.verdict.kind = GpuVerdictKind::kOnGpu;
  for (double time = 100; time <= 110; time += 0.5) {
    GpuSample sample;
    sample.time = time;
    for (const int index : {0, 1}) {
      GpuReading gpu;
      gpu.index = index;
      gpu.name = "NVIDIA H100";
      gpu.power = index == 0 ? 300 : 100;
      gpu.memory_used = 20480;
      gpu.temperature = time < 105 ? 50 : 60;
      gpu.sm_clock = time < 105 ? 1980 : 1200;
      gpu.slowdown = slowdown;
      if (own) gpu.own_memory = index == 0 ? *own : 0;
      sample.gpus.push_back(gpu);
    }
    span.samples.push_back(sample);
  }
  return span;
}

class GpuReport : public testing::Test {
 protected:
  RunRecord report(const GpuSpan& span, const GpuPlan& plan) {
    RunRecord head = sample_head();
    head.provenance.gpus_used.reset();
    RunWriter writer = store_.begin(head);
    writer.add(streamed(0, {}));
    add_gpu_report(writer, span, plan);
    const std::string id = writer.finish().id;
    return store_.load(id);
  }
  static const Mark* mark_of(const RunRecord& run, const std::string& code) {
    for (const Mark& mark : run.marks)
      if (mark.code == code) return &mark;
    return nullptr;
  }
  static double energy(const RunRecord& run) {
    for (const SeriesRecord& series : run.telemetry)
      if (series.name == "energy") return series.values.at(0);
    return -1;
  }
  TempFolder folder_;
  ResultStore store_{folder_.path()};
};

TEST_F(GpuReport, TheGpusWithTheEnginesMemoryCount) {
  const RunRecord run = report(span_of(20000), {.gpus = {0, 1}});
  EXPECT_EQ(run.provenance.gpus_used, std::vector<int>{0});
  EXPECT_EQ(run.gpu_count(), 1);
  EXPECT_NEAR(energy(run), 8 * 300, 1e-6);
}

TEST_F(GpuReport, AShortLoadIsToldByTheSampleBehindIt) {
  GpuSpan span = span_of(20000);
  span.begin = 101.1;
  span.end = 101.2;  // between two samples
  EXPECT_EQ(report(span, {}).provenance.gpus_used, std::vector<int>{0});
}

TEST_F(GpuReport, ElseThoseOfThePlan) {
  const RunRecord run = report(span_of(std::nullopt), {.gpus = {1}});
  EXPECT_EQ(run.provenance.gpus_used, std::vector<int>{1});
  EXPECT_NEAR(energy(run), 8 * 100, 1e-6);
  const RunRecord unknown = report(span_of(std::nullopt), {});
  EXPECT_FALSE(unknown.provenance.gpus_used);
  EXPECT_NEAR(energy(unknown), 8 * 400, 1e-6);
}

TEST_F(GpuReport, ARunOnTheProcessorUsesNone) {
  GpuSpan span = span_of(0);
  span.verdict.kind = GpuVerdictKind::kNoGpuExpected;
  const RunRecord run = report(span, {.gpus = {0, 1}});
  ASSERT_TRUE(run.provenance.gpus_used);
  EXPECT_EQ(run.gpu_count(), 0);
  EXPECT_FALSE(tokens_per_gpu(run));
  EXPECT_EQ(energy(run), -1);
}

TEST_F(GpuReport, SummariesAndSlowdown) {
  const RunRecord calm = report(span_of(20000), {});
  ASSERT_EQ(calm.gpu_use.size(), 2u);
  EXPECT_EQ(calm.gpu_use[0].peak_own_memory, 20000);
  EXPECT_EQ(calm.gpu_use[0].min_sm_clock, 1200);
  EXPECT_EQ(calm.gpu_use[0].slowdown, "power limit");
  EXPECT_FALSE(mark_of(calm, "throttled"));  // a power limit is expected
  const RunRecord hot = report(span_of(20000, 0x45), {});
  const Mark* mark = mark_of(hot, "throttled");
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->severity, Severity::kWarning);
  EXPECT_EQ(mark->text, "GPU 0 slowed down in 100 % of the samples: thermal slowdown (hardware)");
  EXPECT_EQ(details_of(hot).at(0),
            "GPU 0 (NVIDIA H100): 20.0 GiB of memory at most, 19.5 GiB of the engine; 300 W in the "
            "mean; 55 °C in the mean, 60 at most; SM 1200 to 1980 MHz; slowed down by: power "
            "limit, thermal slowdown (hardware)");
}

TEST_F(GpuReport, TheEstimateBesideWhatWasSeen) {
  const RunRecord run = report(span_of(20992), {.estimated = uint64_t{20} << 30, .reserved = 0.9});
  ASSERT_TRUE(mark_of(run, "memory_estimate"));
  EXPECT_EQ(mark_of(run, "memory_estimate")->text,
            "memory: estimated 20.0 GiB, seen 20.5 GiB; it takes 90 % of the memory whatever it "
            "needs");
  EXPECT_FALSE(mark_of(report(span_of(std::nullopt), {.estimated = 1}), "memory_estimate"));
}

}  // namespace
}  // namespace mica
