// The parts that architectures share: loading of weights, attention, feed-forward layers.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/weights.h"
#include "model/config.h"
#include "model/rope.h"
#include "ops/arena.h"
#include "ops/attention/attention.h"
#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

using Linear = std::unique_ptr<PreparedLinear>;

// What a step's operations run on.
struct Step {
  Backend& backend;
  const Batch& batch;
  KvCache& cache;
  Arena& arena;
  DType dtype;  // of activations

  Tensor take(Shape shape) const { return arena.take(dtype, shape); }
};

// A stored float vector as f32; `offset` is added (gemma: 1) and the sum rounded to the stored
// dtype, as mlx adds in it.
std::vector<float> read_vector(const Tensor& stored, float offset);

// Prepares weights on the backend as the loader asks for them, counts them, owns the small ones.
class Loader {
 public:
  Loader(const ModelConfig& config, WeightSource& source, Backend& backend)
      : config_(config), source_(source), backend_(backend) {}

  // `path` without config.weight_prefix, which is put before it.
  // `needs_bias`: the architecture defines an additive bias; its absence is an error.
  Linear linear(const std::string& path, int64_t rows, int64_t columns, int64_t experts = 1,
                bool needs_bias = false);
  // read_vector on the device.
  Tensor vector(const std::string& name, int64_t size, float offset = 0);
  Tensor constant(std::span<const float> values);
  bool has(const std::string& path) const { return source_.has(config_.weight_prefix + path); }

  const ModelConfig& config() const { return config_; }
  Backend& backend() const { return backend_; }
  size_t weight_bytes() const { return weight_bytes_; }
  std::vector<Buffer> take_buffers() { return std::move(buffers_); }
  // What `linear` made, by path.
  std::map<std::string, const PreparedLinear*> take_modules() { return std::move(modules_); }

 private:
  const ModelConfig& config_;
  WeightSource& source_;
  Backend& backend_;
  size_t weight_bytes_ = 0;
  std::vector<Buffer> buffers_;
  std::map<std::string, const PreparedLinear*> modules_;
};

// Rotation of one kind of layer, on the device.
struct Rope {
  Tensor inverse_frequencies;  // f32 [rotary / 2]
  float magnitude = 1;
  bool interleaved = false;
  // "dynamic": the table depends on the sequence's length beyond this many positions.
  const RopeConfig* dynamic = nullptr;
  float theta = 0;
  int64_t rotary = 0, max_position = 0;
};

Rope make_rope(Loader& loader, const RopeConfig& rope, float theta);

// Attention with its projections: "self_attn" of all the architectures here.
struct AttentionLayer {
  Linear q_proj, k_proj, v_proj, o_proj;
  Tensor q_norm, k_norm;  // f32 [Dh] or empty
  const Rope* rope = nullptr;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  float eps = 1e-6f;
  float scale = 1;
  float softcap = 0;
  int64_t window = 0;
  size_t cache_index = 0;
};

// What an architecture's attention has beside the four projections.
struct AttentionTraits {
  bool qk_norm = false;  // q_norm, k_norm: RMS norm of each head
  bool qkv_bias = false;
  bool output_bias = false;
  float norm_offset = 0;  // gemma: 1
};

// Reads the layer below `path` ("model.layers.3.self_attn"); cache_index is its number.
AttentionLayer load_attention(Loader& loader, const std::string& path, size_t cache_index,
                              const AttentionTraits& traits);

// out = o_proj(attention(x)); `add`: out += …
void attend(const Step& step, const AttentionLayer& layer, const Tensor& x, const Tensor& out,
            bool add);

// down_proj(act(gate_proj(x)) * up_proj(x))
struct GatedMlp {
  Linear gate_proj, up_proj, down_proj;
  Activation activation = Activation::kSilu;
};

GatedMlp load_gated_mlp(Loader& loader, const std::string& path, int64_t intermediate_size,
                        bool bias = false);
void feed_forward(const Step& step, const GatedMlp& mlp, const Tensor& x, const Tensor& out,
                  bool add);

// The same with experts: weights stacked in switch_mlp, the router in gate.
struct MoeMlp {
  Linear gate;
  Linear gate_proj, up_proj, down_proj;  // [E, F, D], [E, F, D], [E, D, F]
  Activation activation = Activation::kSilu;
  int64_t experts_per_token = 0;
  bool normalize = false;
};

MoeMlp load_moe_mlp(Loader& loader, const std::string& path);
void feed_forward(const Step& step, const MoeMlp& mlp, const Tensor& x, const Tensor& out,
                  bool add);

// Token embedding, final norm and output layer.
struct Head {
  Linear embed_tokens;
  Linear lm_head;  // null: tied to embed_tokens
  Tensor norm;
  float embed_scale = 1;
  const PreparedLinear& output() const { return lm_head ? *lm_head : *embed_tokens; }
};

Head load_head(Loader& loader, float norm_offset = 0);
Tensor embed(const Step& step, const Head& head);
// The last hidden states [T, D] of batch.logit_rows, normalised: [R, D].
Tensor final_states(const Step& step, const Head& head, const ModelConfig& config,
                    const Tensor& hidden);
// Logits f32 [R, V] of batch.logit_rows from the last hidden states [T, D].
Tensor project(const Step& step, const Head& head, const ModelConfig& config, const Tensor& hidden);

// out = norm(x), a new tensor from the arena.
Tensor normalize(const Step& step, const Tensor& x, const Tensor& weight, float eps);

// Bytes of activations for T tokens and R rows, all counted as f32 (router scores are in any case),
// with a margin for the arena's alignment.
size_t decoder_arena_bytes(const ModelConfig& config, int64_t tokens, int64_t rows);

// What the products of a decode step take.
struct ReadCost {
  int64_t tokens = 1;   // of the step
  size_t bytes = 0;     // that the step reads
  int64_t weights = 0;  // that take part in one token's products
  void add(const PreparedLinear& linear) {
    bytes += linear.weight_bytes;
    weights += linear.rows * linear.columns;
  }
  void add(const AttentionLayer& layer);
  void add(const GatedMlp& mlp);
  void add(const MoeMlp& mlp);  // the chosen experts
};

std::vector<CacheSpec> paged_cache_layers(const ModelConfig& config);

}  // namespace mica
