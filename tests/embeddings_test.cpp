// Vectors of encoders against mlx-embeddings (tests/golden/embeddings, made by
// tools/golden_embeddings.py), and of decoders against mlx-lm's logits, on every backend.
#include <gtest/gtest.h>

#include <filesystem>
#include <span>

#include "engine/embedder.h"
#include "golden_model.h"
#include "test_devices.h"

namespace mica {
namespace {

using Sequences = std::vector<std::vector<int32_t>>;
using Vectors = std::vector<std::vector<float>>;

// A model with an engine and all that they need.
struct Served {
  Served(const ModelDevice& device, const GoldenJson& config)
      : backend(make_backend(
            {.device = device.name, .threads = 2, .deterministic = device.deterministic})) {
    ModelConfig parsed = parse_model_config(config.dump());
    parsed.dtype = DType::kF32;
    GoldenWeights::Options options;
    options.dtype = DType::kF32;
    options.biased = [config](const std::string& path) {
      const bool encoder = config["model_type"] != "llama";
      return encoder ? path.find("encoder.") == 0 : has_bias(config, path);
    };
    weights = std::make_unique<GoldenWeights>(config.dump(), options);
    model = load_model(parsed, *weights, *backend);
    engine = std::make_unique<Engine>(
        *backend, *model, EngineOptions{.kv_bytes = size_t{1} << 20, .max_batch_sequences = 4});
  }

