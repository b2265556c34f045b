// gemma3 and gemma3_text: norms before and after each part, norm weights stored less one, sliding
// layers with a rotation of their own, embeddings scaled by sqrt(D). Gemma Team 2025.
#include <cmath>

#include "model/layers.h"
#include "model/model.h"
#include "model/registry.h"

namespace mica {
namespace {

struct Gemma3Layer {
  Tensor input_layernorm, post_attention_layernorm;              // f32 [D], one added
  Tensor pre_feedforward_layernorm, post_feedforward_layernorm;  // f32 [D], one added
  AttentionLayer self_attn;
  GatedMlp mlp;
};

class Gemma3 final : public Model {
 public:
  Gemma3(const ModelConfig& config, WeightSource& weights, Backend& backend)
      : Model(config), backend_(backend) {
    Loader loader(config_, weights, backend);
    head_ = load_head(loader, 1.0f);
    // mlx-lm rounds the scale to bfloat16 whatever the checkpoint's dtype.
    const float root = std::sqrt(static_cast<float>(config_.hidden_size));
    head_.embed_scale = bf16_to_f32(f32_to_bf16(root));
    global_rope_ = make_rope(loader, config_.rope, config_.rope.theta);
    local_rope_ = make_rope(loader, local_, config_.rope_local_theta);
    layers_.resize(static_cast<size_t>(config_.num_hidden_layers));
    for (size_t i = 0; i < layers_.size(); ++i) load_layer(loader, i);
    weight_bytes_ = loader.weight_bytes();
    buffers_ = loader.take_buffers();
    modules_ = loader.take_modules();
  }

  std::vector<CacheSpec> cache_layers() const override { return paged_cache_layers(config_); }

  bool recordable() const override { return !global_rope_.dynamic && !local_rope_.dynamic; }

  size_t arena_bytes(int64_t tokens, int64_t rows) const override {
    return decoder_arena_bytes(config_, tokens, rows);
  }

  Tensor forward(const Batch& batch, KvCache& cache, Arena& arena) override {
    const Step step{backend_, batch, cache, arena, backend_.activation_dtype(config_.dtype)};
    return project(step, head_, config_, run_layers(step));
  }

  Tensor hidden(const Batch& batch, KvCache& cache, Arena& arena) override {
    const Step step{backend_, batch, cache, arena, backend_.activation_dtype(config_.dtype)};
    return final_states(step, head_, config_, run_layers(step));
  }

  size_t bytes_per_step(int64_t tokens) const override { return read_cost(tokens).bytes; }
  int64_t weights_per_token() const override { return read_cost(1).weights; }
  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  Tensor run_layers(const Step& step) const {
    const float eps = config_.rms_norm_eps;
    const Tensor h = embed(step, head_);
    for (const Gemma3Layer& layer : layers_) {
      const size_t mark = step.arena.mark();
      const Tensor x = normalize(step, h, layer.input_layernorm, eps);
      const Tensor part = step.take(h.shape);
      attend(step, layer.self_attn, x, part, /*add=*/false);
      backend_.ops().add(backend_, h, normalize(step, part, layer.post_attention_layernorm, eps));
      const Tensor y = normalize(step, h, layer.pre_feedforward_layernorm, eps);
      feed_forward(step, layer.mlp, y, part, /*add=*/false);
      backend_.ops().add(backend_, h, normalize(step, part, layer.post_feedforward_layernorm, eps));
      step.arena.reset(mark);
    }
    return h;
  }

  ReadCost read_cost(int64_t tokens) const {
    ReadCost cost{.tokens = tokens};
    cost.add(head_.output());
    for (const Gemma3Layer& layer : layers_) {
      cost.add(layer.self_attn);
      cost.add(layer.mlp);
    }
    return cost;
  }

  void load_layer(Loader& loader, size_t i) {
    const std::string path = fmt::format("model.layers.{}", i);
    Gemma3Layer& layer = layers_[i];
    const auto norm = [&](const char* name) {
      return loader.vector(fmt::format("{}.{}.weight", path, name), config_.hidden_size, 1.0f);
    };
    layer.input_layernorm = norm("input_layernorm");
    layer.self_attn =
        load_attention(loader, path + ".self_attn", i, {.qk_norm = true, .norm_offset = 1.0f});
    layer.self_attn.scale = 1.0f / std::sqrt(config_.query_pre_attn_scalar);
    layer.self_attn.rope = layer.self_attn.window > 0 ? &local_rope_ : &global_rope_;
    layer.post_attention_layernorm = norm("post_attention_layernorm");
    layer.pre_feedforward_layernorm = norm("pre_feedforward_layernorm");
    layer.mlp = load_gated_mlp(loader, path + ".mlp", config_.intermediate_size);
    layer.post_feedforward_layernorm = norm("post_feedforward_layernorm");
  }

  Backend& backend_;
  const RopeConfig local_;  // sliding layers rotate without scaling
  Head head_;
  Rope global_rope_, local_rope_;
  std::vector<Gemma3Layer> layers_;
  std::vector<Buffer> buffers_;
  size_t weight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Model> load_gemma3(const ModelConfig& config, WeightSource& weights,
                                   Backend& backend) {
  return std::make_unique<Gemma3>(config, weights, backend);
}

}  // namespace mica
