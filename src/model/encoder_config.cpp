#include "model/encoder_config.h"

#include "checkpoint/json_reader.h"

namespace mica {
namespace {

// transformers' defaults for keys that a config may leave out.
struct Family {
  std::string_view type;
  int64_t pad_token;
  bool offset;  // positions begin behind the padding token's
};

constexpr Family kFamilies[] = {
    {"bert", 0, false},
    {"roberta", 1, true},
    {"xlm-roberta", 1, true},
    {"camembert", 1, true},
};

const Family* family_of(std::string_view model_type) {
  for (const Family& family : kFamilies)
    if (family.type == model_type) return &family;
  return nullptr;
}

Activation read_hidden_act(const JsonReader& root) {
  const std::string name = root.string("hidden_act", "gelu");
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  root.fail("hidden_act", "gelu, gelu_new, gelu_pytorch_tanh, silu or swish", name);
}

void check_kind(const JsonReader& root) {
  if (root.boolean("is_decoder", false)) root.fail("is_decoder", "false: an encoder", "true");
  const std::string positions = root.string("position_embedding_type", "absolute");
  if (positions != "absolute") root.fail("position_embedding_type", "absolute", positions);
}

}  // namespace

bool is_encoder_type(std::string_view model_type) {
  return family_of(model_type) != nullptr;
}

ModelConfig read_encoder_config(const JsonReader& root) {
  const std::string type = root.string("model_type");
  const Family& family = *family_of(type);
  check_kind(root);
  ModelConfig config;
  config.model_type = type;
  config.hidden_size = root.integer("hidden_size", 1, int64_t{1} << 20, 768);
  config.num_hidden_layers = root.integer("num_hidden_layers", 1, 4096, 12);
  config.intermediate_size = root.integer("intermediate_size", 1, int64_t{1} << 22, 3072);
  config.num_attention_heads = root.integer("num_attention_heads", 1, int64_t{1} << 14, 12);
  config.num_key_value_heads = config.num_attention_heads;
  if (config.hidden_size % config.num_attention_heads != 0)
    root.fail("num_attention_heads", fmt::format("a divisor of hidden_size {}", config.hidden_size),
              std::to_string(config.num_attention_heads));
  config.head_dim = config.hidden_size / config.num_attention_heads;
  if (config.head_dim % 2 != 0 || config.head_dim > 8192)
    root.fail("num_attention_heads", "heads of an even size up to 8192",
              fmt::format("heads of {}", config.head_dim));
  config.vocab_size = root.integer("vocab_size", 1, int64_t{1} << 24, 30522);
  config.type_vocab_size = root.integer("type_vocab_size", 1, 1024, family.offset ? 1 : 2);
  const int64_t pad = root.integer("pad_token_id", 0, int64_t{1} << 24, family.pad_token);
  config.position_offset = family.offset ? pad + 1 : 0;
  const int64_t positions = root.integer("max_position_embeddings", 1, int64_t{1} << 24, 512);
  if (positions <= config.position_offset)
    root.fail("max_position_embeddings", fmt::format("more than {}", config.position_offset),
              std::to_string(positions));
  config.max_position_embeddings = positions - config.position_offset;
  config.layer_norm_eps = static_cast<float>(root.number("layer_norm_eps", 0, 1, 1e-12));
  config.activation = read_hidden_act(root);
  return config;
}

}  // namespace mica
