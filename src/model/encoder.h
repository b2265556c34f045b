// What encoders share: attention in which each token sees its whole sequence, and a Model that only
// has `hidden`.
#pragma once

#include <vector>

#include "model/layers.h"
#include "model/model.h"

namespace mica {

// Of one step; `EncoderModel::arena_bytes` counts on it.
constexpr int64_t kMaxEncoderSequences = 64;

// A batch of whole sequences as attention without a causal order takes it: keys and values of all
// tokens are appended first, then every token is a sequence of its own that ends behind the last
// key. The memory is one layer's and serves all of them in turn; it comes from the arena.
class EncoderView {
 public:
  // Reads host_query_start. Valid until the arena is reset; not to be moved.
  EncoderView(const Step& step, const ModelConfig& config);
  EncoderView(const EncoderView&) = delete;
  EncoderView& operator=(const EncoderView&) = delete;

  const Tensor& positions() const { return positions_; }      // i32 [T], with the config's offset
  const Tensor& token_types() const { return token_types_; }  // i32 [T], zeros
  // out = attention of q over all k and v of the token's sequence; q is [T, H, Dh], and so on.
  void attend(const Step& step, const Tensor& q, const Tensor& k, const Tensor& v,
              const Tensor& out) const;

  static size_t bytes(const ModelConfig& config, int64_t tokens);

 private:
  Tensor put(const Step& step, const std::vector<int32_t>& values, Shape shape);

  Tensor positions_, token_types_, slots_;
  Batch queries_;
  std::vector<int32_t> starts_, lengths_;  // of queries_
  KvLayer cache_;
};

class EncoderModel : public Model {
 public:
  bool generates() const override { return false; }
  bool recordable() const override { return false; }
  std::vector<CacheSpec> cache_layers() const override { return {}; }
  size_t arena_bytes(int64_t tokens, int64_t rows) const override;
  // Throws Error(kUsage).
  Tensor forward(const Batch& batch, KvCache& cache, Arena& arena) override;

 protected:
  using Model::Model;
};

}  // namespace mica
