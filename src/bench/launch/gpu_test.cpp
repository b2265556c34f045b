// Readings of NVML and nvidia-smi, both played; the sampler; energy.
#include <atomic>
#include <fstream>

#include "bench/launch/gpu_samples.h"
#include "bench/launch/testing/launch_fixture.h"
#include "ops/cuda/probe/facts.h"

namespace mica {
namespace {

const char* const kTwoGpus =
    "gpu 0 H100 81559 30000 85 412.5 700 61 1755 2619 4 123456000\n"
    "gpu 1 H100 81559 500 0 71 700 35 345 2619 1 99000\n"
    "process 0 4711 29000 80\n"
    "process 0 9 400 5\n"
    "process 1 4712 -1 0\n";

class GpuTest : public LaunchTest {
 protected:
  GpuSourceOptions nvml() const { return {FAKE_NVML_LIBRARY, "", 2}; }
  GpuSourceOptions smi(const std::string& script) const {
    write_program(root() / "nvidia-smi", "#!/bin/sh\n" + script);
    return {"", (root() / "nvidia-smi").string(), 5};
  }
};

TEST_F(GpuTest, NvmlTellsAll) {
  gpus_say(kTwoGpus);
  const GpuSourceChoice choice = open_gpu_source(nvml());
  ASSERT_TRUE(choice.source) << choice.why;
  EXPECT_EQ(choice.source->name(), "NVML 580.65.06");
  const auto gpus = choice.source->read();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "H100");
  EXPECT_EQ(gpus[0].uuid, "GPU-0");
  EXPECT_EQ(gpus[0].memory_total, 81559);
  EXPECT_EQ(gpus[0].memory_used, 30000);
  EXPECT_EQ(gpus[0].busy, 85);
  EXPECT_EQ(gpus[0].power, 412.5);
  EXPECT_EQ(gpus[0].power_limit, 700);
  EXPECT_EQ(gpus[0].temperature, 61);
  EXPECT_EQ(gpus[0].sm_clock, 1755);
  EXPECT_EQ(gpus[0].memory_clock, 2619);
  EXPECT_EQ(gpu::slowdown_text(*gpus[0].slowdown), "power limit");
  EXPECT_EQ(gpus[0].energy, 123456);
  ASSERT_EQ(gpus[0].users.size(), 2u);
  EXPECT_EQ(gpus[0].users[0].pid, 4711);
  EXPECT_EQ(gpus[0].users[0].memory, 29000);
  EXPECT_EQ(gpus[0].users[0].busy, 80);
  ASSERT_EQ(gpus[1].users.size(), 1u);
  EXPECT_FALSE(gpus[1].users[0].memory);  // WSL does not tell
}

TEST_F(GpuTest, ManyProcessesOfOneGpuAreAllTold) {
  std::string text = "gpu 0 H100 81559 30000 85 412.5 700 61 1755 2619 4 1\n";
  for (int pid = 1; pid <= 150; ++pid) text += fmt::format("process 0 {} 10 0\n", pid);
  gpus_say(text);
  EXPECT_EQ(open_gpu_source(nvml()).source->read().at(0).users.size(), 150u);
}

TEST_F(GpuTest, AbsentIsCleanlyAbsent) {
  const GpuSourceChoice nothing = open_gpu_source({"libno-such.so.1", "no-such-smi", 1});
  EXPECT_FALSE(nothing.source);
  EXPECT_NE(nothing.why.find("libno-such.so.1"), std::string::npos);
  EXPECT_NE(nothing.why.find("nvidia-smi: not found"), std::string::npos);
  gpus_say("init 18\n");
  EXPECT_NE(open_gpu_source(nvml()).why.find("version mismatch"), std::string::npos);
  gpus_say("");
  EXPECT_NE(open_gpu_source(nvml()).why.find("no GPU"), std::string::npos);
  EXPECT_EQ(open_gpu_source({"", "", 1}).source, nullptr);
}

TEST_F(GpuTest, SmiIsTheSecondSource) {
  const GpuSourceChoice choice = open_gpu_source(smi(R"(case "$1" in
  --query-gpu=*clocks_throttle*) echo 'Field "clocks_throttle_reasons.active" is not a valid field to query.'; exit 2;;
  --query-gpu=*) echo "0, GPU-a, NVIDIA RTX PRO 6000, 97887, 45000, 93, 40, 500.12, 600.00, 70, 2300, 14001"
                 echo "1, GPU-b, NVIDIA RTX PRO 6000, 97887, 4, [N/A], 0, [N/A], 600.00, 30, 180, 405";;
  --query-compute-apps=*) echo "GPU-a, 4711, 44900, python3"; echo "GPU-b, 5, [N/A], [Not Found]";;
esac)"));
  ASSERT_TRUE(choice.source) << choice.why;
  EXPECT_EQ(choice.why, "nvidia-smi");
  const auto gpus = choice.source->read();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "NVIDIA RTX PRO 6000");
  EXPECT_EQ(gpus[0].busy, 93);
  EXPECT_EQ(gpus[0].memory_used, 45000);
  EXPECT_EQ(gpus[0].power, 500.12);
  EXPECT_FALSE(gpus[0].energy);
  EXPECT_FALSE(gpus[1].busy);
  EXPECT_FALSE(gpus[1].power);
  ASSERT_EQ(gpus[0].users.size(), 1u);
  EXPECT_EQ(gpus[0].users[0].memory, 44900);
  EXPECT_FALSE(gpus[1].users.at(0).memory);
}

