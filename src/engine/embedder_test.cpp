// The embedder beside a busy engine, over the fake model: every piece, block and row counts.
#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "engine/fake_model.h"

namespace mica {
namespace {

using fake::FakeModel;
using Sequences = std::vector<std::vector<int32_t>>;

struct Bed {
  explicit Bed(fake::FakeOptions options = {}, const EngineOptions& engine_options = {})
      : model(options), engine(backend, model, engine_options) {}
  Embedder embedder(Pooling pooling, int32_t piece = 64) {
    return {backend,
            model,
            engine,
            {.pooling = {.pooling = pooling, .normalize = false}, .piece_tokens = piece}};
  }
  fake::FakeBackend backend;
  FakeModel model;
  Engine engine;
};

Sequences random_sequences(std::initializer_list<int32_t> lengths) {
  std::mt19937 random(5);
  Sequences sequences;
  for (const int32_t length : lengths) {
    auto& tokens = sequences.emplace_back();
    for (int32_t i = 0; i < length; ++i) tokens.push_back(static_cast<int32_t>(random() % 61));
  }
  return sequences;
}

std::vector<float> expected(std::span<const int32_t> tokens, Pooling pooling) {
  if (pooling == Pooling::kCls) return FakeModel::hidden_state(tokens.first(1));
  if (pooling == Pooling::kLast) return FakeModel::hidden_state(tokens);
  std::vector<float> mean;
  for (size_t n = 1; n <= tokens.size(); ++n) {
    const std::vector<float> state = FakeModel::hidden_state(tokens.first(n));
    mean.resize(state.size());
    for (size_t i = 0; i < state.size(); ++i)
      mean[i] += state[i] / static_cast<float>(tokens.size());
  }
  return mean;
}

void expect_vectors(const std::vector<std::vector<float>>& found, const Sequences& sequences,
                    Pooling pooling) {
  ASSERT_EQ(found.size(), sequences.size());
  for (size_t s = 0; s < found.size(); ++s) {
    const std::vector<float> vector = expected(sequences[s], pooling);
    ASSERT_EQ(found[s].size(), vector.size());
    for (size_t i = 0; i < vector.size(); ++i) EXPECT_NEAR(found[s][i], vector[i], 1e-5);
  }
}

TEST(Embedder, PiecesAndPoolings) {
  Bed bed;
  const Sequences sequences = random_sequences({1, 31, 32, 33, 64, 65, 3, 300, 2, 2, 2});
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast})
    for (const int32_t piece : {1, 7, 64, 512}) {
      SCOPED_TRACE(fmt::format("{} {}", name(pooling), piece));
      Embedder embedder = bed.embedder(pooling, piece);
      expect_vectors(embedder.embed(sequences), sequences, pooling);
    }
  EXPECT_EQ(bed.engine.stats().blocks_cached, 0);
}

TEST(Embedder, ManyShortTextsShareAPiece) {
  Bed bed;
  Sequences sequences;
  for (int32_t i = 0; i < 200; ++i) sequences.push_back({i % 61});
  Embedder embedder = bed.embedder(Pooling::kLast, 512);
  expect_vectors(embedder.embed(sequences), sequences, Pooling::kLast);
  EXPECT_EQ(bed.model.steps, 4);  // of 64 texts at most
}

// Answers go on meanwhile, and texts of several threads do not meet in the memory.
TEST(Embedder, BesideAnswersAndOthers) {
  Bed bed;
  Embedder embedder = bed.embedder(Pooling::kMean, 16);
  std::vector<Request> requests(4);
  std::vector<std::shared_ptr<EventStream>> streams;
  for (size_t r = 0; r < requests.size(); ++r) {
    requests[r].prompt = random_sequences({40})[0];
    requests[r].prompt[0] = static_cast<int32_t>(r);
    requests[r].max_tokens = 60;
    streams.push_back(bed.engine.submit(requests[r]));
  }
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const Sequences sequences = random_sequences({100 + t, 5, 40 * (t + 1)});
      expect_vectors(embedder.embed(sequences), sequences, Pooling::kMean);
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t r = 0; r < requests.size(); ++r) {
    const fake::Answer answer = fake::collect(*streams[r]);
    EXPECT_EQ(answer.tokens, fake::expected_answer(requests[r]));
  }
}

