// A ragged batch over a paged cache with shuffled blocks, for tests and benchmarks of attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "backend_test.h"
#include "ops/attention/attention.h"
#include "ops/kv_quantization.h"

namespace mica {

struct AttentionSequence {
  int64_t past = 0;     // tokens in the cache before this step
  int64_t queries = 1;  // tokens of this step
  uint32_t seed = 0;    // of its keys, values and queries
};

struct AttentionCase {
  std::vector<AttentionSequence> sequences;
  int64_t heads = 4, kv_heads = 2, head_dim = 64, block_size = 16;
  DType cache = DType::kF32;
  int64_t window = 0;
  float softcap = 0;
  bool sinks = false;
  DType query = DType::kF32;  // to which queries are rounded, on any backend
  int64_t table_columns = 0;  // of the block table, at least
  int64_t cache_blocks = 0;   // at least
  int kv_bits = 0;            // 8 or 4: a quantized cache, `cache` is the dtype of its scales
  int kv_group = 64;

  // Of the cache's layer.
  CacheSpec spec() const {
    CacheSpec spec;
    spec.kv_heads = kv_heads;
    spec.head_dim = head_dim;
    spec.dtype = cache;
    return with_quantization({spec}, {kv_bits, kv_group})[0];
  }
};

// Puts the case on a backend. What a query must not read is NaN: free blocks, positions behind the
// end, and blocks wholly before the window, whose table entries are 0.
class AttentionSetup {
 public:
  AttentionSetup(TestBackend& backend, const AttentionCase& c) : backend_(backend), case_(c) {
    lay_out();
    fill_cache();
    put_batch();
    params_.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
    params_.window = c.window;
    params_.softcap = c.softcap;
    params_.block_size = static_cast<int32_t>(c.block_size);
    params_.batch = &batch_;
    if (c.sinks) params_.sinks = backend.put(random_values(c.heads, 77), {c.heads});
  }
  AttentionSetup(const AttentionSetup&) = delete;

  void run() { backend_.ops().attention(*backend_, params_); }
  std::vector<float> result() { return backend_.get(params_.out); }
  const AttentionParams& params() const { return params_; }

 private:
  int64_t length(size_t s) const { return case_.sequences[s].past + case_.sequences[s].queries; }
  int64_t blocks_of(size_t s) const {
    return (length(s) + case_.block_size - 1) / case_.block_size;
  }

  void lay_out() {
    int64_t blocks = 1;  // block 0 belongs to nobody
    max_blocks_ = case_.table_columns;
    for (size_t s = 0; s < case_.sequences.size(); ++s) {
      max_blocks_ = std::max(max_blocks_, blocks_of(s));
      blocks += blocks_of(s);
    }
    block_ids_.resize(static_cast<size_t>(blocks - 1));
    std::iota(block_ids_.begin(), block_ids_.end(), 1);
    std::shuffle(block_ids_.begin(), block_ids_.end(), std::mt19937(5));
    blocks_ = std::max(blocks, case_.cache_blocks);
  }

  void fill_cache() {
    const AttentionCase& c = case_;
    const Shape shape{blocks_, c.kv_heads, c.block_size, c.head_dim};
    std::vector<float> keys(static_cast<size_t>(shape.elements()),
                            std::numeric_limits<float>::quiet_NaN());
    std::vector<float> values = keys;
    size_t next = 0;
    for (size_t s = 0; s < c.sequences.size(); ++s) {
      const int64_t count = length(s) * c.kv_heads * c.head_dim;
      const std::vector<float> k = random_values(count, 100 + 3 * c.sequences[s].seed);
      const std::vector<float> v = random_values(count, 101 + 3 * c.sequences[s].seed);
      for (int64_t i = 0; i < length(s); ++i)
        for (int64_t g = 0; g < c.kv_heads; ++g) {
          const int64_t block = block_ids_[next + static_cast<size_t>(i / c.block_size)];
          const int64_t to =
              ((block * c.kv_heads + g) * c.block_size + i % c.block_size) * c.head_dim;
          const int64_t from = (i * c.kv_heads + g) * c.head_dim;
          std::copy_n(k.begin() + from, c.head_dim, keys.begin() + to);
          std::copy_n(v.begin() + from, c.head_dim, values.begin() + to);
        }
      next += static_cast<size_t>(blocks_of(s));
    }
    params_.cache.scheme = c.spec().scheme;
    params_.cache.keys = put_cache(keys, shape);
    params_.cache.values = put_cache(values, shape);
  }

