#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/quantized_shapes.h"
#include "checkpoint/tensor_names.h"

namespace mica {
namespace {

constexpr size_t kMaxConfigBytes = size_t{64} << 20;
constexpr size_t kReadAhead = size_t{64} << 20;

bool is_compute_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// "model.layers.0.mlp.switch_mlp.up_proj" -> {"model.layers.0.mlp.experts.", ".up_proj"}.
std::optional<std::pair<std::string, std::string>> expert_pattern(const std::string& path) {
  constexpr std::string_view kStack = ".switch_mlp.";
  const size_t at = path.find(kStack);
  if (at == path.npos) return std::nullopt;
  return std::pair(path.substr(0, at) + ".experts.", "." + path.substr(at + kStack.size()));
}

}  // namespace

struct Checkpoint::Parts {
  std::optional<Tensor> weight, scales, biases, bias;
};

Checkpoint::Checkpoint(const std::filesystem::path& directory) : directory_(directory) {
  for (const std::filesystem::path& path : checkpoint_files(directory)) add_file(path);
  quantization_ =
      QuantizationTable::parse(read_text_file(directory / "config.json", kMaxConfigBytes));
}

Checkpoint::~Checkpoint() = default;

void Checkpoint::add_file(const std::filesystem::path& path) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  const SafetensorsFile* file = files_.back().get();
  for (const SafetensorsEntry& entry : file->header().entries) {
    if (is_ignored_tensor(entry.name)) continue;
    const auto [at, added] = tensors_.emplace(canonical_name(entry.name), Stored{file, &entry});
    if (added) continue;
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}: tensor '{}' of {}: expected once, found as '{}' in {} too; are "
                "there files of two checkpoints?",
                directory_.string(), entry.name, path.filename().string(), at->second.entry->name,
                at->second.file->path().filename().string());
  }
}

const Checkpoint::Stored* Checkpoint::find(const std::string& name) const {
  const auto found = tensors_.find(canonical_name(name));
  return found == tensors_.end() ? nullptr : &found->second;
}

bool Checkpoint::has(const std::string& path) const {
  if (find(path + ".weight")) return true;
  const auto pattern = expert_pattern(canonical_name(path));
  return pattern && find(pattern->first + "0" + pattern->second + ".weight");
}

// Names what lies in the same module or beside it: often the tensor is there under another name.
void Checkpoint::missing(const std::string& name) const {
  const std::string wanted = canonical_name(name);
  const size_t module = wanted.rfind('.');
  const size_t parent = module == wanted.npos ? wanted.npos : wanted.rfind('.', module - 1);
  std::string siblings;
  for (const size_t dot : {module, parent}) {
    if (dot == wanted.npos || !siblings.empty()) continue;
    const std::string prefix = wanted.substr(0, dot + 1);
    auto at = tensors_.lower_bound(prefix);
    for (int shown = 0; shown < 4 && at != tensors_.end(); ++at, ++shown) {
      if (at->first.compare(0, prefix.size(), prefix) != 0) break;
      siblings += (siblings.empty() ? "" : ", ") + at->second.entry->name;
    }
  }
  throw Error(ErrorKind::kCheckpoint, "[checkpoint] {}: tensor '{}': expected by config.json, {}",
              directory_.string(), name,
              siblings.empty() ? "found nothing like it; does config.json belong to these weights?"
                               : "found nothing; beside it: " + siblings);
}

Tensor Checkpoint::keep_copy(DType dtype, const Shape& shape) {
  Tensor copy{nullptr, dtype, shape};
  Buffer buffer = allocate_host(copy.bytes());
  copy.data = buffer.data();
  copies_.emplace(copy.data, std::move(buffer));
  return copy;
}

Tensor Checkpoint::load(const Stored& stored) {
  read_.insert(canonical_name(stored.entry->name));
  stored.file->prefetch(*stored.entry, kReadAhead);
  const Tensor view = stored.file->view(*stored.entry);
  if (reinterpret_cast<uintptr_t>(view.data) % size_of(view.dtype) == 0) return view;
  const Tensor copy = keep_copy(view.dtype, view.shape);
  std::memcpy(copy.data, view.data, view.bytes());
  return copy;
}

