#include "bench/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "bench/eval/logit_file.h"
#include "temp_folder.h"

namespace mica {
namespace {

// Knows bigrams alone: the logit of `next` behind `token` is -(distance on a ring) * sharpness.
class RingModel : public LogitSource {
 public:
  RingModel(int64_t vocab, float sharpness) : vocab_(vocab), sharpness_(sharpness) {}
  int64_t vocab_size() const override { return vocab_; }
  void restart() override {
    seen_.clear();
    ++sequences;
  }
  void skip(std::span<const int32_t> tokens) override {
    seen_.insert(seen_.end(), tokens.begin(), tokens.end());
    skipped += tokens.size();
  }
  std::span<const float> append(std::span<const int32_t> tokens) override {
    EXPECT_LE(tokens.size(), kLogitRows);
    seen_.insert(seen_.end(), tokens.begin(), tokens.end());
    longest = std::max(longest, seen_.size());
    logits_.clear();
    for (const int32_t token : tokens)
      for (int64_t next = 0; next < vocab_; ++next) logits_.push_back(logit(token, next));
    return logits_;
  }
  float logit(int32_t token, int64_t next) const {
    const int64_t ahead = (next - token + vocab_) % vocab_;
    return -sharpness_ * static_cast<float>(std::min(ahead, vocab_ - ahead));
  }
  double nll(int32_t token, int32_t next) const {
    double sum = 0;
    for (int64_t i = 0; i < vocab_; ++i) sum += std::exp(double{logit(token, i)});
    return std::log(sum) - logit(token, next);
  }

  size_t sequences = 0, skipped = 0, longest = 0;

