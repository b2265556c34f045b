#include "model/rope_config.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr double kMinTheta = 1.0000001;  // its logarithm divides
constexpr double kMaxTheta = 1e18;
constexpr double kMaxFactor = 1e6;
constexpr double kTiny = 1e-9;

// transformers 5: either flat, or one object for each layer type.
std::optional<JsonReader> parameters_of(const JsonReader& fields, const char* layer_type) {
  std::optional<JsonReader> parameters = fields.object("rope_parameters");
  if (!parameters) return parameters;
  if (std::optional<JsonReader> nested = parameters->object(layer_type)) return nested;
  if (parameters->has("full_attention") || parameters->has("sliding_attention"))
    return std::nullopt;
  return parameters;
}

double read_theta(const JsonReader& fields, const std::optional<JsonReader>& parameters,
                  std::optional<double> otherwise) {
  if (fields.has("rope_theta")) return fields.number("rope_theta", kMinTheta, kMaxTheta);
  if (parameters && parameters->has("rope_theta"))
    return parameters->number("rope_theta", kMinTheta, kMaxTheta);
  if (otherwise) return *otherwise;
  return fields.number("rope_theta", kMinTheta, kMaxTheta);  // throws: it is absent
}

// `type` goes before `rope_type` where both are present, as in the reference.
std::string read_type(const JsonReader& scaling) {
  const char* key = scaling.string("type", "").empty() ? "rope_type" : "type";
  std::string type = scaling.string(key, "default");
  if (type == "deepseek_yarn" || type == "telechat3-yarn") type = "yarn";
  if (type == "mrope") type = "default";  // equal to it for text
  for (const char* known : {"default", "linear", "dynamic", "llama3", "yarn", "longrope"})
    if (type == known) return type;
  scaling.fail(key, "default, linear, dynamic, llama3, yarn or longrope",
               brief(*scaling.find(key)));
}

// longrope: one factor for each rotated pair, or one for all.
std::vector<float> read_factors(const JsonReader& scaling, const char* key, int64_t pairs) {
  const json* value = scaling.find(key);
  if (value && value->is_number())
    return std::vector<float>(static_cast<size_t>(pairs),
                              static_cast<float>(scaling.number(key, kTiny, kMaxFactor)));
  const std::string expected = fmt::format("a list of {} positive numbers", pairs);
  if (!value) scaling.fail(key, expected, "nothing");
  if (!value->is_array() || value->size() != static_cast<size_t>(pairs))
    scaling.fail(key, expected, brief(*value));
  std::vector<float> factors;
  for (const json& element : *value) {
    const double factor = element.is_number() ? element.get<double>() : 0;
    if (!(factor >= kTiny && factor <= kMaxFactor)) scaling.fail(key, expected, brief(element));
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

void read_llama3(const JsonReader& scaling, RopeConfig& rope) {
  rope.low_freq_factor =
      static_cast<float>(scaling.number("low_freq_factor", kTiny, kMaxFactor, 1));
  rope.high_freq_factor =
      static_cast<float>(scaling.number("high_freq_factor", kTiny, kMaxFactor, 4));
  if (!(rope.high_freq_factor > rope.low_freq_factor))
    scaling.fail("high_freq_factor",
                 fmt::format("more than low_freq_factor {}", rope.low_freq_factor),
                 fmt::format("{}", rope.high_freq_factor));
}

void read_yarn(const JsonReader& scaling, RopeConfig& rope) {
  rope.beta_fast = static_cast<float>(scaling.number("beta_fast", kTiny, kMaxFactor, 32));
  rope.beta_slow = static_cast<float>(scaling.number("beta_slow", kTiny, kMaxFactor, 1));
  rope.mscale = static_cast<float>(scaling.number("mscale", 0, kMaxFactor, 1));
  rope.mscale_all_dim = static_cast<float>(scaling.number("mscale_all_dim", 0, kMaxFactor, 0));
  rope.truncate = scaling.boolean("truncate", true);
}

// What original_max_position_embeddings is when absent (mlx-lm, rope_utils.py).
int64_t default_original(const std::string& type, const ModelConfig& config) {
  if (type == "llama3") return 8192;
  if (type == "yarn") return 4096;
  return config.max_position_embeddings;
}

}  // namespace

RopeConfig read_rope_config(const JsonReader& fields, const ModelConfig& config,
                            std::optional<double> default_theta) {
  constexpr const char* kOriginal = "original_max_position_embeddings";
  constexpr int64_t kMaxPositions = int64_t{1} << 30;
  RopeConfig rope;
  const std::optional<JsonReader> parameters = parameters_of(fields, "full_attention");
  rope.theta = static_cast<float>(read_theta(fields, parameters, default_theta));
  rope.interleaved = fields.boolean("rope_traditional", false);
  std::optional<JsonReader> scaling = fields.object("rope_scaling");
  if (!scaling) scaling = parameters;
  if (!scaling) return rope;
  rope.type = read_type(*scaling);
  if (rope.type == "default") return rope;
  const JsonReader& original = scaling->has(kOriginal) ? *scaling : fields;
  rope.original_max_position =
      original.integer(kOriginal, 2, kMaxPositions, default_original(rope.type, config));
  rope.attention_factor = static_cast<float>(scaling->number("attention_factor", 0, kMaxFactor, 0));
  if (rope.type == "longrope") {
    rope.interleaved = false;  // the reference's SuScaledRoPE knows no other way
    if (!original.has(kOriginal)) scaling->fail(kOriginal, "an integer", "nothing");
    rope.factor = static_cast<float>(scaling->number("factor", kTiny, kMaxFactor, 1));
    rope.short_factor = read_factors(*scaling, "short_factor", config.head_dim / 2);
    rope.long_factor = read_factors(*scaling, "long_factor", config.head_dim / 2);
    return rope;
  }
  rope.factor = static_cast<float>(scaling->number("factor", kTiny, kMaxFactor));
  if (rope.type == "llama3") read_llama3(*scaling, rope);
  if (rope.type == "yarn") read_yarn(*scaling, rope);
  return rope;
}

float read_local_theta(const JsonReader& fields) {
  constexpr const char* kKey = "rope_local_base_freq";
  if (fields.has(kKey)) return static_cast<float>(fields.number(kKey, kMinTheta, kMaxTheta));
  const std::optional<JsonReader> parameters = fields.object("rope_parameters");
  if (parameters && parameters->has("sliding_attention"))
    return static_cast<float>(
        parameters->object("sliding_attention")->number("rope_theta", kMinTheta, kMaxTheta, 10000));
  return 10000;
}

}  // namespace mica