std::optional<Tensor> Checkpoint::load_if(const std::string& name) {
  const Stored* stored = find(name);
  if (!stored) return std::nullopt;
  return load(*stored);
}

Checkpoint::Parts Checkpoint::single_parts(const std::string& path) {
  return {load_if(path + ".weight"), load_if(path + ".scales"), load_if(path + ".biases"),
          load_if(path + ".bias")};
}

// Stacks the tensors of all experts into [experts, …]; nullopt when expert 0 has none.
std::optional<Tensor> Checkpoint::gather(const std::string& stem, const std::string& leaf,
                                         int64_t experts) {
  const Stored* first = find(stem + "0" + leaf);
  if (!first) return std::nullopt;
  if (first->entry->shape.rank() >= Shape::kMaxRank)
    throw Error(ErrorKind::kCheckpoint, "[checkpoint] {}: expected a matrix, found {}",
                first->entry->name, to_string(first->entry->shape));
  Shape shape{experts};
  for (int i = 0; i < first->entry->shape.rank(); ++i) shape.push_back(first->entry->shape[i]);
  if (const std::string beyond = fmt::format("{}{}{}", stem, experts, leaf); find(beyond))
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}: config.json says {} experts, found one more; does it belong to "
                "these weights?",
                beyond, experts);
  std::vector<const Stored*> parts;
  for (int64_t e = 0; e < experts; ++e) {
    const std::string name = fmt::format("{}{}{}", stem, e, leaf);
    const Stored* part = find(name);
    if (!part) missing(name);
    if (part->entry->dtype != first->entry->dtype || part->entry->shape != first->entry->shape)
      throw Error(ErrorKind::kCheckpoint,
                  "[checkpoint] {}: expected {} {} as expert 0, found {} {}", part->entry->name,
                  mica::name(first->entry->dtype), to_string(first->entry->shape),
                  mica::name(part->entry->dtype), to_string(part->entry->shape));
    parts.push_back(part);
  }
  for (const Stored* part : parts) part->file->prefetch(*part->entry);
  const Tensor stack = keep_copy(first->entry->dtype, shape);
  auto* out = static_cast<std::byte*>(stack.data);
  for (const Stored* part : parts) {
    const Tensor view = part->file->view(*part->entry);
    std::memcpy(out, view.data, view.bytes());
    out += view.bytes();
    part->file->release(view.data, view.bytes());
    read_.insert(canonical_name(part->entry->name));
  }
  return stack;
}

Checkpoint::Parts Checkpoint::gathered_parts(const std::string& path, int64_t experts) {
  const auto pattern = expert_pattern(path);
  if (!pattern) return {};
  const auto& [stem, module] = *pattern;
  return {gather(stem, module + ".weight", experts), gather(stem, module + ".scales", experts),
          gather(stem, module + ".biases", experts), gather(stem, module + ".bias", experts)};
}

// A module that is named in config.json must be stored so; others are as they are stored, like in
// the reference (mlx-lm, utils.infer_quant_config), whatever the general entry says.
QuantScheme Checkpoint::decide_scheme(const LinearWeights& weights, const std::string& path) const {
  std::optional<QuantScheme> named = quantization_.named(path);
  if (const auto pattern = expert_pattern(path); !named && pattern)
    named = quantization_.named(pattern->first + "0" + pattern->second);
  if (weights.scales.empty()) return {};
  if (named) return *named;
  const std::optional<QuantScheme> general = quantization_.general();
  if (general && fits(weights, *general)) return *general;
  if (const std::optional<QuantScheme> stored = infer_scheme(weights)) return *stored;
  return general.value_or(make_scheme(QuantMode::kAffine, std::nullopt, std::nullopt));
}