TEST_F(GpuTest, AnSmiThatFailsSaysWhy) {
  EXPECT_NE(open_gpu_source(smi("echo 'NVIDIA-SMI has failed because it could not communicate'; "
                                "exit 9"))
                .why.find("could not communicate"),
            std::string::npos);
  GpuSourceOptions slow = smi("sleep 60");
  slow.smi_seconds = 0.3;
  EXPECT_NE(open_gpu_source(slow).why.find("no answer in time"), std::string::npos);
}

TEST_F(GpuTest, TheSamplerMapsProcesses) {
  gpus_say(kTwoGpus);
  ProcessFacts member;
  member.id = {4711, 1};
  member.name = "cicc";
  member.cpu_ticks = 300;
  member.resident_bytes = 1 << 20;
  GpuSampler sampler([&] { return open_gpu_source(nvml()); }, 0.02,
                     [&] { return std::vector<ProcessFacts>{member}; });
  ASSERT_TRUE(sampler.next(20));
  const auto sample = sampler.next(20);
  ASSERT_TRUE(sample);
  EXPECT_TRUE(sampler.present());
  EXPECT_EQ(sampler.source(), "NVML 580.65.06");
  EXPECT_EQ(sample->gpus.at(0).own_memory, 29000);
  EXPECT_EQ(sample->gpus.at(0).own_busy, 80);
  EXPECT_EQ(sample->gpus.at(1).own_memory, 0);
  EXPECT_FALSE(sample->gpus.at(1).own_busy);
  EXPECT_EQ(sample->host.processes, 1);
  EXPECT_GT(sample->host.cpu_seconds, 0);
  EXPECT_EQ(sample->host.compiler, "cicc");
  const double now = steady_seconds();
  EXPECT_LE(sample->time, now);
  EXPECT_TRUE(sampler.samples_since(now + 100).empty());
  EXPECT_GE(sampler.samples().size(), 2u);
}

TEST_F(GpuTest, WithoutAGpuTheHostIsSampledAll) {
  GpuSampler sampler(
      [] {
        return open_gpu_source({"", "", 1});
      },
      0.02, [] { return std::vector<ProcessFacts>{{}}; });
  const auto sample = sampler.next(20);
  ASSERT_TRUE(sample);
  EXPECT_FALSE(sampler.present());
  EXPECT_TRUE(sample->gpus.empty());
  EXPECT_EQ(sample->host.processes, 1);
}

TEST_F(GpuTest, AskedForASampleIsTakenAtOnceAndMembersAreLookedForAnew) {
  std::atomic<int> members = 1;
  const auto look = [&] { return std::vector<ProcessFacts>(static_cast<size_t>(members.load())); };
  GpuSampler sampler([] { return open_gpu_source({"", "", 1}); }, 3600, look);
  ASSERT_TRUE(sampler.next(20));
  members = 2;
  const auto sample = sampler.next(20);  // by itself it would come in an hour
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->host.processes, 2);
}

