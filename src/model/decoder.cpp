#include "model/decoder.h"

#include <algorithm>

namespace mica {
namespace {

class Decoder final : public Model {
 public:
  Decoder(const ModelConfig& config, WeightSource& weights, Backend& backend,
          const DecoderTraits& traits)
      : Model(config), backend_(backend) {
    Loader loader(config_, weights, backend);
    head_ = load_head(loader);
    rope_ = make_rope(loader, config_.rope, config_.rope.theta);
    layers_.resize(static_cast<size_t>(config_.num_hidden_layers));
    for (size_t i = 0; i < layers_.size(); ++i) load_layer(loader, i, traits);
    weight_bytes_ = loader.weight_bytes();
    buffers_ = loader.take_buffers();
    modules_ = loader.take_modules();
  }

  std::vector<CacheSpec> cache_layers() const override { return paged_cache_layers(config_); }

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

  bool recordable() const override { return rope_.dynamic == nullptr; }

  size_t bytes_per_step(int64_t tokens) const override { return read_cost(tokens).bytes; }
  int64_t weights_per_token() const override { return read_cost(1).weights; }
  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  Tensor run_layers(const Step& step) const {
    const Tensor h = embed(step, head_);
    for (const DecoderLayer& layer : layers_) {
      const size_t mark = step.arena.mark();
      attend(step, layer.self_attn, normalize(step, h, layer.input_layernorm, config_.rms_norm_eps),
             h, /*add=*/true);
      const Tensor x = normalize(step, h, layer.post_attention_layernorm, config_.rms_norm_eps);
      std::visit([&](const auto& mlp) { feed_forward(step, mlp, x, h, /*add=*/true); }, layer.mlp);
      step.arena.reset(mark);
    }
    return h;
  }

  ReadCost read_cost(int64_t tokens) const {
    ReadCost cost{.tokens = tokens};
    cost.add(head_.output());
    for (const DecoderLayer& layer : layers_) {
      cost.add(layer.self_attn);
      std::visit([&](const auto& mlp) { cost.add(mlp); }, layer.mlp);
    }
    return cost;
  }

  void load_layer(Loader& loader, size_t i, const DecoderTraits& traits) {
    const std::string path = fmt::format("model.layers.{}", i);
    DecoderLayer& layer = layers_[i];
    layer.input_layernorm = loader.vector(path + ".input_layernorm.weight", config_.hidden_size);
    layer.self_attn = load_attention(loader, path + ".self_attn", i, traits.attention);
    layer.self_attn.rope = &rope_;
    layer.post_attention_layernorm =
        loader.vector(path + ".post_attention_layernorm.weight", config_.hidden_size);
    if (is_moe_layer(config_, static_cast<int64_t>(i)))
      layer.mlp = load_moe_mlp(loader, path + ".mlp");
    else
      layer.mlp = load_gated_mlp(loader, path + ".mlp", config_.intermediate_size, traits.mlp_bias);
  }

  Backend& backend_;
  Head head_;
  Rope rope_;
  std::vector<DecoderLayer> layers_;
  std::vector<Buffer> buffers_;  // norms and tables
  size_t weight_bytes_ = 0;
};

}  // namespace

bool is_moe_layer(const ModelConfig& config, int64_t layer) {
  const auto& dense = config.mlp_only_layers;
  return config.num_experts > 0 && (layer + 1) % config.decoder_sparse_step == 0 &&
         std::find(dense.begin(), dense.end(), layer) == dense.end();
}

std::unique_ptr<Model> load_decoder(const ModelConfig& config, WeightSource& weights,
                                    Backend& backend, const DecoderTraits& traits) {
  return std::make_unique<Decoder>(config, weights, backend, traits);
}

}  // namespace mica
