#include "bench/plan/fit.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mica {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// 30 GiB of weights of 4 bits; one token takes 64 KiB.
FitQuestion question() {
  FitQuestion q;
  q.model.weight_bytes = 30 * kGiB;
  q.model.parameters = 60 * int64_t{1} << 30;
  q.model.bits_per_weight = 4;
  q.model.context = 32768;
  q.model.kv.full = 32768;
  q.model.kv.heads = 8;
  q.memory.overhead_mib = 1024;
  q.gpus = {{0, "", 120, 48 * kGiB, 48 * kGiB}};
  q.can_quantize_kv = true;
  return q;
}

std::string advice(const MemoryFit& fit) {
  std::string text;
  for (const std::string& line : fit.advice) text += line + "\n";
  return text;
}

TEST(Fit, WhatIsNeededAndWhatThereIs) {
  const MemoryFit fit = fit_memory(question());
  EXPECT_TRUE(fit.known);
  EXPECT_TRUE(fit.fits);
  EXPECT_EQ(fit.context, 32768);
  EXPECT_EQ(fit.sequences, 1);
  EXPECT_EQ(fit.kv, 2 * kGiB);
  EXPECT_EQ(fit.overhead, kGiB);
  EXPECT_EQ(fit.needed, 33 * kGiB);
  EXPECT_EQ(fit.available, 48 * kGiB);
  EXPECT_EQ(fit.most_sequences, 8);    // 17 GiB of 2 each
  EXPECT_EQ(fit.most_context, 32768);  // what the model can; the memory has room for 17 * 16384
  EXPECT_EQ(advice(fit),
            "there is room for 32768 tokens a sequence (all that the model was made for), or for 8 "
            "sequences\n");
  FitQuestion unlimited = question();
  unlimited.model.context = 0;
  EXPECT_EQ(fit_memory(unlimited).most_context, 17 * 16384);
}

TEST(Fit, WhatToChangeWithNumbers) {
  FitQuestion q = question();
  q.sequences = 12;
  const MemoryFit fit = fit_memory(q);
  EXPECT_FALSE(fit.fits);
  EXPECT_EQ(
      advice(fit),
      "a context of at most 23040 tokens (--context) with 12 sequences\n"
      "at most 8 sequences (--concurrency) of 32768 tokens\n"
      "keys and values in 8 bits (--kv-bits 8) take 12.8 GiB instead of 24.0 GiB, which fits\n"
      "2 GPUs of this size\n"
      "a quantization to 3.1 bits a weight or less; it has 4.0\n");
}

TEST(Fit, NotEvenTheWeights) {
  FitQuestion q = question();
  q.gpus[0].total = q.gpus[0].free = 24 * kGiB;
  const MemoryFit fit = fit_memory(q);
  EXPECT_FALSE(fit.fits);
  EXPECT_EQ(fit.most_context, 0);
  EXPECT_EQ(fit.most_sequences, 0);
  EXPECT_NE(advice(fit).find("2 GPUs of this size"), std::string::npos);
  EXPECT_NE(advice(fit).find("a quantization to 2.8 bits"), std::string::npos);
}

TEST(Fit, ShareOfAllMemoryAndOfWhatIsFree) {
  FitQuestion q = question();
  q.memory.fraction = 0.5;
  q.memory.fraction_of = "total";
  EXPECT_EQ(fit_memory(q).available, 24 * kGiB);
  q.fraction = 0.75;  // the command line's
  EXPECT_EQ(fit_memory(q).available, 36 * kGiB);
  q.memory.fraction_of = "free";  // of the 18 GiB that the weights leave
  EXPECT_EQ(fit_memory(q).available, 30 * kGiB + 18 * kGiB * 3 / 4);
  q.gpus[0].free = 40 * kGiB;
  q.memory.fraction_of = "";
  EXPECT_EQ(fit_memory(q).available, 40 * kGiB);
}

TEST(Fit, SeveralGpus) {
  FitQuestion q = question();
  q.gpus.push_back({1, "", 120, 24 * kGiB, 24 * kGiB});
  const MemoryFit even = fit_memory(q);  // equal parts: the smaller one counts twice
  EXPECT_EQ(even.available, 48 * kGiB);
  EXPECT_EQ(even.overhead, 2 * kGiB);
  q.memory.split = "layers";
  EXPECT_EQ(fit_memory(q).available, 72 * kGiB);
  q.model.kv.heads = 1;  // kept on both
  q.memory.split = "tensors";
  EXPECT_EQ(fit_memory(q).kv, 4 * kGiB);
}

TEST(Fit, ExpertsInTheHostsMemory) {
  FitQuestion q = question();
  q.memory.host_experts = true;
  q.model.expert_bytes = 25 * kGiB;
  EXPECT_EQ(fit_memory(q).weights, 5 * kGiB);
}

TEST(Fit, UnknownMemoryOnlyNeeds) {
  FitQuestion q = question();
  q.gpus.clear();
  const MemoryFit fit = fit_memory(q);
  EXPECT_FALSE(fit.known);
  EXPECT_EQ(fit.needed, 33 * kGiB);
  EXPECT_TRUE(fit.advice.empty());
}

TEST(Fit, OnTheProcessorTheHostsMemoryCounts) {
  FitQuestion q = question();
  q.on_cpu = true;
  EXPECT_FALSE(fit_memory(q).known);
  q.host_available = 40 * kGiB;
  const MemoryFit fit = fit_memory(q);
  EXPECT_TRUE(fit.known && fit.fits && fit.on_cpu);
  EXPECT_EQ(fit.available, 40 * kGiB);
  EXPECT_EQ(fit.gpus, 1);
  q.host_available = 20 * kGiB;
  EXPECT_FALSE(fit_memory(q).fits);
  EXPECT_EQ(advice(fit_memory(q)).find("GPU"), std::string::npos) << advice(fit_memory(q));
}

TEST(Fit, LayersInTheHostsMemory) {
  FitQuestion q = question();
  q.gpus[0].total = q.gpus[0].free = 24 * kGiB;  // 23 for 40 layers of 0.8 each
  q.model.layers = 40;
  q.offload = "gpu_layers";
  q.host_available = 64 * kGiB;
  EXPECT_NE(advice(fit_memory(q))
                .find("28 of 40 layers on the GPU (--set gpu_layers=28), 9.6 GiB in the host's "
                      "memory; slower"),
            std::string::npos)
      << advice(fit_memory(q));
  q.host_available = 4 * kGiB;
  EXPECT_NE(advice(fit_memory(q)).find("memory, which has only 4.0 GiB"), std::string::npos);
  q.gpu_layers = 28;
  EXPECT_TRUE(fit_memory(q).fits);
  q.gpu_layers = 29;
  EXPECT_FALSE(fit_memory(q).fits);
  q.gpu_layers = 99;  // all
  EXPECT_EQ(fit_memory(q).needed, 33 * kGiB);
}

TEST(Fit, WeightsAndExpertsInTheHostsMemory) {
  FitQuestion q = question();
  q.gpus[0].total = q.gpus[0].free = 24 * kGiB;
  q.offload = "cpu_offload";
  q.model.format = "safetensors";
  q.model.expert_bytes = 25 * kGiB;
  const std::string text = advice(fit_memory(q));
  EXPECT_NE(text.find("--set cpu_offload=10 keeps 10.0 GiB in the host's memory"), text.npos)
      << text;
  EXPECT_NE(text.find("(--backend ktransformers): 25.0 GiB in the host's memory"), text.npos);
  q.offloaded = 10 * kGiB;
  EXPECT_TRUE(fit_memory(q).fits);
}

}  // namespace
}  // namespace mica
