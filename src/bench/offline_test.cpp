#include "bench/offline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/device_draw.h"
#include "bench/engine_decode.h"
#include "bench/offline_report.h"
#include "bench/timed_weights.h"
#include "checkpoint/synthetic.h"
#include "engine/single.h"
#include "model/config.h"
#include "model/synthetic_options.h"

namespace mica {
namespace {

constexpr const char* kDense = R"({
  "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300,
  "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "max_position_embeddings": 512, "rope_theta": 10000})";
constexpr const char* kExperts = R"({
  "model_type": "qwen3_moe", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300,
  "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "max_position_embeddings": 512, "num_experts": 8, "num_experts_per_tok": 2,
  "moe_intermediate_size": 32, "decoder_sparse_step": 1, "mlp_only_layers": [],
  "norm_topk_prob": true, "rope_theta": 10000})";

struct Fixture {
  explicit Fixture(const char* config, const std::string& device = "cpu")
      : backend(make_backend({.device = device, .threads = 2})) {
    const ModelConfig parsed = parse_model_config(config);
    SyntheticWeights weights({.scheme = {QuantMode::kAffine, 4, 32}});
    model = load_model(parsed, weights, *backend);
  }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

const DeviceLimits kLimits = {.read = {}, .product = {.operations_per_second = 1e9, .size = 1}};

std::vector<std::string> names(const std::vector<OfflineResult>& results) {
  std::vector<std::string> list;
  for (const OfflineResult& r : results) list.push_back(r.test);
  return list;
}

TEST(Offline, RunsEveryTestOnce) {
  Fixture f(kDense);
  const OfflineOptions options = {.prompt = {8, 0, 20},
                                  .generate = {4, 0},
                                  .streams = {1, 3},
                                  .prompt_streams = {2},
                                  .repetitions = 2,
                                  .step_tokens = 8,
                                  .engine = true};
  const auto results = run_offline(*f.backend, *f.model, kLimits, options);
  EXPECT_EQ(names(results), (std::vector<std::string>{"pp8 x2", "pp20 x2", "tg4", "engine4",
                                                      "tg4 x3", "engine4 x3"}));
  const auto weights = static_cast<double>(f.model->weights_per_token());
  for (const OfflineResult& r : results) {
    SCOPED_TRACE(r.test);
    EXPECT_EQ(r.samples.size(), 2u);
    EXPECT_GT(r.tokens_per_second, 0);
    EXPECT_DOUBLE_EQ(r.operations_per_second, 2 * weights * r.tokens_per_second);
    EXPECT_DOUBLE_EQ(r.operations_share, r.operations_per_second / 1e9);
    const bool decodes = r.test[0] != 'p';
    EXPECT_EQ(r.bytes_per_second > 0, decodes);
    EXPECT_EQ(r.bandwidth_share > 0, decodes);
    EXPECT_EQ(r.step_seconds > 0, decodes);
    EXPECT_GE(r.longest_step_seconds, r.step_seconds);
    EXPECT_EQ(r.queued_step_seconds > 0, r.test[0] == 't');
    EXPECT_GE(r.gap_seconds, 0);
    EXPECT_LE(r.gap_seconds, r.longest_step_seconds);
  }
}

TEST(Offline, WithoutPromptStreamsBothKindsUseTheSame) {
  Fixture f(kDense);
  const auto results = run_offline(
      *f.backend, *f.model, kLimits,
      {.prompt = {4}, .generate = {2}, .streams = {1, 2}, .depth = 6, .repetitions = 1});
  EXPECT_EQ(names(results),
            (std::vector<std::string>{"pp4 @ d6", "pp4 x2 @ d6", "tg2 @ d6", "tg2 x2 @ d6"}));
}

// A step of the engine is one token of each sequence: what it counts must be what was decoded.
TEST(Offline, EngineStepsAreThoseOfAllSequences) {
  Fixture f(kDense);
  for (const int32_t streams : {1, 5}) {
    EngineBench bench(*f.backend, *f.model, streams, /*prompt=*/10, /*tokens=*/20,
                      /*step_tokens=*/16);
    for (int round = 0; round < 2; ++round) {
      const EngineDecode decoded = bench.decode();
      // The sequences join over five steps at most.
      EXPECT_GE(decoded.step_seconds.size(), 18u);
      EXPECT_LE(decoded.step_seconds.size(), 25u);
      for (const double seconds : decoded.step_seconds) EXPECT_GT(seconds, 0);
      EXPECT_LT(decoded.between_steps, 1);
    }
  }
}

TEST(Offline, EveryDeviceHasLimits) {
  for (const std::string device : {"cpu", "ref"}) {
    const auto backend = make_backend({.device = device, .threads = 2});
    const ProductPeak peak = measure_product_peak(*backend);
    EXPECT_GT(peak.operations_per_second, 1e6) << device;
    EXPECT_GE(peak.size, 256) << device;
  }
}

// The device's own read of its memory, here on the emulator.
TEST(Offline, ReadProbeAsksTheDevice) {
  const auto backend = make_backend({.device = "simt"});
  const BandwidthProbe probe = ReadProbe(*backend).measure(3);
  EXPECT_GT(probe.bytes_per_second, 0);
  EXPECT_GE(probe.best, probe.bytes_per_second);
  EXPECT_GE(probe.buffer_bytes, size_t{1} << 20);
  EXPECT_EQ(probe.threads, 0);
}

TEST(Offline, BytesOfAStepGrowWithTheExpertsItReads) {
  Fixture dense(kDense), experts(kExperts);
  EXPECT_EQ(dense.model->bytes_per_step(1), dense.model->bytes_per_step(64));
  const auto bytes = [&](int64_t tokens) {
    return static_cast<double>(experts.model->bytes_per_step(tokens));
  };
  // Of 8 experts a token reads 2, two tokens 8 (1 - (3/4)^2) = 3.5, many all.
  const double expert = (bytes(1 << 20) - bytes(1)) / 6;
  EXPECT_GT(expert, 3 * 32 * 64 / 2);  // three layers of 32 x 64 at 4 bits and more
  EXPECT_NEAR(bytes(2) - bytes(1), 1.5 * expert, 4);
}

TEST(Offline, TimeOfTheSource) {
  struct Slow : SyntheticWeights {
    using SyntheticWeights::SyntheticWeights;
    Tensor parameter(const std::string& name, const Shape& shape) override {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
      while (std::chrono::steady_clock::now() < end) continue;
      return SyntheticWeights::parameter(name, shape);
    }
  };
  Slow slow({.scheme = {QuantMode::kAffine, 4, 32}});
  TimedWeights timed(slow);
  const auto backend = make_backend({.device = "cpu", .threads = 1});
  const auto model = load_model(parse_model_config(kDense), timed, *backend);
  EXPECT_GT(timed.seconds(), 5 * 0.005);  // five norms
}

// Notes whether every layer came from the memory of the device.
class PlaceOfWeights : public WeightSource {
 public:
  explicit PlaceOfWeights(WeightSource& source) : source_(source) {}
  bool has(const std::string& path) const override { return source_.has(path); }
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts) override {
    const LinearWeights w = source_.linear(path, rows, columns, experts);
    (w.on_device ? on_device : on_host) += 1;
    return w;
  }
  Tensor parameter(const std::string& name, const Shape& shape) override {
    return source_.parameter(name, shape);
  }
  void release(const LinearWeights& weights) override { source_.release(weights); }
  int on_device = 0, on_host = 0;