 private:
  int64_t vocab_;
  float sharpness_;
  std::vector<int32_t> seen_;
  std::vector<float> logits_;
};

std::vector<int32_t> walk_on_ring(int count, int vocab) {
  std::vector<int32_t> tokens;
  for (int i = 0, at = 0; i < count; ++i) {
    at = (at + (i * i) % 4) % vocab;
    tokens.push_back(at);
  }
  return tokens;
}

TEST(Windows, PredictEachTokenOnce) {
  for (const int32_t context : {4, 7, 64})
    for (const int32_t stride : {1, 3, 4, 7, 64})
      for (const int32_t prefix : {0, 1, 2})
        for (const size_t tokens : {2u, 5u, 8u, 64u, 200u}) {
          if (stride > context) continue;
          SCOPED_TRACE(fmt::format("{} {} {} {}", context, stride, prefix, tokens));
          const WindowOptions options{context, stride, prefix};
          const auto windows = windows_of(tokens, options);
          std::vector<int> times(tokens, 0);
          for (const Window& w : windows) {
            EXPECT_LE(w.end - w.begin + static_cast<size_t>(prefix), static_cast<size_t>(context));
            EXPECT_GE(w.scored, w.begin + (prefix > 0 ? 0 : 1)) << "something stands before it";
            EXPECT_LT(w.scored, w.end);
            for (size_t i = w.scored; i < w.end; ++i) ++times[i];
          }
          const size_t shown = static_cast<size_t>(context - prefix);
          const bool apart = static_cast<size_t>(stride) >= shown;
          for (size_t i = 0; i < tokens; ++i) {
            const bool alone = prefix == 0 && (i == 0 || (apart && i % shown == 0));
            EXPECT_EQ(times[i], alone ? 0 : 1) << i;
          }
        }
}

TEST(Windows, RefuseWhatPredictsNothing) {
  EXPECT_THROW(windows_of(1, {8, 4, 0}), Error);
  EXPECT_THROW(windows_of(0, {8, 4, 1}), Error);
  EXPECT_THROW(windows_of(9, {1, 1, 0}), Error);
  EXPECT_THROW(windows_of(9, {8, 9, 0}), Error);
  EXPECT_THROW(windows_of(9, {8, 0, 0}), Error);
  EXPECT_EQ(windows_of(1, {8, 4, 1}).size(), 1u);
  EXPECT_EQ(windows_of(100, {8, 8, 0, 16}).back().end, 16u);
}

TEST(Perplexity, IsThatOfTheModel) {
  const int vocab = 50;
  const std::vector<int32_t> tokens = walk_on_ring(1000, vocab);
  RingModel model(vocab, 0.5f);
  double sum = 0;
  for (size_t i = 1; i < tokens.size(); ++i) sum += model.nll(tokens[i - 1], tokens[i]);
  const double expected = std::exp(sum / 999);
  for (const int32_t stride : {10, 64, 150}) {
    const auto windows = windows_of(tokens.size(), {.context = 300, .stride = stride});
    const Perplexity found = measure_perplexity(model, {}, tokens, windows);
    EXPECT_EQ(found.tokens, 999);
    EXPECT_NEAR(found.value, expected, 1e-6);
    ASSERT_TRUE(found.interval);
    EXPECT_LT(found.interval->low, expected);
    EXPECT_GT(found.interval->high, expected);
  }
  EXPECT_LE(model.longest, 299u);
  EXPECT_GT(model.skipped, 0u);
}

TEST(Perplexity, APrefixPredictsTheFirstToken) {
  const std::vector<int32_t> tokens = walk_on_ring(100, 50), prefix = {7};
  RingModel model(50, 0.5f);
  double sum = 0;
  for (size_t i = 0; i < tokens.size(); ++i)
    sum += model.nll(i % 20 == 0 ? 7 : tokens[i - 1], tokens[i]);
  const auto windows = windows_of(tokens.size(), {.context = 21, .stride = 21, .prefix = 1});
  const Perplexity found = measure_perplexity(model, prefix, tokens, windows);
  EXPECT_EQ(found.tokens, 100);
  EXPECT_NEAR(found.mean_nll, sum / 100, 1e-7);
  EXPECT_EQ(model.sequences, 5u);
  EXPECT_FALSE(found.interval);
}

TEST(Perplexity, RefusesTokensThatTheModelHasNot) {
  RingModel model(50, 0.5f);
  const std::vector<int32_t> tokens = {1, 2, 50};
  EXPECT_THROW(measure_perplexity(model, {}, tokens, windows_of(3, {8, 4, 0})), Error);
}

TEST(Divergence, OfAModelFromItselfIsNone) {
  const std::vector<int32_t> tokens = walk_on_ring(300, 50);
  RingModel a(50, 0.5f), b(50, 0.5f);
  const Divergence d = measure_divergence(a, b, {}, tokens, windows_of(tokens.size(), {64, 32, 0}));
  EXPECT_EQ(d.mean, 0);
  EXPECT_EQ(d.max, 0);
  EXPECT_EQ(d.top, (Proportion{299, 299}));
  EXPECT_EQ(d.log_ratio, 0);
}

TEST(Divergence, IsThatOfTheDefinition) {
  const int vocab = 20;
  const std::vector<int32_t> tokens = walk_on_ring(700, vocab);
  RingModel a(vocab, 0.5f), b(vocab, 0.3f);
  // The same for each token: the distributions are turned by it.
  double expected = 0;
  for (int32_t next = 0; next < vocab; ++next)
    expected += std::exp(-a.nll(0, next)) * (b.nll(0, next) - a.nll(0, next));
  const auto windows = windows_of(tokens.size(), {64, 32, 0});
  const Divergence d = measure_divergence(a, b, {}, tokens, windows);
  EXPECT_NEAR(d.mean, expected, 1e-6);
  EXPECT_NEAR(d.median, expected, 1e-6);
  EXPECT_NEAR(d.p99, expected, 1e-6);
  EXPECT_EQ(d.top.value(), 1);
  EXPECT_NEAR(d.log_ratio, d.model.mean_nll - d.reference.mean_nll, 1e-9);
  EXPECT_LT(d.mean_probability_change, 0.5);
  EXPECT_TRUE(d.mean_interval);
  RingModel other(21, 0.5f);
  EXPECT_THROW(measure_divergence(other, b, {}, tokens, windows), Error);
}

TEST(LogitFile, HoldsAReference) {
  const TempFolder folder;
  const auto path = folder.path() / "reference.safetensors";
  const std::vector<int32_t> tokens = walk_on_ring(700, 20);
  const WindowOptions options{.context = 300, .stride = 200};
  const auto windows = windows_of(tokens.size(), options);
  RingModel a(20, 0.5f), b(20, 0.3f);
  {
    LogitFileWriter writer(path, 20, tokens, windows, options);
    measure_perplexity(a, {}, tokens, windows, {},
                       [&](std::span<const float> rows) { writer.add(rows); });
    writer.finish();
  }
  LogitFile file(path, tokens, windows, options);
  const Divergence direct = measure_divergence(a, b, {}, tokens, windows);
  const Divergence held = measure_divergence(file, b, {}, tokens, windows);
  EXPECT_EQ(direct.mean, held.mean);
  EXPECT_EQ(direct.p99, held.p99);
  EXPECT_EQ(direct.reference.value, held.reference.value);

  const auto error_of = [&](std::span<const int32_t> other, const WindowOptions& o) {
    try {
      LogitFile(path, other, windows_of(other.size(), o), o);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_NE(error_of(tokens, {.context = 300, .stride = 100}).find("its stride is 200"),
            std::string::npos);
  std::vector<int32_t> changed = tokens;
  changed[300] = (changed[300] + 1) % 20;
  EXPECT_NE(error_of(changed, options).find("another text, tokenizer"), std::string::npos);
  const auto wrong = folder.path() / "wrong.safetensors";
  float data[4] = {};
  write_safetensors(wrong, {{"logits", Tensor{data, DType::kF32, {2, 2}}}});
  EXPECT_THROW(LogitFile(wrong, tokens, windows, options), Error);
}

}  // namespace
}  // namespace mica