// The fake model takes 0.1 ms or more a token.
TEST(Embedder, TheBoundOnStepsHoldsForPieces) {
  EngineOptions options;
  options.max_step_ms = 6;
  Bed bed({}, options);
  std::atomic<size_t> most{0};
  bed.model.on_forward = [&](std::span<const int32_t> ids) {
    most = std::max<size_t>(most, ids.size());
    std::this_thread::sleep_for(std::chrono::microseconds(100) * ids.size());
  };
  const auto stream = bed.engine.submit({.prompt = {1, 2}, .max_tokens = 4000});
  while (bed.engine.stats().steps < 5) std::this_thread::yield();
  Embedder embedder = bed.embedder(Pooling::kLast, 512);
  const Sequences one = random_sequences({400}), several = random_sequences({50, 50, 50});
  for (const Sequences& sequences : {one, several}) {
    expect_vectors(embedder.embed(sequences), sequences, Pooling::kLast);
    EXPECT_EQ(bed.engine.stats().running, 1);  // it decodes still
    EXPECT_GT(most, 1u);
    EXPECT_LE(most, 60u);  // 6 ms / 0.1 ms
  }
  stream->cancel();
}

TEST(Embedder, StopsBetweenPieces) {
  Bed bed;
  Embedder embedder = bed.embedder(Pooling::kLast, 10);
  int asked = 0;
  EXPECT_TRUE(embedder.embed(random_sequences({100}), [&] { return ++asked > 3; }).empty());
  EXPECT_EQ(bed.model.computed_tokens, 30);
}

TEST(Embedder, HybridModelsHaveStates) {
  Bed bed({.hybrid = true});
  const Sequences sequences = random_sequences({5, 100, 9});
  Embedder embedder = bed.embedder(Pooling::kLast, 32);
  expect_vectors(embedder.embed(sequences), sequences, Pooling::kLast);
}

TEST(Embedder, MemoryOfADeviceOfItsOwnIsGivenBack) {
  for (const bool own : {false, true}) {
    Bed bed;
    bed.backend.own_memory = own;
    Embedder embedder = bed.embedder(Pooling::kLast, 32);
    const size_t before = bed.backend.allocated;
    const Sequences sequences = random_sequences({5, 100, 9});
    for (int i = 0; i < 2; ++i) {
      expect_vectors(embedder.embed(sequences), sequences, Pooling::kLast);
      EXPECT_EQ(bed.backend.allocated == before, own);
    }
    bed.model.on_forward = [](auto) { throw Error(ErrorKind::kOutOfMemory, "too large"); };
    EXPECT_THROW(embedder.embed(random_sequences({5})), Error);
    EXPECT_EQ(bed.backend.allocated == before, own);
  }
}

TEST(Embedder, AFaultEndsOneRequest) {
  Bed bed;
  Embedder embedder = bed.embedder(Pooling::kLast);
  bed.model.on_forward = [](auto) { throw Error(ErrorKind::kOutOfMemory, "too large"); };
  EXPECT_THROW(embedder.embed(random_sequences({5})), Error);
  bed.model.on_forward = nullptr;
  const Sequences sequences = random_sequences({6});
  expect_vectors(embedder.embed(sequences), sequences, Pooling::kLast);
}

TEST(Embedder, TooLongIsAnErrorWithBothCounts) {
  Bed bed({.context = 128});
  try {
    bed.embedder(Pooling::kLast).embed(random_sequences({3, 129}));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("129 tokens, the model takes 128"), std::string::npos);
  }
}

}  // namespace
}  // namespace mica
