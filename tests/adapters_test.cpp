// Sequences with different adapters in one batch, against models into whose weights the same
// adapters were merged.
#include "model/adapters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/engine.h"
#include "engine/prompt_scorer.h"
#include "engine/single.h"
#include "golden_model.h"
#include "test_devices.h"

namespace mica {
namespace {

constexpr int64_t kMaxRank = 24;
const std::vector<int32_t> kTokens = {3, 141, 59, 26, 53, 58, 97, 93, 23, 84, 62, 64};

float noise(uint64_t index) {
  uint64_t z = (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z ^= z >> 27;
  return static_cast<float>(z >> 40) / 8388608.0f - 1;
}

// Both adapters touch some layers, each leaves others alone.
Adapter make_adapter(const Model& model, int64_t rank, const std::string& leaf, uint64_t seed) {
  Adapter adapter;
  for (const auto& [path, layer] : model.modules()) {
    if (layer->experts > 1 || path.find(".layers.") == std::string::npos) continue;
    if (!path.ends_with(leaf) && !path.ends_with("q_proj")) continue;
    AdapterModule module{path, rank, layer->rows, layer->columns, {}, {}};
    const double size = 0.5 / std::sqrt(static_cast<double>(rank * layer->columns));
    for (int64_t i = 0; i < rank * layer->columns; ++i)
      module.down.push_back(static_cast<float>(noise(seed++) * size));
    for (int64_t i = 0; i < layer->rows * rank; ++i) module.up.push_back(noise(seed++));
    adapter.modules.push_back(std::move(module));
  }
  return adapter;
}

// Weights with an adapter merged into them: W + up · down.
class MergedWeights : public GoldenWeights {
 public:
  MergedWeights(const std::string& config, Options options, const Adapter& adapter)
      : GoldenWeights(config, std::move(options)), adapter_(adapter) {}
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts) override {
    const LinearWeights weights = GoldenWeights::linear(path, rows, columns, experts);
    for (const AdapterModule& module : adapter_.modules)
      if (module.path == path) merge(module, weights.weight.as<float>());
    return weights;
  }

 private:
  static void merge(const AdapterModule& m, float* weight) {
    for (int64_t n = 0; n < m.rows; ++n)
      for (int64_t k = 0; k < m.columns; ++k)
        for (int64_t r = 0; r < m.rank; ++r)
          weight[n * m.columns + k] += m.up[static_cast<size_t>(n * m.rank + r)] *
                                       m.down[static_cast<size_t>(r * m.columns + k)];
  }
  const Adapter& adapter_;
};

std::unique_ptr<Model> load_merged(const Golden& golden, const Adapter& adapter, Backend& backend) {
  const GoldenJson& config = golden.record["config"];
  ModelConfig parsed = parse_model_config(config.dump());
  parsed.dtype = golden.dtype;
  GoldenWeights::Options options;
  options.dtype = golden.dtype;
  options.biased = [config](const std::string& path) { return has_bias(config, path); };
  MergedWeights weights(config.dump(), options, adapter);
  return load_model(parsed, weights, backend);
}

class Adapters : public testing::TestWithParam<std::tuple<ModelDevice, std::string>> {
 protected:
  // The logits of the last token of three sequences that run together, one row each.
  std::vector<std::vector<float>> run(const AdapterSet& set, const std::vector<int32_t>& slots) {
    DirectRunner runner(*backend_, *model_, 3, 16, 12, 3, {}, kMaxRank);
    runner.use_adapters(set, slots);
    std::vector<int32_t> tokens;
    for (int s = 0; s < 3; ++s) tokens.insert(tokens.end(), kTokens.begin(), kTokens.end());
    const Tensor logits = runner.step(tokens);
    std::vector<std::vector<float>> rows(3);
    for (size_t s = 0; s < 3; ++s) {
      rows[s].resize(static_cast<size_t>(logits.shape[1]));
      backend_->download(rows[s].data(), logits.as<float>() + s * rows[s].size(),
                         rows[s].size() * sizeof(float));
    }
    return rows;
  }
  std::vector<float> alone(Model& model) {
    const auto all = all_logits(*backend_, model, kTokens);
    const auto vocabulary = static_cast<ptrdiff_t>(model.config().vocab_size);
    return {all.end() - vocabulary, all.end()};
  }

