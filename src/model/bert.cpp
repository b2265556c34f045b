// bert, and roberta, xlm-roberta and camembert, whose positions begin later: layers normalised
// after each part. Devlin et al. 2019; Liu et al. 2019; Conneau et al. 2020.
#include "checkpoint/tensor_names.h"
#include "model/encoder.h"
#include "model/registry.h"
#include "ops/activation/activation.h"
#include "ops/embed/embed.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/linear/linear.h"

namespace mica {
namespace {

struct LayerNorm {
  Tensor weight, bias;  // f32 [D]
};

struct BertLayer {
  Linear query, key, value, attention_output;
  LayerNorm attention_norm;
  Linear intermediate, output;
  LayerNorm output_norm;
};

std::string prefix_of(const WeightSource& weights) {
  for (const char* prefix : kEncoderPrefixes)
    if (weights.has(std::string(prefix) + kWordEmbeddings)) return prefix;
  return "";
}

class Bert final : public EncoderModel {
 public:
  Bert(const ModelConfig& config, WeightSource& weights, Backend& backend)
      : EncoderModel(config), backend_(backend) {
    config_.weight_prefix = prefix_of(weights);
    Loader loader(config_, weights, backend);
    const int64_t hidden = config_.hidden_size;
    const int64_t positions = config_.max_position_embeddings + config_.position_offset;
    words_ = loader.linear(kWordEmbeddings, config_.vocab_size, hidden);
    positions_ = loader.linear("embeddings.position_embeddings", positions, hidden);
    types_ = loader.linear("embeddings.token_type_embeddings", config_.type_vocab_size, hidden);
    norm_ = load_norm(loader, "embeddings.LayerNorm");
    layers_.resize(static_cast<size_t>(config_.num_hidden_layers));
    for (size_t i = 0; i < layers_.size(); ++i) load_layer(loader, i);
    weight_bytes_ = loader.weight_bytes();
    buffers_ = loader.take_buffers();
    modules_ = loader.take_modules();
  }

  Tensor hidden(const Batch& batch, KvCache& cache, Arena& arena) override {
    const Step step{backend_, batch, cache, arena, backend_.activation_dtype(config_.dtype)};
    const EncoderView view(step, config_);
    const Tensor h = embed_all(step, view);
    for (const BertLayer& layer : layers_) {
      const size_t mark = arena.mark();
      attend(step, view, layer, h);
      arena.reset(mark);
      feed_forward(step, layer, h);
      arena.reset(mark);
    }
    const int64_t rows = batch.logit_rows.shape[0];
    if (rows == batch.tokens()) return h;
    const Tensor out = step.take({rows, h.shape[1]});
    if (rows > 0) backend_.ops().gather_rows(backend_, h, batch.logit_rows, out);
    return out;
  }

  size_t bytes_per_step(int64_t) const override { return weight_bytes_; }
  int64_t weights_per_token() const override {
    const int64_t hidden = config_.hidden_size;
    return config_.num_hidden_layers * hidden * (4 * hidden + 2 * config_.intermediate_size);
  }
  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  static LayerNorm load_norm(Loader& loader, const std::string& path) {
    const int64_t size = loader.config().hidden_size;
    return {loader.vector(path + ".weight", size), loader.vector(path + ".bias", size)};
  }

  void load_layer(Loader& loader, size_t i) {
    const std::string path = fmt::format("encoder.layer.{}.", i);
    const int64_t hidden = config_.hidden_size, wide = config_.intermediate_size;
    const auto linear = [&](const char* name, int64_t rows, int64_t columns) {
      return loader.linear(path + name, rows, columns, 1, /*needs_bias=*/true);
    };
    BertLayer& layer = layers_[i];
    layer.query = linear("attention.self.query", hidden, hidden);
    layer.key = linear("attention.self.key", hidden, hidden);
    layer.value = linear("attention.self.value", hidden, hidden);
    layer.attention_output = linear("attention.output.dense", hidden, hidden);
    layer.attention_norm = load_norm(loader, path + "attention.output.LayerNorm");
    layer.intermediate = linear("intermediate.dense", wide, hidden);
    layer.output = linear("output.dense", hidden, wide);
    layer.output_norm = load_norm(loader, path + "output.LayerNorm");
  }

  void normalise(const Tensor& h, const LayerNorm& norm) const {
    backend_.ops().layer_norm(backend_, {.x = h,
                                         .weight = norm.weight,
                                         .bias = norm.bias,
                                         .eps = config_.layer_norm_eps,
                                         .out = h});
  }

  void multiply(const Tensor& x, std::initializer_list<LinearTarget> targets) const {
    backend_.ops().linear(backend_, {.x = x, .targets = {targets.begin(), targets.size()}});
  }

  Tensor embed_all(const Step& step, const EncoderView& view) const {
    const Tensor h = step.take({step.batch.tokens(), config_.hidden_size});
    backend_.ops().embed(backend_, {.ids = step.batch.token_ids, .table = words_.get(), .out = h});
    const Tensor part = step.take(h.shape);
    backend_.ops().embed(backend_, {.ids = view.token_types(), .table = types_.get(), .out = part});
    backend_.ops().add(backend_, h, part);
    backend_.ops().embed(backend_,
                         {.ids = view.positions(), .table = positions_.get(), .out = part});
    backend_.ops().add(backend_, h, part);
    normalise(h, norm_);
    return h;
  }

  void attend(const Step& step, const EncoderView& view, const BertLayer& layer,
              const Tensor& h) const {
    const Tensor q = step.take(h.shape), k = step.take(h.shape), v = step.take(h.shape);
    const Tensor mixed = step.take(h.shape);
    multiply(h, {{layer.query.get(), q}, {layer.key.get(), k}, {layer.value.get(), v}});
    const Shape heads{h.shape[0], config_.num_attention_heads, config_.head_dim};
    view.attend(step, q.view(heads), k.view(heads), v.view(heads), mixed.view(heads));
    multiply(mixed, {{layer.attention_output.get(), h, /*add=*/true}});
    normalise(h, layer.attention_norm);
  }

  void feed_forward(const Step& step, const BertLayer& layer, const Tensor& h) const {
    const Tensor wide = step.take({h.shape[0], config_.intermediate_size});
    multiply(h, {{layer.intermediate.get(), wide}});
    backend_.ops().activation(backend_, {.kind = config_.activation, .gate = wide, .out = wide});
    multiply(wide, {{layer.output.get(), h, /*add=*/true}});
    normalise(h, layer.output_norm);
  }

  Backend& backend_;
  Linear words_, positions_, types_;
  LayerNorm norm_;
  std::vector<BertLayer> layers_;
  std::vector<Buffer> buffers_;  // norms
  size_t weight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Model> load_bert(const ModelConfig& config, WeightSource& weights,
                                 Backend& backend) {
  return std::make_unique<Bert>(config, weights, backend);
}

}  // namespace mica
