// The golden models of tests/golden/models: configuration, mlx-lm's logits, weights made on the
// fly.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "golden_weights.h"
#include "model/model.h"
#include "test_data.h"

namespace mica {

using GoldenJson = nlohmann::json;

inline std::vector<float> decode_floats(const std::string& base64) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char c : base64) {
    if (c == '=') break;
    const int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                  : c >= 'a' && c <= 'z' ? c - 'a' + 26
                  : c >= '0' && c <= '9' ? c - '0' + 52
                  : c == '+'             ? 62
                                         : 63;
    bits = (bits << 6) | static_cast<uint32_t>(v);
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8));
  }
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

inline double norm(std::span<const float> row) {
  double squares = 0;
  for (const float value : row) squares += double{value} * double{value};
  return std::sqrt(squares);
}

// ||ours - theirs|| / ||theirs||; NaN, which is below no bound, where one of them has a NaN.
inline double relative_error(std::span<const float> ours, std::span<const float> theirs) {
  std::vector<float> difference(ours.begin(), ours.end());
  for (size_t i = 0; i < theirs.size(); ++i) difference[i] -= theirs[i];
  return norm(difference) / norm(theirs);
}

// Of the worst of `rows` rows.
inline double worst_error(std::span<const float> ours, std::span<const float> theirs, size_t rows) {
  const size_t width = theirs.size() / rows;
  double worst = 0;
  for (size_t row = 0; row < rows; ++row) {
    const double error =
        relative_error(ours.subspan(row * width, width), theirs.subspan(row * width, width));
    if (std::isnan(error)) return error;
    worst = std::max(worst, error);
  }
  return worst;
}

inline bool has_bias(const GoldenJson& config, const std::string& path) {
  const bool projection = path.find("_proj") != std::string::npos;
  if (config["model_type"] == "qwen2")
    return projection && path.find("self_attn") != std::string::npos &&
           path.find("o_proj") == std::string::npos;
  const bool attention = path.find("self_attn") != std::string::npos;
  return projection && config.value(attention ? "attention_bias" : "mlp_bias", false);
}

struct Golden {
  GoldenJson record;
  std::vector<float> logits;
  std::vector<int32_t> tokens;
  DType dtype;      // of the checkpoint
  DType reference;  // of mlx-lm's activations
  bool experts;
  // [MoE layers][tokens]: how far the last chosen expert leads (tools/golden.py, router_margins).
  std::vector<std::vector<double>> router_margins;
};

inline DType golden_dtype(const GoldenJson& name) {
  return name == "float32" ? DType::kF32 : name == "float16" ? DType::kF16 : DType::kBF16;
}

inline Golden read_golden(const std::filesystem::path& path) {
  Golden golden;
  golden.record = GoldenJson::parse(read_text_file(path));
  golden.logits = decode_floats(golden.record["logits"].get<std::string>());
  golden.tokens = golden.record["tokens"].get<std::vector<int32_t>>();
  golden.dtype = golden_dtype(golden.record["source_dtype"]);
  golden.reference = golden_dtype(golden.record["computed_in"]);
  golden.experts = golden.record["config"].contains("num_experts");
  if (golden.experts) golden.record["router_margins"].get_to(golden.router_margins);
  return golden;
}

inline std::unique_ptr<Model> load_golden(const Golden& golden, Backend& backend) {
  const GoldenJson& config = golden.record["config"];
  ModelConfig parsed = parse_model_config(config.dump());
  parsed.dtype = golden.dtype;
  const std::string type = config["model_type"];
  GoldenWeights::Options options;
  options.dtype = golden.dtype;
  options.gemma = type.rfind("gemma", 0) == 0;
  options.biased = [config](const std::string& path) { return has_bias(config, path); };
  GoldenWeights weights(config.dump(), options);
  return load_model(parsed, weights, backend);
}

}  // namespace mica
