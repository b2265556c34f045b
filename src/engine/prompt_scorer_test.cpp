// The scorer beside a busy engine, over the fake model: every piece, block and row counts.
#include "engine/prompt_scorer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "engine/fake_model.h"

namespace mica {
namespace {

using Sequences = std::vector<std::vector<int32_t>>;
using Scores = std::vector<std::vector<SampleResult>>;

struct Bed {
  explicit Bed(fake::FakeOptions options = {}, const EngineOptions& engine_options = {})
      : model(options), engine(backend, model, engine_options) {}
  PromptScorer scorer(int32_t piece = 64) {
    return {backend, model, engine, {.piece_tokens = piece}};
  }
  // Of the sequences with `top` alternatives.
  void expect(const Scores& found, const Sequences& sequences, int32_t top) const {
    ASSERT_EQ(found.size(), sequences.size());
    for (size_t s = 0; s < found.size(); ++s) {
      const std::span<const int32_t> tokens = sequences[s];
      ASSERT_EQ(found[s].size() + 1, tokens.size());
      for (size_t i = 0; i < found[s].size(); ++i) {
        const SampleResult wanted = model.score(tokens.first(i + 1), tokens[i + 1], top);
        EXPECT_EQ(found[s][i].token, tokens[i + 1]);
        EXPECT_EQ(found[s][i].logprob, wanted.logprob);
        ASSERT_EQ(found[s][i].top.size(), static_cast<size_t>(top));
        for (size_t t = 0; t < wanted.top.size(); ++t) {
          EXPECT_EQ(found[s][i].top[t].token, wanted.top[t].token);
          EXPECT_EQ(found[s][i].top[t].logprob, wanted.top[t].logprob);
        }
      }
    }
  }
  fake::FakeBackend backend;
  fake::FakeModel model;
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

TEST(PromptScorer, Pieces) {
  Bed bed;
  const Sequences sequences = random_sequences({1, 2, 31, 32, 33, 34, 64, 65, 66, 3, 300, 1});
  for (const int32_t piece : {1, 7, 32, 64, 512})
    for (const int32_t top : {0, 3}) {
      SCOPED_TRACE(fmt::format("{} {}", piece, top));
      PromptScorer scorer = bed.scorer(piece);
      bed.expect(scorer.score(sequences, top), sequences, top);
    }
  EXPECT_EQ(bed.engine.stats().blocks_cached, 0);
}

TEST(PromptScorer, TheLastTokenIsNotComputed) {
  Bed bed;
  PromptScorer scorer = bed.scorer(10);
  (void)scorer.score(random_sequences({101}), 0);
  EXPECT_EQ(bed.model.computed_tokens, 100);
  EXPECT_EQ(bed.model.steps, 10);
  (void)scorer.score(random_sequences({1}), 0);
  EXPECT_EQ(bed.model.steps, 10);
}

// 64 MiB hold the logits of 104 tokens.
TEST(PromptScorer, LargeVocabulariesMakeSmallPieces) {
  Bed bed({.vocabulary = 160000});
  PromptScorer scorer = bed.scorer(512);
  (void)scorer.score(random_sequences({129}), 0);
  EXPECT_EQ(bed.model.steps, 2);
}

// Answers go on meanwhile, and prompts of several threads do not meet in the memory.
TEST(PromptScorer, BesideAnswersAndOthers) {
  Bed bed;
  PromptScorer scorer = bed.scorer(16);
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
      bed.expect(scorer.score(sequences, t), sequences, t);
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t r = 0; r < requests.size(); ++r) {
    const fake::Answer answer = fake::collect(*streams[r]);
    EXPECT_EQ(answer.tokens, fake::expected_answer(requests[r]));
  }
}

TEST(PromptScorer, StopsBetweenPieces) {
  Bed bed;
  PromptScorer scorer = bed.scorer(10);
  int asked = 0;
  EXPECT_TRUE(scorer.score(random_sequences({100}), 1, [&] { return ++asked > 3; }).empty());
  EXPECT_EQ(bed.model.computed_tokens, 30);
}

TEST(PromptScorer, HybridModelsHaveStates) {
  Bed bed({.hybrid = true});
  const Sequences sequences = random_sequences({5, 100, 9});
  PromptScorer scorer = bed.scorer(32);
  bed.expect(scorer.score(sequences, 1), sequences, 1);
}

TEST(PromptScorer, MemoryOfADeviceOfItsOwnIsGivenBack) {
  for (const bool own : {false, true}) {
    Bed bed;
    bed.backend.own_memory = own;
    PromptScorer scorer = bed.scorer(32);
    const size_t before = bed.backend.allocated;
    const Sequences sequences = random_sequences({5, 100, 9});
    for (int i = 0; i < 2; ++i) {
      bed.expect(scorer.score(sequences, 1), sequences, 1);
      EXPECT_EQ(bed.backend.allocated == before, own);
    }
    bed.model.on_forward = [](auto) { throw Error(ErrorKind::kOutOfMemory, "too large"); };
    EXPECT_THROW((void)scorer.score(random_sequences({5}), 1), Error);
    EXPECT_EQ(bed.backend.allocated == before, own);
    bed.model.on_forward = nullptr;
    bed.expect(scorer.score(sequences, 1), sequences, 1);
  }
}

// What `score` says of one sequence.
std::string error_of(Bed& bed, const std::vector<int32_t>& tokens, ErrorKind kind,
                     int64_t adapter = 0) {
  PromptScorer scorer = bed.scorer();
  try {
    (void)scorer.score({{{3}, tokens}}, 1, {}, adapter);
    return "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(PromptScorer, WhatCannotBeScoredIsAnError) {
  Bed bed({.context = 128});
  expect_part(error_of(bed, std::vector<int32_t>(129), ErrorKind::kUsage),
              "text 1 has 129 tokens, the model takes 128");
  expect_part(error_of(bed, {}, ErrorKind::kUsage), "text 1 has no tokens");
  expect_part(error_of(bed, {1, 61}, ErrorKind::kUsage), "token 61 is outside");
  expect_part(error_of(bed, {1, 2}, ErrorKind::kUsage, 7), "adapter is not loaded");
  bed.backend.on_sample = [](const SampleParams& params) {
    params.results[0].logprob = std::numeric_limits<float>::quiet_NaN();
  };
  expect_part(error_of(bed, {1, 2}, ErrorKind::kCheckpoint), "text 1 after 1 tokens");
}

TEST(PromptScorer, EncodersAreRefused) {
  struct Encoder final : fake::FakeModel {
    bool generates() const override { return false; }
  } model;
  fake::FakeBackend backend;
  Engine engine(backend, model, {});
  PromptScorer scorer(backend, model, engine, {});
  EXPECT_THROW((void)scorer.score(random_sequences({5}), 1), Error);
}

}  // namespace
}  // namespace mica
