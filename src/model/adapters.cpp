#include "model/adapters.h"

#include <algorithm>
#include <cstring>

#include "model/layers.h"
#include "ops/linear/linear.h"

namespace mica {
namespace {

// Ranks are filled up with zeros to a multiple of what every kernel takes.
constexpr int64_t kRankGrain = 32;

int64_t padded_rank(int64_t rank) {
  return (rank + kRankGrain - 1) / kRankGrain * kRankGrain;
}

const AdapterModule* module_of(const Adapter& adapter, const std::string& path) {
  const auto found = std::ranges::find(adapter.modules, path, &AdapterModule::path);
  return found == adapter.modules.end() ? nullptr : &*found;
}

}  // namespace

AdapterSet::AdapterSet(Backend& backend, const Model& model, int64_t max_rank)
    : backend_(backend), model_(model), max_rank_(max_rank) {}

void AdapterSet::check(const Adapter& adapter) const {
  if (adapter.rank() > max_rank_)
    throw Error(ErrorKind::kCheckpoint,
                "[adapter] its rank is {}, this engine was started for ranks up to {}",
                adapter.rank(), max_rank_);
  for (const AdapterModule& module : adapter.modules) {
    const auto found = model_.modules().find(module.path);
    if (found == model_.modules().end())
      throw Error(
          ErrorKind::kCheckpoint,
          "[adapter] {}: the model has no such linear layer; is this the adapter of another "
          "model?",
          module.path);
    const PreparedLinear& layer = *found->second;
    if (layer.experts > 1 || module.path.find(".layers.") == std::string::npos)
      throw Error(ErrorKind::kCheckpoint,
                  "[adapter] {}: only linear layers of the decoder's layers can be adapted",
                  module.path);
    if (layer.rows != module.rows || layer.columns != module.columns)
      throw Error(ErrorKind::kCheckpoint,
                  "[adapter] {}: expected a layer of ({}, {}), found parts of ({}, {})",
                  module.path, layer.rows, layer.columns, module.rows, module.columns);
  }
}

AdapterId AdapterSet::add(Adapter adapter) {
  check(adapter);
  auto place = std::ranges::find(slots_, 0, &Slot::id);
  if (place == slots_.end()) place = slots_.insert(slots_.end(), Slot{});
  *place = {last_id_ + 1, std::move(adapter)};
  try {
    rebuild();
  } catch (...) {
    *place = {};
    throw;
  }
  return ++last_id_;
}

void AdapterSet::remove(AdapterId id) {
  const int32_t at = slot(id);
  MICA_CHECK(at > 0);
  slots_[static_cast<size_t>(at) - 1] = {};
  while (!slots_.empty() && slots_.back().id == 0) slots_.pop_back();
  rebuild();
}

int32_t AdapterSet::slot(AdapterId id) const {
  const auto found = std::ranges::find(slots_, id, &Slot::id);
  if (id == 0 || found == slots_.end()) return 0;
  return static_cast<int32_t>(found - slots_.begin()) + 1;
}

const LowRank* AdapterSet::find(const PreparedLinear* layer) const {
  const auto found = layers_.find(layer);
  return found == layers_.end() ? nullptr : &found->second;
}

// All stacks anew, and only then in the place of the old ones.
void AdapterSet::rebuild() {
  std::map<std::string, int64_t> ranks;  // by path
  for (const Slot& slot : slots_)
    for (const AdapterModule& module : slot.adapter.modules) {
      int64_t& rank = ranks[module.path];
      rank = std::max(rank, padded_rank(module.rank));
    }
  std::map<const PreparedLinear*, LowRank> layers;
  size_t bytes = 0;
  for (const auto& [path, rank] : ranks) {
    LowRank& parts = layers[model_.modules().at(path)];
    parts.down = stack(path, /*up=*/false, rank);
    parts.up = stack(path, /*up=*/true, rank);
    bytes += parts.down->bytes + parts.up->bytes;
  }
  backend_.synchronize();
  layers_ = std::move(layers);
  bytes_ = bytes;
}

std::unique_ptr<PreparedLinear> AdapterSet::stack(const std::string& path, bool up,
                                                  int64_t rank) const {
  const PreparedLinear& layer = *model_.modules().at(path);
  const int64_t rows = up ? layer.rows : rank, columns = up ? rank : layer.columns;
  const auto count = static_cast<int64_t>(slots_.size()) + 1;
  std::vector<float> values(static_cast<size_t>(count * rows * columns));
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const AdapterModule* module = module_of(slots_[slot].adapter, path);
    if (!module) continue;
    const std::vector<float>& part = up ? module->up : module->down;
    const int64_t width = up ? module->rank : module->columns;
    const int64_t height = up ? module->rows : module->rank;
    float* out = values.data() + static_cast<int64_t>(slot + 1) * rows * columns;
    for (int64_t r = 0; r < height; ++r)
      std::copy_n(part.data() + r * width, width, out + r * columns);
  }
  // In the checkpoint's dtype, as the layer's other weights.
  const DType dtype = model_.config().dtype;
  std::vector<std::byte> stored(values.size() * size_of(dtype));
  from_f32(values.data(), static_cast<int64_t>(values.size()), dtype, stored.data());
  LinearWeights weights;
  weights.name = path + (up ? ".lora_b" : ".lora_a");
  weights.experts = count;
  weights.rows = rows;
  weights.columns = columns;
  weights.weight = {stored.data(), dtype, {count, rows, columns}};
  return backend_.prepare(weights);
}

void add_low_rank(const Step& step, const Tensor& x, const LinearTarget& target) {
  const LowRank* parts = step.batch.adapters->find(target.weights);
  if (!parts) return;
  const size_t mark = step.arena.mark();
  const Tensor middle = step.take({x.shape[0], parts->down->rows});
  const LinearTarget down[] = {{parts->down.get(), middle}};
  step.backend.ops().moe_linear(step.backend,
                                {.x = x, .ids = step.batch.adapter_ids, .targets = down});
  const LinearTarget up[] = {{parts->up.get(), target.out, /*add=*/true}};
  step.backend.ops().moe_linear(step.backend,
                                {.x = middle, .ids = step.batch.adapter_ids, .targets = up});
  step.arena.reset(mark);
}

size_t adapter_arena_bytes(int64_t max_rank, int64_t tokens) {
  return static_cast<size_t>(padded_rank(max_rank) * tokens) * sizeof(float) + 256;
}

}  // namespace mica
