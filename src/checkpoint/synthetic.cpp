#include "checkpoint/synthetic.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/mix.h"
#include "checkpoint/quantization_table.h"

namespace mica {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101u;

uint64_t hash_name(std::string_view name) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

void fill_constant(const Tensor& tensor, float value) {
  for (int64_t i = 0; i < tensor.elements(); ++i)
    from_f32(&value, 1, tensor.dtype,
             tensor.as<std::byte>() + static_cast<size_t>(i) * size_of(tensor.dtype));
}

// The deviation of a uniformly chosen code before scaling. mxfp8 leaves out exponents above 0
// (bit 6), and with them the NaNs.
float code_deviation(const QuantScheme& scheme) {
  if (scheme.mode == QuantMode::kAffine)
    return std::sqrt((static_cast<float>(1 << (2 * scheme.bits)) - 1) / 12);
  double squares = 0;
  const int codes = scheme.bits == 8 ? 64 : 8;  // positive ones
  for (int code = 0; code < codes; ++code) {
    const double value = scheme.bits == 8 ? e4m3_to_f32(static_cast<uint8_t>(code))
                                          : e2m1_to_f32(static_cast<uint8_t>(code));
    squares += value * value;
  }
  return static_cast<float>(std::sqrt(squares / codes));
}

// The byte whose value is nearest to `scale` (E8M0 or E4M3).
uint8_t scale_code(QuantMode mode, float scale) {
  if (mode != QuantMode::kNvfp4)
    return static_cast<uint8_t>(std::clamp(std::lround(std::log2(scale)) + 127, 1l, 254l));
  uint8_t best = 1;
  for (int code = 1; code < 0x7f; ++code)
    if (std::abs(e4m3_to_f32(static_cast<uint8_t>(code)) - scale) <
        std::abs(e4m3_to_f32(best) - scale))
      best = static_cast<uint8_t>(code);
  return best;
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool matches(const std::string& path, const std::vector<std::string>& ends) {
  return std::any_of(ends.begin(), ends.end(), [&](const std::string& end) {
    return path == end || ends_with(path, "." + end);
  });
}

bool is_router(const std::string& path) {
  return ends_with(path, ".gate") || ends_with(path, ".router");
}

Shape stacked(int64_t experts, std::initializer_list<int64_t> dims) {
  Shape shape;
  if (experts > 1) shape.push_back(experts);
  for (const int64_t dim : dims) shape.push_back(dim);
  return shape;
}

size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace

SyntheticWeights::SyntheticWeights(SyntheticOptions options, DrawingDevice device)
    : options_(std::move(options)), device_(std::move(device)) {
  MICA_CHECK(is_supported(options_.scheme));
}

bool SyntheticWeights::has(const std::string& path) const {
  return matches(path, options_.present);
}

LinearWeights SyntheticWeights::plan(const std::string& path, int64_t rows, int64_t columns,
                                     int64_t experts) const {
  LinearWeights w;
  w.name = path;
  w.experts = experts;
  w.rows = rows;
  w.columns = columns;
  w.scheme = options_.scheme;
  if (w.scheme.mode != QuantMode::kNone && (is_router(path) || columns % w.scheme.group != 0))
    w.scheme = {};
  if (matches(path, options_.biased)) w.bias = {nullptr, options_.dtype, stacked(experts, {rows})};
  if (w.scheme.mode == QuantMode::kNone) {
    w.weight = {nullptr, options_.dtype, stacked(experts, {rows, columns})};
    return w;
  }
  const Shape groups = stacked(experts, {rows, columns / w.scheme.group});
  w.weight = {nullptr, DType::kU32, stacked(experts, {rows, columns * w.scheme.bits / 32})};
  const bool affine = w.scheme.mode == QuantMode::kAffine;
  w.scales = {nullptr, affine ? options_.dtype : DType::kU8, groups};
  if (affine) w.biases = {nullptr, options_.dtype, groups};
  return w;
}

// One piece of memory for a layer, known by its weight.
void SyntheticWeights::allocate(LinearWeights& w) {
  w.on_device = device_.draw != nullptr;
  size_t bytes = 0;
  for (Tensor* tensor : {&w.weight, &w.scales, &w.biases, &w.bias})
    if (tensor->shape.rank() > 0) bytes += aligned(tensor->bytes());
  Buffer buffer = w.on_device ? device_.allocate(bytes) : allocate_host(bytes);
  auto* next = static_cast<std::byte*>(buffer.data());
  for (Tensor* tensor : {&w.weight, &w.scales, &w.biases, &w.bias}) {
    if (tensor->shape.rank() == 0) continue;
    tensor->data = next;
    next += aligned(tensor->bytes());
  }
  buffers_.emplace(w.weight.data, std::move(buffer));
}

void SyntheticWeights::draw(const LinearWeights& w, const Draw& draw) const {
  if (w.on_device)
    device_.draw(draw);
  else
    draw_on_host(draw, options_.threads);
}

LinearWeights SyntheticWeights::linear(const std::string& path, int64_t rows, int64_t columns,
                                       int64_t experts) {
  LinearWeights w = plan(path, rows, columns, experts);
  allocate(w);
  const uint64_t seed = mix64(options_.seed ^ hash_name(path));
  const float deviation = 1 / std::sqrt(static_cast<float>(columns));
  if (!w.bias.empty())
    draw(w, {.kind = DrawKind::kNormal, .out = w.bias, .seed = mix64(seed + 1), .scale = 0.02f});
  if (w.scheme.mode == QuantMode::kNone) {
    draw(w, {.kind = DrawKind::kNormal, .out = w.weight, .seed = seed, .scale = deviation});
    return w;
  }
  const bool bytes = w.scheme.mode == QuantMode::kMxfp8;
  draw(w, {.out = w.weight, .seed = seed, .mask = bytes ? 0xbf * kEachByte : ~uint64_t{0}});
  const float scale = deviation / code_deviation(w.scheme);
  if (w.scheme.mode == QuantMode::kAffine)
    draw(w, {.kind = DrawKind::kAffine,
             .out = w.scales,
             .offsets = w.biases,
             .seed = mix64(seed + 2),
             .scale = scale,
             .middle = static_cast<float>((1 << w.scheme.bits) - 1) / 2});
  else
    draw(w, {.out = w.scales, .mask = 0, .fixed = kEachByte * scale_code(w.scheme.mode, scale)});
  return w;
}

Tensor SyntheticWeights::parameter(const std::string& name, const Shape& shape) {
  Tensor tensor{nullptr, options_.dtype, shape};
  Buffer buffer = allocate_host(tensor.bytes());
  tensor.data = buffer.data();
  buffers_.emplace(tensor.data, std::move(buffer));
  if (ends_with(name, "norm.weight"))
    fill_constant(tensor, options_.norm);
  else
    draw_on_host({.kind = DrawKind::kNormal,
                  .out = tensor,
                  .seed = mix64(options_.seed ^ hash_name(name)),
                  .scale = 0.02f},
                 1);
  return tensor;
}

void SyntheticWeights::release(const LinearWeights& weights) {
  buffers_.erase(weights.weight.data);
}

Tensor RecordingWeights::zeros(const Tensor& like) {
  Tensor tensor = like;
  if (tensor.shape.rank() == 0) return tensor;
  Buffer buffer = allocate_host(tensor.bytes());
  tensor.data = buffer.data();
  buffers_.emplace(tensor.data, std::move(buffer));
  return tensor;
}

LinearWeights RecordingWeights::linear(const std::string& path, int64_t rows, int64_t columns,
                                       int64_t experts) {
  requests_.push_back({path, rows, columns, experts, {}, true});
  LinearWeights w = weights_.plan(path, rows, columns, experts);
  for (Tensor* tensor : {&w.weight, &w.scales, &w.biases, &w.bias}) *tensor = zeros(*tensor);
  return w;
}

Tensor RecordingWeights::parameter(const std::string& name, const Shape& shape) {
  requests_.push_back({name, 0, 0, 1, shape, false});
  return zeros({nullptr, weights_.options().dtype, shape});
}

void RecordingWeights::release(const LinearWeights& weights) {
  for (const Tensor* tensor : {&weights.weight, &weights.scales, &weights.biases, &weights.bias})
    buffers_.erase(tensor->data);
}

}  // namespace mica
