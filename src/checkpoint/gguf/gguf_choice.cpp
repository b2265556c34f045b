#include "checkpoint/gguf/gguf_choice.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/gguf/gguf_blocks.h"

namespace mica {
namespace {

// Of some rows of a layer.
struct Tally {
  int64_t changed = 0;
  double largest_change = 0;  // |difference|
  double largest = 0;         // |weight|

  void add(const std::vector<float>& stored, const std::vector<float>& wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      largest = std::fmax(largest, std::fabs(wanted[i]));
      if (stored[i] == wanted[i] || (std::isnan(stored[i]) && std::isnan(wanted[i]))) continue;
      ++changed;
      const double change = std::fabs(double{stored[i]} - double{wanted[i]});
      largest_change = std::fmax(
          largest_change, std::isfinite(change) ? change : std::numeric_limits<double>::max());
    }
  }
  void add(const Tally& other) {
    changed += other.changed;
    largest_change = std::fmax(largest_change, other.largest_change);
    largest = std::fmax(largest, other.largest);
  }
};

int64_t count_of(const LinearWeights& weights) {
  return weights.experts * weights.rows * weights.columns;
}

GgufType type_of(DType dtype) {
  return dtype == DType::kF16    ? GgufType::kF16
         : dtype == DType::kBF16 ? GgufType::kBf16
                                 : GgufType::kF32;
}

bool fits_blocks(const LinearWeights& weights, GgufType type) {
  return weights.columns % gguf_type(type).block == 0;
}

}  // namespace

std::optional<GgufFit> measure_gguf_fit(const LinearWeights& weights, GgufType type,
                                        double max_change, int threads) {
  if (!fits_blocks(weights, type)) return std::nullopt;
  std::atomic<bool> refused = false;
  std::mutex mutex;
  Tally all;
  const auto measure = [&](size_t begin, size_t end) {
    if (refused) return;
    GgufRowEncoder encoder(weights, type);
    std::vector<std::byte> row(encoder.row_bytes());
    std::vector<float> stored(static_cast<size_t>(weights.columns));
    Tally tally;
    for (size_t i = begin; i < end && !refused; ++i) {
      const int64_t expert = static_cast<int64_t>(i) / weights.rows;
      const int64_t n = static_cast<int64_t>(i) % weights.rows;
      if (max_change == 0 && encoder.is_exact(expert, n)) continue;
      if (!encoder.encode(expert, n, row.data())) refused = true;
      decode_gguf_row(type, row.data(), weights.columns, stored.data());
      tally.add(stored, encoder.values());
      if (max_change == 0 && tally.changed > 0) refused = true;
    }
    const std::lock_guard lock(mutex);
    all.add(tally);
  };
  for_chunks(static_cast<size_t>(weights.experts * weights.rows), 64, threads, measure);
  if (refused || all.largest_change > max_change * all.largest) return std::nullopt;
  return GgufFit{type, count_of(weights), all.changed,
                 all.changed > 0 ? all.largest_change / all.largest : 0};
}

GgufFit choose_gguf_type(const LinearWeights& weights, const GgufTypeChoice& choice) {
  const double any = std::numeric_limits<double>::infinity();
  if (choice.type) {
    const auto fit = measure_gguf_fit(weights, *choice.type, any, choice.threads);
    MICA_CHECK(fit.has_value());
    return *fit;
  }
  if (weights.scheme.mode == QuantMode::kNone)
    return {type_of(weights.weight.dtype), count_of(weights), 0, 0};
  for (const GgufType type : written_gguf_types()) {
    if (type == GgufType::kF32) break;
    if (const auto fit = measure_gguf_fit(weights, type, choice.max_change, choice.threads))
      return *fit;
  }
  return {GgufType::kF32, count_of(weights), 0, 0};
}

}  // namespace mica
