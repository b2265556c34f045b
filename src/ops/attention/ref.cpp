#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/attention/attention.h"
#include "ops/kv_quantization.h"
#include "ops/ref/ref_ops.h"

namespace mica::ref {
namespace {

// The cached vector of one position, as f32.
class CacheReader {
 public:
  CacheReader(const AttentionParams& p, int64_t sequence) : p_(p) {
    const Tensor& table = p.batch->block_table;
    blocks_ = table.as<int32_t>() + sequence * table.shape[1];
    row_.resize(static_cast<size_t>(p.q.shape[2]));
  }
  const std::vector<float>& read(const Tensor& cache, int64_t kv_head, int64_t position) {
    const int64_t heads = cache.shape[1], size = p_.q.shape[2];
    const int64_t block = blocks_[position / p_.block_size];
    if (p_.cache.scheme.bits > 0) {
      dequantize_vector(
          kv_place(cache, p_.cache.scheme, size, block, kv_head, position % p_.block_size), size,
          p_.cache.scheme, row_.data());
      return row_;
    }
    const int64_t row = (block * heads + kv_head) * p_.block_size + position % p_.block_size;
    to_f32(cache.as<std::byte>() + static_cast<size_t>(row * size) * size_of(cache.dtype),
           cache.dtype, size, row_.data());
    return row_;
  }

 private:
  const AttentionParams& p_;
  const int32_t* blocks_;
  std::vector<float> row_;
};

// One query head of one token over the positions [begin, end).
void attend(const AttentionParams& p, CacheReader& cache, int64_t token, int64_t head,
            int64_t begin, int64_t end) {
  const int64_t heads = p.q.shape[1], size = p.q.shape[2];
  const int64_t kv_head = head * p.cache.keys.shape[1] / heads;
  const float* q = p.q.as<float>() + (token * heads + head) * size;
  std::vector<double> scores;
  for (int64_t i = begin; i < end; ++i) {
    const std::vector<float>& key = cache.read(p.cache.keys, kv_head, i);
    double score = 0;
    for (int64_t d = 0; d < size; ++d)
      score += static_cast<double>(q[d]) * key[static_cast<size_t>(d)];
    score *= p.scale;
    if (p.softcap > 0) score = p.softcap * std::tanh(score / p.softcap);
    scores.push_back(score);
  }
  double highest = *std::max_element(scores.begin(), scores.end());
  if (!p.sinks.empty()) highest = std::max<double>(highest, p.sinks.as<float>()[head]);
  double sum = p.sinks.empty() ? 0 : std::exp(p.sinks.as<float>()[head] - highest);
  for (double& score : scores) sum += score = std::exp(score - highest);
  std::vector<double> out(static_cast<size_t>(size), 0);
  for (int64_t i = begin; i < end; ++i) {
    const std::vector<float>& value = cache.read(p.cache.values, kv_head, i);
    for (size_t d = 0; d < out.size(); ++d)
      out[d] += scores[static_cast<size_t>(i - begin)] / sum * value[d];
  }
  for (int64_t d = 0; d < size; ++d)
    p.out.as<float>()[(token * heads + head) * size + d] =
        static_cast<float>(out[static_cast<size_t>(d)]);
}

}  // namespace

void attention(Backend&, const AttentionParams& p) {
  MICA_CHECK(p.q.dtype == DType::kF32 && p.out.dtype == DType::kF32 && p.out.shape == p.q.shape);
  MICA_CHECK(p.q.shape[1] % p.cache.keys.shape[1] == 0 && p.cache.keys.shape[2] == p.block_size);
  MICA_CHECK(p.cache.holds(p.q.shape[2]));
  const int32_t* starts = p.batch->query_start.as<int32_t>();
  const int32_t* lengths = p.batch->kv_lengths.as<int32_t>();
  for (int64_t s = 0; s < p.batch->sequences(); ++s) {
    CacheReader cache(p, s);
    for (int64_t t = starts[s]; t < starts[s + 1]; ++t) {
      const int64_t position = p.batch->positions.as<int32_t>()[t];
      MICA_CHECK(position < lengths[s]);
      const int64_t begin = p.window > 0 ? std::max<int64_t>(0, position - p.window + 1) : 0;
      for (int64_t h = 0; h < p.q.shape[1]; ++h) attend(p, cache, t, h, begin, position + 1);
    }
  }
}

}  // namespace mica::ref