 private:
  WeightSource& source_;
};

std::vector<float> logits_of(const char* config, const SyntheticOptions& options, bool on_device) {
  const auto backend = make_backend({.device = "simt"});
  SyntheticWeights weights(options, on_device ? drawing_device(*backend) : DrawingDevice{});
  PlaceOfWeights places(weights);
  ModelConfig parsed = parse_model_config(config);
  parsed.dtype = options.dtype;
  const auto model = load_model(parsed, places, *backend);
  EXPECT_EQ(on_device ? places.on_host : places.on_device, 0);
  EXPECT_GT(on_device ? places.on_device : places.on_host, 8);
  return all_logits(*backend, *model, std::vector<int32_t>{1, 299, 37});
}

TEST(DeviceDraw, AModelIsTheSameAsFromTheHost) {
  SyntheticOptions options = {.seed = 4, .biased = {"q_proj"}};
  const QuantScheme schemes[] = {{},
                                 {QuantMode::kAffine, 4, 32},
                                 {QuantMode::kAffine, 3, 64},
                                 {QuantMode::kMxfp4, 4, 32},
                                 {QuantMode::kMxfp8, 8, 32},
                                 {QuantMode::kNvfp4, 4, 16}};
  for (const QuantScheme& scheme : schemes)
    for (const char* config : {kDense, kExperts}) {
      SCOPED_TRACE(to_string(scheme));
      options.scheme = scheme;
      const std::vector<float> host = logits_of(config, options, false);
      for (const float logit : host) ASSERT_TRUE(std::isfinite(logit));
      EXPECT_EQ(logits_of(config, options, true), host);
    }
}

TEST(DeviceDraw, OnlyDevicesWithTheirOwnMemory) {
  for (const char* device : {"cpu", "ref"})
    EXPECT_FALSE(drawing_device(*make_backend({.device = device, .threads = 1})).draw) << device;
}

TEST(OfflineReport, JsonHasEveryNumber) {
  OfflineReport report;
  report.version = "1";
  report.model = "m";
  report.load_seconds = 2;
  report.source_seconds = 1.5;
  report.drawn_on_device = true;
  report.limits = {{3e9, 4e9, 5, 6}, {7e9, 8}};
  report.results = {{.test = "tg4",
                     .streams = 2,
                     .tokens_per_second = 10,
                     .samples = {9, 11},
                     .bandwidth_share = 0.5,
                     .operations_share = 0.25,
                     .step_seconds = 0.2,
                     .longest_step_seconds = 0.3,
                     .queued_step_seconds = 0.15,
                     .gap_seconds = 0.05}};
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json["load"]["source_seconds"], 1.5);
  EXPECT_EQ(json["load"]["drawn_on_device"], true);
  EXPECT_EQ(json["limits"]["read"]["median_bytes_per_second"], 3e9);
  EXPECT_EQ(json["limits"]["product"]["operations_per_second"], 7e9);
  const auto& result = json["results"][0];
  EXPECT_EQ(result["queued_step_seconds"], 0.15);
  EXPECT_EQ(result["gap_seconds"], 0.05);
  EXPECT_EQ(result["operations_share"], 0.25);
  const std::string table = to_markdown(report);
  EXPECT_NE(table.find("| 200.000 | 50.000 |"), std::string::npos) << table;
  EXPECT_NE(table.find("50 %"), std::string::npos);
  EXPECT_NE(table.find("1.50 s of it to make the weights on the device"), std::string::npos);
}

}  // namespace
}  // namespace mica