LinearWeights Checkpoint::linear(const std::string& path, int64_t rows, int64_t columns,
                                 int64_t experts) {
  MICA_CHECK(rows > 0 && columns > 0 && experts > 0);
  const std::string canonical = canonical_name(path);
  Parts parts = single_parts(canonical);
  if (!parts.weight) parts = gathered_parts(canonical, experts);
  if (!parts.weight) missing(path + ".weight");
  LinearWeights weights;
  weights.name = path;
  weights.experts = experts;
  weights.rows = rows;
  weights.columns = columns;
  weights.weight = *parts.weight;
  if (parts.scales) weights.scales = *parts.scales;
  if (parts.biases) weights.biases = *parts.biases;
  if (parts.bias) weights.bias = *parts.bias;
  weights.scheme = decide_scheme(weights, canonical);
  const std::optional<QuantScheme>& general = quantization_.general();
  if (weights.scheme.mode != QuantMode::kNone && !quantization_.named(canonical) &&
      general != weights.scheme && !warned_of_scheme_) {
    warned_of_scheme_ = true;
    log_warning("[checkpoint] {}: stored as {}, config.json says {}; the weights are believed",
                path, to_string(weights.scheme), general ? to_string(*general) : "nothing");
  }
  if (find(canonical + ".global_scale"))
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}.global_scale: nvfp4 with a global scale is not supported", path);
  check_shapes(weights);
  return weights;
}

Tensor Checkpoint::parameter(const std::string& name, const Shape& shape) {
  const Stored* stored = find(name);
  if (!stored) missing(name);
  if (!is_compute_dtype(stored->entry->dtype) || stored->entry->shape != shape)
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}: expected f32, f16 or bf16 {}, file has {} {}{}", name,
                to_string(shape), mica::name(stored->entry->dtype), to_string(stored->entry->shape),
                stored->entry->shape != shape ? "; does config.json belong to these weights?" : "");
  return load(*stored);
}

void Checkpoint::release(const LinearWeights& weights) {
  for (const Tensor* tensor : {&weights.weight, &weights.scales, &weights.biases, &weights.bias}) {
    if (tensor->empty() || copies_.erase(tensor->data) > 0) continue;
    for (const auto& file : files_)
      if (file->release(tensor->data, tensor->bytes())) break;
  }
}

DType Checkpoint::dtype() const {
  // An embedding in mxfp4, mxfp8 or nvfp4 does not show it.
  for (const char* name :
       {"model.embed_tokens.scales", "model.embed_tokens.weight", "model.norm.weight"}) {
    const Stored* stored = find(name);
    if (stored && is_compute_dtype(stored->entry->dtype)) return stored->entry->dtype;
  }
  for (const char* prefix : kEncoderPrefixes)
    for (const char* leaf : {"scales", "weight"}) {
      const Stored* stored = find(fmt::format("{}{}.{}", prefix, kWordEmbeddings, leaf));
      if (stored && is_compute_dtype(stored->entry->dtype)) return stored->entry->dtype;
    }
  return DType::kBF16;
}

std::vector<ModuleSummary> Checkpoint::modules() const {
  std::vector<ModuleSummary> modules;
  for (const auto& [name, stored] : tensors_) {
    constexpr std::string_view kLeaf = ".weight";
    if (name.size() <= kLeaf.size() ||
        name.compare(name.size() - kLeaf.size(), kLeaf.size(), kLeaf) != 0)
      continue;
    ModuleSummary module;
    module.path = name.substr(0, name.size() - kLeaf.size());
    LinearWeights weights;
    weights.weight = stored.file->view(*stored.entry);
    module.dtype = weights.weight.dtype;
    module.rank = weights.weight.shape.rank();
    module.bytes = stored.entry->bytes;
    if (const Stored* scales = find(module.path + ".scales")) {
      weights.scales = scales->file->view(*scales->entry);
      module.bytes += scales->entry->bytes;
      module.dtype = scales->entry->dtype;
      module.scheme =
          summarize_scheme(weights, quantization_.named(module.path), quantization_.general());
    }
    if (const Stored* biases = find(module.path + ".biases")) module.bytes += biases->entry->bytes;
    module.parameters = weights.weight.elements();
    if (module.scheme.bits > 0) module.parameters = module.parameters * 32 / module.scheme.bits;
    if (const Stored* bias = find(module.path + ".bias")) {
      module.parameters += bias->entry->shape.elements();
      module.bytes += bias->entry->bytes;
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

std::vector<std::string> Checkpoint::unread() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors_)
    if (!read_.count(entry.first)) names.push_back(entry.first);
  return names;
}

size_t Checkpoint::file_bytes() const {
  size_t bytes = 0;
  for (const auto& entry : tensors_) bytes += entry.second.entry->bytes;
  return bytes;
}

}  // namespace mica
