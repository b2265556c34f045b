#include "cli/convert/gguf_plan.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "checkpoint/synthetic.h"
#include "checkpoint/tensor_names.h"
#include "cli/convert/gguf_metadata.h"
#include "cli/null_backend.h"
#include "model/layers.h"
#include "model/model.h"
#include "model/registry.h"

namespace mica {
namespace {

// Hands out a checkpoint's weights and notes what is asked for.
class NotedWeights : public WeightSource {
 public:
  explicit NotedWeights(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  bool has(const std::string& path) const override { return checkpoint_.has(path); }
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts) override {
    requests_.push_back({path, rows, columns, experts, {}, /*is_linear=*/true});
    return checkpoint_.linear(path, rows, columns, experts);
  }
  Tensor parameter(const std::string& name, const Shape& shape) override {
    requests_.push_back({.path = name, .shape = shape});
    return checkpoint_.parameter(name, shape);
  }
  void release(const LinearWeights& weights) override { checkpoint_.release(weights); }
  const std::vector<WeightRequest>& requests() const { return requests_; }

 private:
  Checkpoint& checkpoint_;
  std::vector<WeightRequest> requests_;
};

class Planner {
 public:
  Planner(Checkpoint& checkpoint, const ModelConfig& config, const GgufArchitecture& architecture,
          const GgufTypeChoice& choice)
      : checkpoint_(checkpoint), config_(config), architecture_(architecture), choice_(choice) {}

  void add(const WeightRequest& request) {
    if (request.is_linear)
      add_linear(request);
    else
      add_parameter(request);
  }
  void add_vector(const std::string& name, const std::string& source, std::vector<float> values) {
    GgufPlanItem item;
    item.name = name;
    item.source = source;
    item.shape = {static_cast<int64_t>(values.size())};
    item.fit = {.type = GgufType::kF32, .weights = item.shape[0]};
    item.values = std::move(values);
    items_.push_back(std::move(item));
  }
  std::vector<GgufPlanItem> take() { return std::move(items_); }

 private:
  std::string gguf_name(const std::string& path) const {
    const auto name = gguf_weight_name(architecture_, canonical_name(path));
    if (!name)
      throw Error(ErrorKind::kCheckpoint,
                  "[convert] {}: llama.cpp's architecture '{}' has no such weight", path,
                  architecture_.name);
    return *name;
  }

  void add_parameter(const WeightRequest& request) {
    constexpr std::string_view kEnd = ".weight";
    const std::string path = request.path.substr(0, request.path.size() - kEnd.size());
    const Tensor stored = checkpoint_.parameter(request.path, request.shape);
    add_vector(gguf_name(path) + ".weight", mica::name(stored.dtype),
               read_vector(stored, architecture_.gemma_norms ? 1.0f : 0.0f));
  }

  void add_linear(const WeightRequest& request) {
    const LinearWeights weights =
        checkpoint_.linear(request.path, request.rows, request.columns, request.experts);
    GgufPlanItem item;
    item.name = gguf_name(request.path) + ".weight";
    const bool dense = weights.scheme.mode == QuantMode::kNone;
    item.source = dense ? mica::name(weights.weight.dtype) : to_string(weights.scheme);
    item.path = request.path;
    item.rows = request.rows;
    item.columns = request.columns;
    item.experts = request.experts;
    item.shape = {request.rows, request.columns};
    if (request.experts > 1) item.shape = {request.experts, request.rows, request.columns};
    item.order = order_of(request.path);
    item.fit = fit_of(weights, request.path);
    if (!weights.bias.empty()) add_bias(weights, item);
    items_.push_back(std::move(item));
    checkpoint_.release(weights);
  }

  // llama.cpp wants routers in f32; they are small.
  GgufFit fit_of(const LinearWeights& weights, const std::string& path) const {
    GgufTypeChoice choice = choice_;
    if (path.ends_with(".mlp.gate")) choice.type = GgufType::kF32;
    return choose_gguf_type(weights, choice);
  }

  std::vector<int64_t> order_of(const std::string& path) const {
    if (!architecture_.rotates_neighbours || config_.rope.interleaved) return {};
    if (path.ends_with(".q_proj"))
      return neighbour_order(config_.num_attention_heads, config_.head_dim);
    if (path.ends_with(".k_proj"))
      return neighbour_order(config_.num_key_value_heads, config_.head_dim);
    return {};
  }

  void add_bias(const LinearWeights& weights, const GgufPlanItem& weight) {
    const std::vector<float> stored = read_vector(weights.bias, 0);
    std::vector<float> values = stored;
    for (size_t i = 0; i < weight.order.size(); ++i)
      values[i] = stored[static_cast<size_t>(weight.order[i])];
    add_vector(gguf_name(weight.path) + ".bias", mica::name(weights.bias.dtype), std::move(values));
  }

  Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const GgufArchitecture& architecture_;
  const GgufTypeChoice& choice_;
  std::vector<GgufPlanItem> items_;
};

}  // namespace

std::vector<int64_t> neighbour_order(int64_t heads, int64_t head_dim) {
  std::vector<int64_t> order;
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < head_dim; ++i)
      order.push_back(head * head_dim + i / 2 + (i % 2) * (head_dim / 2));
  return order;
}

std::vector<GgufPlanItem> plan_gguf(Checkpoint& checkpoint, const ModelConfig& config,
                                    const GgufArchitecture& architecture,
                                    const GgufTypeChoice& choice) {
  NotedWeights noted(checkpoint);
  {
    NullBackend backend;
    load_model(config, noted, backend);
  }
  Planner planner(checkpoint, config, architecture, choice);
  for (auto& [name, values] : gguf_rope_tensors(config))
    planner.add_vector(name, "computed", std::move(values));
  for (const WeightRequest& request : noted.requests()) planner.add(request);
  return planner.take();
}

}  // namespace mica