  Tensor put_cache(const std::vector<float>& vectors, const Shape& shape) {
    const CacheSpec spec = case_.spec();
    if (spec.scheme.bits == 0) return backend_.put(vectors, shape, case_.cache);
    Tensor cache = spec.tensor(blocks_, case_.block_size);
    std::vector<std::byte> bytes(cache.bytes(), std::byte{0xff});  // NaN in any dtype
    cache.data = bytes.data();
    const int64_t size = case_.head_dim;
    for (int64_t row = 0; row < shape.elements() / size; ++row) {
      const float* vector = vectors.data() + row * size;
      if (std::isnan(*vector)) continue;
      const int64_t piece = row / case_.block_size;
      quantize_vector(vector, size, spec.scheme,
                      kv_place(cache, spec.scheme, size, piece / case_.kv_heads,
                               piece % case_.kv_heads, row % case_.block_size));
    }
    return backend_.put_bytes(bytes, cache.shape);
  }

  void put_batch() {
    const AttentionCase& c = case_;
    std::vector<int32_t> starts = {0}, lengths, positions, table;
    std::vector<float> q;
    size_t next = 0;
    for (size_t s = 0; s < c.sequences.size(); ++s) {
      const AttentionSequence& sequence = c.sequences[s];
      // All queries that the sequence ever had, so that chunks of it see the same ones.
      const std::vector<float> all =
          random_values(length(s) * c.heads * c.head_dim, 102 + 3 * sequence.seed);
      q.insert(q.end(), all.begin() + sequence.past * c.heads * c.head_dim, all.end());
      starts.push_back(starts.back() + static_cast<int32_t>(sequence.queries));
      lengths.push_back(static_cast<int32_t>(length(s)));
      for (int64_t i = sequence.past; i < length(s); ++i)
        positions.push_back(static_cast<int32_t>(i));
      const int64_t lowest = c.window > 0 ? std::max<int64_t>(0, sequence.past + 1 - c.window) : 0;
      for (int64_t b = 0; b < max_blocks_; ++b) {
        const bool used = b < blocks_of(s) && (b + 1) * c.block_size > lowest;
        table.push_back(used ? block_ids_[next + static_cast<size_t>(b)] : 0);
      }
      next += static_cast<size_t>(blocks_of(s));
    }
    const int64_t tokens = starts.back();
    const auto sequences = static_cast<int64_t>(lengths.size());
    batch_.token_ids = backend_.put_ids(positions, {tokens});
    batch_.positions = backend_.put_ids(positions, {tokens});
    batch_.query_start = backend_.put_ids(starts, {sequences + 1});
    batch_.kv_lengths = backend_.put_ids(lengths, {sequences});
    batch_.block_table = backend_.put_ids(table, {sequences, max_blocks_});
    host_starts_ = starts;
    host_lengths_ = lengths;
    batch_.host_query_start = host_starts_;
    batch_.host_kv_lengths = host_lengths_;
    const Shape shape{tokens, c.heads, c.head_dim};
    if (c.query != DType::kF32) {
      const Tensor rounded = backend_.put(q, shape, c.query);
      q = backend_.get(rounded);
    }
    params_.q = backend_.put_activations(q, shape);
    params_.out = backend_.put_activations(
        std::vector<float>(q.size(), std::numeric_limits<float>::quiet_NaN()), shape);
  }

  TestBackend& backend_;
  AttentionCase case_;
  int64_t max_blocks_ = 0, blocks_ = 0;
  std::vector<int32_t> block_ids_, host_starts_, host_lengths_;
  Batch batch_;
  AttentionParams params_;
};

}  // namespace mica
