// How well a model predicts a text, and how far two models are apart on it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "bench/eval/windows.h"
#include "bench/statistics/proportion.h"

namespace mica {

// A model, or what it said once: logits over one sequence at a time.
class LogitSource {
 public:
  virtual ~LogitSource() = default;
  virtual int64_t vocab_size() const = 0;
  virtual void restart() = 0;  // a new sequence
  virtual void skip(std::span<const int32_t> tokens) = 0;
  // Appends tokens; the logits behind each, f32 [tokens, vocab], valid until the next call.
  virtual std::span<const float> append(std::span<const int32_t> tokens) = 0;
};

// Tokens that append() gets at most: bounds the memory of logits.
inline constexpr size_t kLogitRows = 128;

struct Perplexity {
  int64_t tokens = 0;   // predicted
  double mean_nll = 0;  // nats a token
  double value = 0;     // e^mean_nll
  // 95 %: blocks of 64 tokens that follow one another, resampled; none of less than 8 blocks.
  std::optional<Interval> interval;
};

struct Divergence {
  Perplexity reference, model;
  // KL(reference || model) of the distributions of each token, nats.
  double mean = 0, median = 0, p90 = 0, p99 = 0, max = 0;
  std::optional<Interval> mean_interval;  // as Perplexity::interval
  Proportion top;                         // tokens of which both have the same most likely one
  double mean_probability_change = 0;     // of the text's token: mean of p_model - p_reference
  double rms_probability_change = 0;
  double log_ratio = 0;  // mean_nll of the model - that of the reference
  std::optional<Interval> log_ratio_interval;
};

// After each window: how many there are, and how many are done.
using WindowProgress = std::function<void(size_t done, size_t all)>;
// Gets all logits that predict a token, as they come: f32 [rows, vocab].
using LogitSink = std::function<void(std::span<const float> rows)>;

// `prefix` begins each window; windows are windows_of(tokens.size(), …) with its size.
Perplexity measure_perplexity(LogitSource& model, std::span<const int32_t> prefix,
                              std::span<const int32_t> tokens, const std::vector<Window>& windows,
                              const WindowProgress& progress = {}, const LogitSink& sink = {});

// Throws Error(kUsage) when the vocabularies differ in size.
Divergence measure_divergence(LogitSource& reference, LogitSource& model,
                              std::span<const int32_t> prefix, std::span<const int32_t> tokens,
                              const std::vector<Window>& windows,
                              const WindowProgress& progress = {});

}  // namespace mica
