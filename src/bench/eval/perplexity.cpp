#include "bench/eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "bench/statistics/bootstrap.h"
#include "bench/statistics/distribution.h"

namespace mica {
namespace {

// A row of logits as a distribution: p(i) = exp(row[i] - log_sum).
struct Row {
  std::span<const float> logits;
  double log_sum = 0;
  size_t top = 0;

  explicit Row(std::span<const float> row) : logits(row) {
    top = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    const float most = row[top];
    double sum = 0;
    for (const float logit : row) sum += std::exp(logit - most);
    log_sum = most + std::log(sum);
    if (!std::isfinite(log_sum))
      throw Error(ErrorKind::kMeasurement,
                  "[eval] the model's logits are not finite: is its checkpoint whole?");
  }
  double log_probability(size_t token) const { return logits[token] - log_sum; }
};

double divergence_of(const Row& reference, const Row& model) {
  double sum = 0;
  for (size_t i = 0; i < reference.logits.size(); ++i) {
    const double log_p = reference.logits[i] - reference.log_sum;
    if (log_p < -60) continue;  // p below 1e-26 adds nothing
    sum += std::exp(log_p) * (log_p - (model.logits[i] - model.log_sum));
  }
  return std::max(0.0, sum);
}

// Means of blocks of consecutive values, all of nearly one size: neighbours depend on each other,
// blocks hardly do.
std::optional<Interval> block_interval(std::span<const double> values) {
  constexpr size_t kBlock = 64, kLeast = 8;
  const size_t blocks = values.size() / kBlock;
  if (blocks < kLeast) return std::nullopt;
  std::vector<double> means;
  for (size_t i = 0; i < blocks; ++i) {
    const size_t begin = i * values.size() / blocks, end = (i + 1) * values.size() / blocks;
    means.push_back(mean_of(values.subspan(begin, end - begin)));
  }
  return bootstrap_mean(means);
}

Perplexity perplexity_of(std::span<const double> nll) {
  Perplexity result;
  result.tokens = static_cast<int64_t>(nll.size());
  result.mean_nll = mean_of(nll);
  result.value = std::exp(result.mean_nll);
  if (const auto interval = block_interval(nll))
    result.interval = Interval{std::exp(interval->low), std::exp(interval->high)};
  return result;
}

// Calls visit(tokens of a piece, first of the text's tokens that they predict, whether they predict
// one) over all windows; begin() starts each.
template <typename Begin, typename Visit>
void walk(std::span<const int32_t> prefix, std::span<const int32_t> tokens,
          const std::vector<Window>& windows, const WindowProgress& progress, Begin begin,
          Visit visit) {
  std::vector<int32_t> sequence;
  for (size_t w = 0; w < windows.size(); ++w) {
    const Window& window = windows[w];
    MICA_CHECK(window.end <= tokens.size() && window.scored < window.end);
    sequence.assign(prefix.begin(), prefix.end());
    sequence.insert(sequence.end(), tokens.begin() + static_cast<std::ptrdiff_t>(window.begin),
                    tokens.begin() + static_cast<std::ptrdiff_t>(window.end) - 1);
    // The row behind sequence[i] predicts tokens[window.begin + i + 1 - prefix].
    const size_t first = prefix.size() + window.scored - window.begin - 1;
    begin();
    for (size_t at = 0; at < sequence.size();) {
      const bool predicts = at >= first;
      const size_t limit = predicts ? sequence.size() : first;
      const size_t count = std::min(kLogitRows, limit - at);
      visit(std::span<const int32_t>(sequence).subspan(at, count),
            window.begin + at + 1 - prefix.size(), predicts);
      at += count;
    }
    if (progress) progress(w + 1, windows.size());
  }
}

class Distances {
 public:
  void add(const Row& reference, const Row& model, int32_t token) {
    const auto id = static_cast<size_t>(token);
    const double log_p = reference.log_probability(id), log_q = model.log_probability(id);
    reference_nll_.push_back(-log_p);
    model_nll_.push_back(-log_q);
    ratios_.push_back(log_p - log_q);
    changes_.push_back(std::exp(log_q) - std::exp(log_p));
    divergences_.push_back(divergence_of(reference, model));
    result_.top.add(reference.top == model.top);
  }

  Divergence finish() {
    result_.reference = perplexity_of(reference_nll_);
    result_.model = perplexity_of(model_nll_);
    result_.mean = mean_of(divergences_);
    result_.mean_interval = block_interval(divergences_);
    result_.log_ratio = mean_of(ratios_);
    result_.log_ratio_interval = block_interval(ratios_);
    result_.mean_probability_change = mean_of(changes_);
    for (double& change : changes_) change *= change;
    result_.rms_probability_change = std::sqrt(mean_of(changes_));
    std::sort(divergences_.begin(), divergences_.end());
    result_.median = percentile(divergences_, 50);
    result_.p90 = percentile(divergences_, 90);
    result_.p99 = percentile(divergences_, 99);
    result_.max = divergences_.back();
    return result_;
  }

 private:
  std::vector<double> reference_nll_, model_nll_, ratios_, changes_, divergences_;
  Divergence result_;
};

void check_tokens(std::span<const int32_t> tokens, int64_t vocab) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= vocab)
      throw Error(ErrorKind::kUsage,
                  "[eval] the text has token {}, the model has {}: is this its tokenizer?", token,
                  vocab);
}

}  // namespace

Perplexity measure_perplexity(LogitSource& model, std::span<const int32_t> prefix,
                              std::span<const int32_t> tokens, const std::vector<Window>& windows,
                              const WindowProgress& progress, const LogitSink& sink) {
  const auto vocab = static_cast<size_t>(model.vocab_size());
  check_tokens(tokens, model.vocab_size());
  std::vector<double> nll;
  walk(
      prefix, tokens, windows, progress, [&] { model.restart(); },
      [&](std::span<const int32_t> piece, size_t next, bool predicts) {
        if (!predicts) return model.skip(piece);
        const std::span<const float> logits = model.append(piece);
        if (sink) sink(logits);
        for (size_t i = 0; i < piece.size(); ++i)
          nll.push_back(-Row(logits.subspan(i * vocab, vocab))
                             .log_probability(static_cast<size_t>(tokens[next + i])));
      });
  return perplexity_of(nll);
}

Divergence measure_divergence(LogitSource& reference, LogitSource& model,
                              std::span<const int32_t> prefix, std::span<const int32_t> tokens,
                              const std::vector<Window>& windows, const WindowProgress& progress) {
  if (reference.vocab_size() != model.vocab_size())
    throw Error(ErrorKind::kUsage,
                "[eval] the reference has {} tokens, the model has {}: their distributions can't "
                "be compared",
                reference.vocab_size(), model.vocab_size());
  const auto vocab = static_cast<size_t>(model.vocab_size());
  check_tokens(tokens, model.vocab_size());
  Distances distances;
  walk(
      prefix, tokens, windows, progress,
      [&] {
        reference.restart();
        model.restart();
      },
      [&](std::span<const int32_t> piece, size_t next, bool predicts) {
        if (!predicts) {
          reference.skip(piece);
          return model.skip(piece);
        }
        const std::span<const float> p = reference.append(piece), q = model.append(piece);
        for (size_t i = 0; i < piece.size(); ++i)
          distances.add(Row(p.subspan(i * vocab, vocab)), Row(q.subspan(i * vocab, vocab)),
                        tokens[next + i]);
      });
  return distances.finish();
}

}  // namespace mica