  Vectors embed(Pooling pooling, const Sequences& sequences, int32_t piece = 512,
                bool normalize = false) {
    Embedder embedder(
        *backend, *model, *engine,
        {.pooling = {.pooling = pooling, .normalize = normalize}, .piece_tokens = piece});
    return embedder.embed(sequences);
  }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<GoldenWeights> weights;
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
};

void expect_near(std::span<const float> ours, std::span<const float> theirs) {
  ASSERT_EQ(ours.size(), theirs.size());
  EXPECT_LT(relative_error(ours, theirs), 1e-4);
}

using Case = std::tuple<ModelDevice, std::string>;

class GoldenEncoder : public testing::TestWithParam<Case> {};

TEST_P(GoldenEncoder, AgreesWithMlx) {
  const auto& [device, label] = GetParam();
  const GoldenJson golden =
      GoldenJson::parse(read_text_file(source_path("tests/golden/embeddings") / (label + ".json")));
  Served served(device, golden["config"]);
  const auto sequences = golden["sequences"].get<Sequences>();
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    if (device.is_gpu() && pooling != Pooling::kMean) continue;  // pooled on the host
    SCOPED_TRACE(name(pooling));
    const Vectors ours = served.embed(pooling, sequences);
    const std::vector<float> theirs = decode_floats(golden[name(pooling)].get<std::string>());
    ASSERT_EQ(ours.size(), sequences.size());
    const size_t size = theirs.size() / sequences.size();
    for (size_t s = 0; s < ours.size(); ++s)
      expect_near(ours[s], std::span(theirs).subspan(s * size, size));
  }
}

// Whatever runs beside a text, and in however many steps.
TEST_P(GoldenEncoder, SameBitsAlone) {
  const auto& [device, label] = GetParam();
  if (!device.keeps_bits()) GTEST_SKIP() << "bits depend on the batch without --deterministic";
  const GoldenJson golden =
      GoldenJson::parse(read_text_file(source_path("tests/golden/embeddings") / (label + ".json")));
  Served served(device, golden["config"]);
  auto sequences = golden["sequences"].get<Sequences>();
  if (device.is_gpu()) sequences.resize(4);  // the emulator is slow
  const Vectors together = served.embed(Pooling::kMean, sequences);
  EXPECT_EQ(served.embed(Pooling::kMean, sequences, /*piece=*/40), together);
  for (size_t s = 0; s < sequences.size(); ++s)
    EXPECT_EQ(served.embed(Pooling::kMean, {sequences[s]})[0], together[s]) << "text " << s;
}

std::vector<Case> all_encoders() {
  std::vector<Case> cases;
  const auto folder = source_path("tests/golden/embeddings");
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    for (const ModelDevice& device : model_devices())
      cases.emplace_back(device, entry.path().stem().string());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEncoder, testing::ValuesIn(all_encoders()),
                         [](const auto& info) {
                           return case_name(std::get<0>(info.param), std::get<1>(info.param));
                         });

TEST(Encoder, GeneratesNothing) {
  const GoldenJson golden =
      GoldenJson::parse(read_text_file(source_path("tests/golden/embeddings/bert.json")));
  Served served({.name = "cpu"}, golden["config"]);
  Request request;
  request.prompt = {5, 6};
  request.max_tokens = 2;
  EXPECT_THROW(served.engine->submit(request), Error);
  EXPECT_TRUE(served.engine->healthy());
}

TEST(Encoder, LimitsAreErrors) {
  const GoldenJson golden =
      GoldenJson::parse(read_text_file(source_path("tests/golden/embeddings/bert.json")));
  Served served({.name = "cpu"}, golden["config"]);
  const auto fails = [&](const std::vector<int32_t>& tokens, const std::string& text) {
    try {
      served.embed(Pooling::kMean, {tokens});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  fails({}, "no tokens");
  fails({99}, "token 99 is outside the vocabulary of 99");
  fails({-1}, "token -1");
  fails(std::vector<int32_t>(71, 4), "71 tokens, the model takes 70");
  const Vectors unit = served.embed(Pooling::kMean, {{3, 4, 5}}, 512, /*normalize=*/true);
  EXPECT_NEAR(norm(unit[0]), 1, 1e-6);
}

class Decoder : public testing::TestWithParam<ModelDevice> {};

// The last token's vector times the output layer is mlx-lm's row of logits; the mean is that of the
// vectors of all beginnings, as each token sees only what is before it.
TEST_P(Decoder, VectorsAreWhatLogitsAreMadeOf) {
  const ModelDevice device = GetParam();
  const Golden golden = read_golden(source_path("tests/golden/models/llama_bias.json"));
  Served served(device, golden.record["config"]);
  Sequences beginnings;
  for (size_t n = 1; n <= golden.tokens.size(); ++n)
    beginnings.emplace_back(golden.tokens.begin(),
                            golden.tokens.begin() + static_cast<std::ptrdiff_t>(n));
  const Vectors last = served.embed(Pooling::kLast, beginnings);
  const auto vocabulary = static_cast<size_t>(served.model->config().vocab_size);
  const auto width = static_cast<size_t>(served.model->config().hidden_size);
  const LinearWeights head = served.weights->linear("lm_head", static_cast<int64_t>(vocabulary),
                                                    static_cast<int64_t>(width), 1);
  std::vector<double> mean(width);
  for (size_t row = 0; row < last.size(); ++row) {
    std::vector<float> logits(vocabulary);
    for (size_t v = 0; v < vocabulary; ++v) {
      double sum = 0;
      for (size_t i = 0; i < width; ++i)
        sum += double{last[row][i]} * double{head.weight.as<float>()[v * width + i]};
      logits[v] = static_cast<float>(sum);
    }
    expect_near(logits, std::span(golden.logits).subspan(row * vocabulary, vocabulary));
    for (size_t i = 0; i < width; ++i)
      mean[i] += double{last[row][i]} / static_cast<double>(last.size());
  }
  const std::vector<float> expected(mean.begin(), mean.end());
  for (const int32_t piece : {512, 5, 1})
    expect_near(served.embed(Pooling::kMean, {golden.tokens}, piece)[0], expected);
  EXPECT_EQ(served.engine->stats().blocks_cached, 0);
}

INSTANTIATE_TEST_SUITE_P(All, Decoder, testing::ValuesIn(model_devices()),
                         [](const auto& info) { return case_name(info.param, "llama"); });

}  // namespace
}  // namespace mica