  const ModelDevice device_ = std::get<0>(GetParam());
  const Golden golden_ =
      read_golden(source_path("tests/golden/models") / (std::get<1>(GetParam()) + "-f32.json"));
  std::unique_ptr<Backend> backend_ =
      make_backend({.device = device_.name, .threads = 2, .deterministic = device_.deterministic});
  std::unique_ptr<Model> model_ = load_golden(golden_, *backend_);
};

TEST_P(Adapters, EachSequenceHasItsOwn) {
  const Adapter first = make_adapter(*model_, 8, "down_proj", 1);
  const Adapter second = make_adapter(*model_, 20, "o_proj", 1000000);
  AdapterSet set(*backend_, *model_, kMaxRank);
  const AdapterId a = set.add(first), b = set.add(second);
  const auto rows = run(set, {set.slot(a), 0, set.slot(b)});
  const auto base = alone(*model_);
  const auto merged_first = alone(*load_merged(golden_, first, *backend_));
  const auto merged_second = alone(*load_merged(golden_, second, *backend_));
  EXPECT_LT(relative_error(rows[0], merged_first), 1e-4);
  EXPECT_LT(relative_error(rows[1], base), 1e-6);
  EXPECT_LT(relative_error(rows[2], merged_second), 1e-4);
  EXPECT_GT(relative_error(merged_first, base), 1e-2);
  EXPECT_GT(relative_error(merged_second, merged_first), 1e-2);

  // A slot that was freed is used again; the other adapter keeps its own.
  set.remove(a);
  EXPECT_EQ(set.slot(a), 0);
  const auto without = run(set, {0, 0, set.slot(b)});
  EXPECT_EQ(without[2], rows[2]);
  const AdapterId c = set.add(second);
  EXPECT_GT(c, b);
  EXPECT_EQ(set.slot(c), 1);
  const auto again = run(set, {set.slot(c), set.slot(b), 0});
  EXPECT_EQ(again[0], again[1]);
}

TEST_P(Adapters, RefusesWhatDoesNotFit) {
  AdapterSet set(*backend_, *model_, kMaxRank);
  const auto message = [&](Adapter adapter) -> std::string {
    try {
      set.add(std::move(adapter));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  Adapter good = make_adapter(*model_, 4, "o_proj", 5);
  Adapter bad = good;
  bad.modules[0].path = "model.layers.99.self_attn.q_proj";
  EXPECT_NE(message(bad).find("the model has no such linear layer"), std::string::npos);
  bad = good;
  bad.modules[0].rows += 1;
  EXPECT_NE(message(bad).find("expected a layer of"), std::string::npos);
  EXPECT_NE(message(make_adapter(*model_, 25, "o_proj", 5)).find("ranks up to 24"),
            std::string::npos);
  EXPECT_EQ(set.bytes(), 0u);
  EXPECT_EQ(message(good), "");
  EXPECT_GT(set.bytes(), 0u);
}

// The greedy answer of each request; all of them run together.
std::vector<std::vector<int32_t>> answers(Engine& engine, const std::vector<AdapterId>& adapters) {
  std::vector<std::shared_ptr<EventStream>> streams;
  for (const AdapterId adapter : adapters) {
    Request request;
    for (int i = 0; i < 6; ++i)
      request.prompt.insert(request.prompt.end(), kTokens.begin(), kTokens.end());
    request.max_tokens = 6;
    request.adapter = adapter;
    streams.push_back(engine.submit(std::move(request)));
  }
  std::vector<std::vector<int32_t>> tokens(adapters.size());
  for (size_t i = 0; i < streams.size(); ++i)
    for (;;) {
      const auto event = streams[i]->next(std::chrono::minutes(10));
      if (!event || event->kind == Event::Kind::kFinished) break;
      if (event->kind == Event::Kind::kToken) tokens[i].push_back(event->token.token);
    }
  return tokens;
}

TEST_P(Adapters, TheEngineKeepsThemApart) {
  AdapterSet set(*backend_, *model_, kMaxRank);
  EngineOptions options;
  options.max_context = 128;
  options.adapters = &set;
  Engine engine(*backend_, *model_, options);
  AdapterId a = 0, b = 0;
  engine.call([&] {
    a = set.add(make_adapter(*model_, 8, "down_proj", 1));
    b = set.add(make_adapter(*model_, 20, "o_proj", 1000000));
  });
  // The same prompt: blocks of one adapter must not serve another, nor the model itself.
  const auto together = answers(engine, {a, 0, b, a});
  const auto again = answers(engine, {b, a, 0, b});
  EXPECT_EQ(together[0].size(), 6u);
  EXPECT_NE(together[0], together[1]);
  EXPECT_NE(together[0], together[2]);
  EXPECT_EQ(together[0], together[3]);
  EXPECT_EQ(again, (std::vector{together[2], together[0], together[1], together[2]}));
  EXPECT_GT(engine.stats().cached_tokens, 0u);
  // One that is gone is missed, and no blocks of its time are found in its place.
  engine.call([&] { set.remove(a); });
  EXPECT_EQ(answers(engine, {a, b})[0], std::vector<int32_t>());
  EXPECT_EQ(engine.stats().failed, 1u);
  EXPECT_THROW(engine.call([] { throw Error(ErrorKind::kUsage, "no"); }), Error);
}

// The likeliest token after kTokens, and how likely it is.
TokenLogprob best(std::span<const float> logits) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  const auto first = std::ranges::max_element(logits);
  return {static_cast<int32_t>(first - logits.begin()),
          static_cast<float>(double{*first} - std::log(sum))};
}

TEST_P(Adapters, PromptsAreScoredThroughThem) {
  AdapterSet set(*backend_, *model_, kMaxRank);
  EngineOptions options;
  options.max_context = 128;
  options.adapters = &set;
  Engine engine(*backend_, *model_, options);
  PromptScorer scorer(*backend_, *model_, engine, {.piece_tokens = 5, .adapters = &set});
  const Adapter adapter = make_adapter(*model_, 20, "o_proj", 1000000);
  AdapterId id = 0;
  engine.call([&] { id = set.add(adapter); });
  std::vector<int32_t> tokens = kTokens;
  tokens.push_back(0);
  const auto scored = [&](AdapterId through) {
    return scorer.score({{tokens}}, 1, {}, through)[0].back().top[0];
  };
  const TokenLogprob plain = best(alone(*model_));
  const TokenLogprob merged = best(alone(*load_merged(golden_, adapter, *backend_)));
  EXPECT_EQ(scored(0).token, plain.token);
  EXPECT_NEAR(scored(0).logprob, plain.logprob, 1e-4);
  EXPECT_EQ(scored(id).token, merged.token);
  EXPECT_NEAR(scored(id).logprob, merged.logprob, 1e-3);
  EXPECT_GT(std::abs(merged.logprob - plain.logprob), 1e-2);
  engine.call([&] { set.remove(id); });
  EXPECT_THROW((void)scored(id), Error);
}

std::vector<std::tuple<ModelDevice, std::string>> cases() {
  std::vector<std::tuple<ModelDevice, std::string>> all;
  for (const ModelDevice& device : model_devices())
    for (const char* model : {"llama", "qwen3_moe"}) all.emplace_back(device, model);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Adapters, testing::ValuesIn(cases()), [](const auto& info) {
  return case_name(std::get<0>(info.param), std::get<1>(info.param));
});

}  // namespace
}  // namespace mica
