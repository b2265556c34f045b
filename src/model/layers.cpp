#include "model/layers.h"

#include <algorithm>
#include <cmath>

#include "model/adapters.h"
#include "ops/activation/activation.h"
#include "ops/embed/embed.h"
#include "ops/linear/linear.h"
#include "ops/moe/moe.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope_append/rope_append.h"

namespace mica {
namespace {

// Caches keep the checkpoint's precision: an f32 checkpoint is compared to 1e-4.
DType cache_dtype(const ModelConfig& config) {
  return config.dtype;
}

void linear(const Step& step, const Tensor& x, std::span<const LinearTarget> targets) {
  step.backend.ops().linear(step.backend, {.x = x, .targets = targets});
  if (!step.batch.adapters) return;
  for (const LinearTarget& target : targets) add_low_rank(step, x, target);
}

// The table of each token, by the length that its sequence has after this step.
Tensor dynamic_frequencies(const Step& step, const Rope& rope) {
  const int64_t half = rope.rotary / 2;
  std::vector<float> rows;
  rows.reserve(static_cast<size_t>(step.batch.tokens() * half));
  for (size_t s = 0; s + 1 < step.batch.host_query_start.size(); ++s) {
    const auto table = dynamic_rope_frequencies(*rope.dynamic, rope.theta, rope.rotary,
                                                rope.max_position, step.batch.host_kv_lengths[s]);
    const int32_t count = step.batch.host_query_start[s + 1] - step.batch.host_query_start[s];
    for (int32_t t = 0; t < count; ++t) rows.insert(rows.end(), table.begin(), table.end());
  }
  const Tensor out = step.arena.take(DType::kF32, {step.batch.tokens(), half});
  step.backend.upload(out.data, rows.data(), out.bytes());
  return out;
}

bool any_beyond(const Batch& batch, int64_t limit) {
  for (int32_t length : batch.host_kv_lengths)
    if (length > limit) return true;
  return false;
}

}  // namespace

std::vector<float> read_vector(const Tensor& stored, float offset) {
  const int64_t size = stored.elements();
  std::vector<float> values(static_cast<size_t>(size));
  to_f32(stored.data, stored.dtype, size, values.data());
  if (offset == 0) return values;
  for (float& v : values) v += offset;
  std::vector<std::byte> rounded(values.size() * size_of(stored.dtype));
  from_f32(values.data(), size, stored.dtype, rounded.data());
  to_f32(rounded.data(), stored.dtype, size, values.data());
  return values;
}

Linear Loader::linear(const std::string& path, int64_t rows, int64_t columns, int64_t experts,
                      bool needs_bias) {
  const LinearWeights weights =
      source_.linear(config_.weight_prefix + path, rows, columns, experts);
  if (needs_bias && weights.bias.empty())
    throw Error(ErrorKind::kCheckpoint,
                "[model] {}{}.bias: expected ({}), not in the checkpoint; model type '{}' has a "
                "bias there",
                config_.weight_prefix, path, rows, config_.model_type);
  Linear prepared = backend_.prepare(weights);
  source_.release(weights);
  weight_bytes_ += prepared->bytes;
  modules_[config_.weight_prefix + path] = prepared.get();
  return prepared;
}

Tensor Loader::vector(const std::string& name, int64_t size, float offset) {
  return constant(read_vector(source_.parameter(config_.weight_prefix + name, {size}), offset));
}

Tensor Loader::constant(std::span<const float> values) {
  buffers_.push_back(backend_.allocate(values.size_bytes()));
  backend_.upload(buffers_.back().data(), values.data(), values.size_bytes());
  weight_bytes_ += values.size_bytes();
  return {buffers_.back().data(), DType::kF32, {static_cast<int64_t>(values.size())}};
}

Rope make_rope(Loader& loader, const RopeConfig& config, float theta) {
  const ModelConfig& model = loader.config();
  Rope rope;
  rope.rotary = static_cast<int64_t>(static_cast<float>(model.head_dim) * config.partial) / 2 * 2;
  const RopeTable table =
      make_rope_table(config, theta, rope.rotary, model.max_position_embeddings);
  rope.inverse_frequencies = loader.constant(table.inverse_frequencies);
  rope.magnitude = table.magnitude;
  rope.interleaved = config.interleaved;
  rope.theta = theta;
  rope.max_position = model.max_position_embeddings;
  if (config.type == "dynamic") rope.dynamic = &config;
  return rope;
}

AttentionLayer load_attention(Loader& loader, const std::string& path, size_t cache_index,
                              const AttentionTraits& traits) {
  const ModelConfig& config = loader.config();
  const int64_t hidden = config.hidden_size, head = config.head_dim;
  AttentionLayer layer;
  layer.heads = config.num_attention_heads;
  layer.kv_heads = config.num_key_value_heads;
  layer.head_dim = head;
  layer.eps = config.rms_norm_eps;
  layer.scale = 1.0f / std::sqrt(static_cast<float>(head));
  layer.softcap = config.attention_softcap;
  layer.cache_index = cache_index;
  if (cache_index < config.sliding_layers.size() && config.sliding_layers[cache_index])
    layer.window = config.sliding_window;
  const bool bias = traits.qkv_bias;
  layer.q_proj = loader.linear(path + ".q_proj", layer.heads * head, hidden, 1, bias);
  layer.k_proj = loader.linear(path + ".k_proj", layer.kv_heads * head, hidden, 1, bias);
  layer.v_proj = loader.linear(path + ".v_proj", layer.kv_heads * head, hidden, 1, bias);
  layer.o_proj = loader.linear(path + ".o_proj", hidden, layer.heads * head, 1, traits.output_bias);
  if (traits.qk_norm) {
    layer.q_norm = loader.vector(path + ".q_norm.weight", head, traits.norm_offset);
    layer.k_norm = loader.vector(path + ".k_norm.weight", head, traits.norm_offset);
  }
  return layer;
}

void attend(const Step& step, const AttentionLayer& layer, const Tensor& x, const Tensor& out,
            bool add) {
  const size_t mark = step.arena.mark();
  const int64_t tokens = x.shape[0];
  const Tensor q = step.take({tokens, layer.heads * layer.head_dim});
  const Tensor k = step.take({tokens, layer.kv_heads * layer.head_dim});
  const Tensor v = step.take({tokens, layer.kv_heads * layer.head_dim});
  const LinearTarget qkv[] = {
      {layer.q_proj.get(), q}, {layer.k_proj.get(), k}, {layer.v_proj.get(), v}};
  linear(step, x, qkv);

  const Rope& rope = *layer.rope;
  const bool stretched = rope.dynamic && any_beyond(step.batch, rope.max_position);
  const KvLayer& cache = step.cache.layers[layer.cache_index];
  const Tensor heads = q.view({tokens, layer.heads, layer.head_dim});
  step.backend.ops().rope_append(
      step.backend, {.q = heads,
                     .k = k.view({tokens, layer.kv_heads, layer.head_dim}),
                     .v = v.view({tokens, layer.kv_heads, layer.head_dim}),
                     .q_norm = layer.q_norm,
                     .k_norm = layer.k_norm,
                     .eps = layer.eps,
                     .inverse_frequencies =
                         stretched ? dynamic_frequencies(step, rope) : rope.inverse_frequencies,
                     .magnitude = rope.magnitude,
                     .interleaved = rope.interleaved,
                     .positions = step.batch.positions,
                     .slots = step.batch.slots,
                     .cache = cache});

  const Tensor mixed = step.take({tokens, layer.heads, layer.head_dim});
  step.backend.ops().attention(step.backend, {.q = heads,
                                              .out = mixed,
                                              .cache = cache,
                                              .block_size = step.cache.block_size,
                                              .batch = &step.batch,
                                              .scale = layer.scale,
                                              .window = layer.window,
                                              .softcap = layer.softcap,
                                              .sinks = {}});
  const LinearTarget output[] = {{layer.o_proj.get(), out, add}};
  linear(step, mixed.view({tokens, layer.heads * layer.head_dim}), output);
  step.arena.reset(mark);
}

GatedMlp load_gated_mlp(Loader& loader, const std::string& path, int64_t intermediate_size,
                        bool bias) {
  const int64_t hidden = loader.config().hidden_size;
  GatedMlp mlp;
  mlp.activation = loader.config().activation;
  mlp.gate_proj = loader.linear(path + ".gate_proj", intermediate_size, hidden, 1, bias);
  mlp.up_proj = loader.linear(path + ".up_proj", intermediate_size, hidden, 1, bias);
  mlp.down_proj = loader.linear(path + ".down_proj", hidden, intermediate_size, 1, bias);
  return mlp;
}

void feed_forward(const Step& step, const GatedMlp& mlp, const Tensor& x, const Tensor& out,
                  bool add) {
  const size_t mark = step.arena.mark();
  const Tensor gate = step.take({x.shape[0], mlp.gate_proj->rows});
  const Tensor up = step.take({x.shape[0], mlp.up_proj->rows});
  const LinearTarget wide[] = {{mlp.gate_proj.get(), gate}, {mlp.up_proj.get(), up}};
  linear(step, x, wide);
  step.backend.ops().activation(step.backend,
                                {.kind = mlp.activation, .gate = gate, .up = up, .out = gate});
  const LinearTarget narrow[] = {{mlp.down_proj.get(), out, add}};
  linear(step, gate, narrow);
  step.arena.reset(mark);
}

MoeMlp load_moe_mlp(Loader& loader, const std::string& path) {
  const ModelConfig& config = loader.config();
  const int64_t hidden = config.hidden_size, width = config.moe_intermediate_size;
  const int64_t experts = config.num_experts;
  MoeMlp mlp;
  mlp.activation = config.activation;
  mlp.experts_per_token = config.num_experts_per_tok;
  mlp.normalize = config.norm_topk_prob;
  mlp.gate = loader.linear(path + ".gate", experts, hidden);
  mlp.gate_proj = loader.linear(path + ".switch_mlp.gate_proj", width, hidden, experts);
  mlp.up_proj = loader.linear(path + ".switch_mlp.up_proj", width, hidden, experts);
  mlp.down_proj = loader.linear(path + ".switch_mlp.down_proj", hidden, width, experts);
  return mlp;
}

void feed_forward(const Step& step, const MoeMlp& mlp, const Tensor& x, const Tensor& out,
                  bool add) {
  const size_t mark = step.arena.mark();
  Backend& backend = step.backend;
  const int64_t tokens = x.shape[0], chosen = mlp.experts_per_token;
  const Tensor scores = step.arena.take(DType::kF32, {tokens, mlp.gate->rows});
  const LinearTarget router[] = {{mlp.gate.get(), scores}};
  linear(step, x, router);
  const Tensor ids = step.arena.take(DType::kI32, {tokens, chosen});
  const Tensor weights = step.arena.take(DType::kF32, {tokens, chosen});
  backend.ops().moe_route(
      backend, {.normalize = mlp.normalize, .scores = scores, .ids = ids, .weights = weights});

  const Tensor gate = step.take({tokens * chosen, mlp.gate_proj->rows});
  const Tensor up = step.take({tokens * chosen, mlp.up_proj->rows});
  const LinearTarget wide[] = {{mlp.gate_proj.get(), gate}, {mlp.up_proj.get(), up}};
  backend.ops().moe_linear(backend, {.x = x, .ids = ids, .targets = wide});
  backend.ops().activation(backend, {.kind = mlp.activation, .gate = gate, .up = up, .out = gate});
  const Tensor down = step.take({tokens * chosen, mlp.down_proj->rows});
  const LinearTarget narrow[] = {{mlp.down_proj.get(), down}};
  backend.ops().moe_linear(backend, {.x = gate, .ids = ids, .targets = narrow});
  backend.ops().moe_combine(backend, {.x = down, .weights = weights, .out = out, .add = add});
  step.arena.reset(mark);
}

Head load_head(Loader& loader, float norm_offset) {
  const ModelConfig& config = loader.config();
  Head head;
  head.embed_tokens = loader.linear("model.embed_tokens", config.vocab_size, config.hidden_size);
  if (!config.tie_word_embeddings)
    head.lm_head = loader.linear("lm_head", config.vocab_size, config.hidden_size);
  head.norm = loader.vector("model.norm.weight", config.hidden_size, norm_offset);
  return head;
}

Tensor embed(const Step& step, const Head& head) {
  const Tensor out = step.take({step.batch.tokens(), head.embed_tokens->columns});
  step.backend.ops().embed(step.backend, {.ids = step.batch.token_ids,
                                          .table = head.embed_tokens.get(),
                                          .scale = head.embed_scale,
                                          .out = out});
  return out;
}

Tensor final_states(const Step& step, const Head& head, const ModelConfig& config,
                    const Tensor& hidden) {
  const Tensor last = step.take({step.batch.logit_rows.shape[0], hidden.shape[1]});
  if (last.shape[0] == 0) return last;
  step.backend.ops().gather_rows(step.backend, hidden, step.batch.logit_rows, last);
  return normalize(step, last, head.norm, config.rms_norm_eps);
}

Tensor project(const Step& step, const Head& head, const ModelConfig& config,
               const Tensor& hidden) {
  const int64_t rows = step.batch.logit_rows.shape[0];
  const Tensor logits = step.arena.take(DType::kF32, {rows, head.output().rows});
  if (rows == 0) return logits;
  const Tensor normed = final_states(step, head, config, hidden);
  const LinearTarget target[] = {{&head.output(), logits}};
  linear(step, normed, target);
  if (config.final_logit_softcap > 0)
    step.backend.ops().softcap(step.backend, logits, config.final_logit_softcap);
  return logits;
}

Tensor normalize(const Step& step, const Tensor& x, const Tensor& weight, float eps) {
  const Tensor out = step.take(x.shape);
  step.backend.ops().rms_norm(step.backend,
                              {.x = x, .residual = {}, .weight = weight, .eps = eps, .out = out});
  return out;
}

size_t decoder_arena_bytes(const ModelConfig& config, int64_t tokens, int64_t rows) {
  const int64_t heads = config.num_attention_heads * config.head_dim;
  const int64_t kv = config.num_key_value_heads * config.head_dim;
  // Attention: q, k, v, mixed. Feed-forward: gate, up (experts: k rows a token, and down, router).
  const int64_t attention = 2 * heads + 2 * kv + config.head_dim;
  const int64_t chosen = config.num_experts_per_tok;
  const int64_t experts =
      chosen * (2 * config.moe_intermediate_size + config.hidden_size + 2) + config.num_experts;
  const int64_t wide =
      std::max(2 * config.intermediate_size, config.num_experts > 0 ? experts : int64_t{0});
  const int64_t per_token = 8 * config.hidden_size + std::max(attention, wide);
  const int64_t per_row = 2 * config.hidden_size;
  const size_t values = static_cast<size_t>(tokens * per_token + rows * per_row);
  const size_t logits = static_cast<size_t>(rows * config.vocab_size) * sizeof(float);
  return values * sizeof(float) + logits + 64 * 256;
}

void ReadCost::add(const AttentionLayer& layer) {
  for (const Linear* linear : {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj})
    add(**linear);
}

void ReadCost::add(const GatedMlp& mlp) {
  for (const Linear* linear : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) add(**linear);
}

void ReadCost::add(const MoeMlp& mlp) {
  add(*mlp.gate);
  for (const Linear* linear : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) {
    const auto experts = static_cast<double>((*linear)->experts);
    const double missed = 1 - static_cast<double>(mlp.experts_per_token) / experts;  // by a token
    const double read = experts * (1 - std::pow(missed, static_cast<double>(tokens)));
    bytes += static_cast<size_t>(std::llround(read * static_cast<double>((*linear)->weight_bytes)));
    weights += mlp.experts_per_token * (*linear)->rows * (*linear)->columns;
  }
}

std::vector<CacheSpec> paged_cache_layers(const ModelConfig& config) {
  std::vector<CacheSpec> layers(static_cast<size_t>(config.num_hidden_layers));
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].kv_heads = config.num_key_value_heads;
    layers[i].head_dim = config.head_dim;
    layers[i].dtype = cache_dtype(config);
    if (i < config.sliding_layers.size() && config.sliding_layers[i])
      layers[i].window = config.sliding_window;
  }
  return layers;
}

}  // namespace mica
