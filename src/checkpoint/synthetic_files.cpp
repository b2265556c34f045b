#include "checkpoint/synthetic_files.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json_reader.h"
#include "checkpoint/quantization_table.h"
#include "checkpoint/safetensors.h"

namespace mica {
namespace {

using nlohmann::ordered_json;

// The named tensors of one request, without memory.
std::vector<NamedTensor> tensors_of(const WeightRequest& request, const LinearWeights& w,
                                    DType dtype) {
  if (!request.is_linear) return {{request.path, {nullptr, dtype, request.shape}}};
  std::vector<NamedTensor> tensors;
  const std::pair<const char*, const Tensor*> leaves[] = {
      {".weight", &w.weight}, {".scales", &w.scales}, {".biases", &w.biases}, {".bias", &w.bias}};
  for (const auto& [leaf, tensor] : leaves)
    if (tensor->shape.rank() > 0) tensors.push_back({request.path + leaf, *tensor});
  return tensors;
}

struct Shard {
  std::vector<size_t> requests;
  std::vector<SafetensorsWriter::Item> items;
  size_t bytes = 0;
};

struct Plan {
  std::vector<Shard> shards;
  SyntheticFiles total;
};

Plan plan_shards(std::span<const WeightRequest> requests, const SyntheticWeights& weights,
                 size_t shard_bytes) {
  Plan plan;
  for (size_t i = 0; i < requests.size(); ++i) {
    const WeightRequest& r = requests[i];
    const LinearWeights w =
        r.is_linear ? weights.plan(r.path, r.rows, r.columns, r.experts) : LinearWeights{};
    size_t bytes = 0;
    const std::vector<NamedTensor> tensors = tensors_of(r, w, weights.options().dtype);
    for (const NamedTensor& named : tensors) bytes += named.tensor.bytes();
    if (plan.shards.empty() ||
        (plan.shards.back().bytes > 0 && plan.shards.back().bytes + bytes > shard_bytes))
      plan.shards.emplace_back();
    Shard& shard = plan.shards.back();
    shard.requests.push_back(i);
    shard.bytes += bytes;
    for (const NamedTensor& named : tensors)
      shard.items.push_back({named.name, named.tensor.dtype, named.tensor.shape});
    plan.total.bytes += bytes;
    plan.total.parameters += r.is_linear ? r.rows * r.columns * r.experts : r.shape.elements();
  }
  plan.total.shards = static_cast<int>(plan.shards.size());
  return plan;
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

}  // namespace

std::string synthetic_config(std::string_view config_json, const SyntheticOptions& options) {
  parse_json_object(config_json, "config.json");  // for its limits and messages
  ordered_json config = ordered_json::parse(config_json);
  config.erase("quantization");
  config.erase("quantization_config");
  if (config.contains("text_config") && config["text_config"].is_object())
    config["text_config"].erase("quantization_config");
  const char* dtype = options.dtype == DType::kF32   ? "float32"
                      : options.dtype == DType::kF16 ? "float16"
                                                     : "bfloat16";
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype;
  if (options.scheme.mode != QuantMode::kNone) {
    const ordered_json quantization = {{"group_size", options.scheme.group},
                                       {"bits", options.scheme.bits},
                                       {"mode", name(options.scheme.mode)}};
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  }
  return config.dump(4) + "\n";
}

SyntheticFiles write_synthetic_checkpoint(const std::filesystem::path& directory,
                                          std::string_view config_json,
                                          std::span<const WeightRequest> requests,
                                          SyntheticWeights& weights, size_t shard_bytes,
                                          const std::function<void(size_t, size_t)>& progress) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed)
    throw Error(ErrorKind::kCheckpoint, "[synth] {}: can't be made: {}", directory.string(),
                failed.message());
  const Plan plan = plan_shards(requests, weights, shard_bytes);
  ordered_json index;
  index["metadata"] = {{"total_size", plan.total.bytes},
                       {"total_parameters", plan.total.parameters}};
  size_t done = 0;
  for (size_t s = 0; s < plan.shards.size(); ++s) {
    const Shard& shard = plan.shards[s];
    const std::string file = shard_name(s, plan.shards.size());
    SafetensorsWriter writer(directory / file, shard.items);
    for (const size_t i : shard.requests) {
      const WeightRequest& r = requests[i];
      LinearWeights w;
      if (r.is_linear)
        w = weights.linear(r.path, r.rows, r.columns, r.experts);
      else
        w.weight = weights.parameter(r.path, r.shape);
      std::vector<NamedTensor> tensors = tensors_of(r, w, weights.options().dtype);
      if (!r.is_linear) tensors[0].tensor = w.weight;
      for (const NamedTensor& named : tensors) {
        writer.write(named.name, named.tensor.data);
        index["weight_map"][named.name] = file;
        done += named.tensor.bytes();
      }
      weights.release(w);
      if (progress) progress(done, plan.total.bytes);
    }
    writer.finish();
  }
  write_text_file(directory / "model.safetensors.index.json", index.dump(2) + "\n");
  write_text_file(directory / "config.json", synthetic_config(config_json, weights.options()));
  return plan.total;
}

}  // namespace mica