TEST_F(GpuTest, ADriverThatHangsStopsTheSamplesNothingElse) {
  gpus_say(kTwoGpus);
  {
    GpuSampler sampler([&] { return open_gpu_source(nvml()); }, 0.02);
    ASSERT_TRUE(sampler.next(20));
    gpus_say(std::string("hang memory\n") + kTwoGpus);
    ::usleep(100000);
    EXPECT_FALSE(sampler.next(0.2));
  }  // the destructor does not wait for it
  gpus_say(kTwoGpus);
  ::usleep(100000);  // lets the thread end before the folder goes
}

std::vector<GpuSample> trace(const std::vector<std::pair<double, double>>& time_power,
                             bool counters = false) {
  std::vector<GpuSample> samples;
  for (const auto& [time, power] : time_power) {
    GpuReading reading;
    reading.index = 0;
    reading.power = power;
    reading.busy = static_cast<int>(power / 10);
    reading.memory_used = 1000 + static_cast<int64_t>(power);
    reading.sm_clock = 1000 + static_cast<int>(power);
    reading.slowdown = power > 400 ? 0x24 : power > 200 ? 4 : 0;
    reading.temperature = 30 + static_cast<int>(power / 10);
    if (counters) reading.energy = 1000 + 200 * time;
    samples.push_back({time, {reading}, {}});
  }
  return samples;
}

TEST(GpuEnergy, IsTheIntegralOfThePower) {
  const auto samples = trace({{0, 100}, {1, 100}, {3, 300}, {4, 300}});
  EXPECT_DOUBLE_EQ(energy_joules(samples, 0, 4).value(), 100 + 400 + 300);
  EXPECT_DOUBLE_EQ(energy_joules(samples, 0.5, 2).value(), 50 + 150);  // inside of samples
  EXPECT_DOUBLE_EQ(energy_joules(samples, 1.25, 1.75).value(), 75);
  EXPECT_DOUBLE_EQ(energy_joules(samples, 3, 5).value(), 600);  // at most 1.5 s beyond
  EXPECT_FALSE(energy_joules(samples, 0, 6));
  EXPECT_FALSE(energy_joules(samples, 2, 2));
  EXPECT_FALSE(energy_joules({}, 0, 1));
  EXPECT_DOUBLE_EQ(joules_per_token(samples, 0, 4, 100).value(), 8);
  EXPECT_FALSE(joules_per_token(samples, 0, 4, 0));
}

TEST(GpuEnergy, CountersWinWhereTheyCover) {
  const auto samples = trace({{0, 100}, {1, 100}, {3, 300}, {4, 300}}, true);
  EXPECT_DOUBLE_EQ(energy_joules(samples, 0.5, 3.5).value(), 600);  // 200 J/s
  EXPECT_DOUBLE_EQ(energy_joules(samples, 3, 5).value(), 600);      // beyond: by the power
}

TEST(GpuEnergy, OfSeveralGpus) {
  auto samples = trace({{0, 100}, {4, 100}});
  for (GpuSample& sample : samples) {
    sample.gpus.push_back(sample.gpus[0]);
    sample.gpus[1].index = 1;
    sample.gpus[1].power = 50;
  }
  EXPECT_DOUBLE_EQ(energy_joules(samples, 0, 4).value(), 600);
  EXPECT_DOUBLE_EQ(energy_joules(samples, 0, 4, {1}).value(), 200);
  EXPECT_FALSE(energy_joules(samples, 0, 4, {7}));
}

TEST(GpuSummary, OfASpan) {
  const auto all = summarise(trace({{0, 900}, {1, 100}, {2, 300}, {3, 500}, {9, 900}}), 1, 3);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_DOUBLE_EQ(all[0].mean_power, 300);
  EXPECT_DOUBLE_EQ(all[0].mean_busy, 30);
  EXPECT_EQ(all[0].peak_memory, 1500);
  EXPECT_EQ(all[0].min_sm_clock, 1100);
  EXPECT_EQ(all[0].max_sm_clock, 1500);
  EXPECT_EQ(all[0].max_temperature, 80);
  EXPECT_DOUBLE_EQ(all[0].mean_temperature, 60);
  EXPECT_EQ(all[0].slowdown, 0x24);
  EXPECT_NEAR(all[0].slowed, 1.0 / 3, 1e-9);  // a power limit is no harm
}

}  // namespace
}  // namespace mica
