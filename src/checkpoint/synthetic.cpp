#include "checkpoint/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "base/error.h"
#include "base/mix.h"
#include "checkpoint/quantization_table.h"

namespace mica {
namespace {

constexpr size_t kLanes = 8;                     // 64 random bytes a step
constexpr size_t kChunk = size_t{1} << 20;       // bytes with a generator of their own
constexpr float kDeviationOfFourBytes = 147.8f;  // sum of four uniform bytes, mean 510

uint64_t hash_name(std::string_view name) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Eight xorshift generators side by side: the loops become vector instructions.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (size_t i = 0; i < kLanes; ++i)
      state_[i] = mix64(seed + (i + 1) * 0x9e3779b97f4a7c15u) | 1u;
  }
  const std::array<uint64_t, kLanes>& next() {
    for (uint64_t& s : state_) s ^= s << 13;
    for (uint64_t& s : state_) s ^= s >> 7;
    for (uint64_t& s : state_) s ^= s << 17;
    return state_;
  }

 private:
  std::array<uint64_t, kLanes> state_;
};

// Calls work(chunk index, begin, end) for all chunks of [0, count) on several threads.
void for_chunks(size_t count, size_t chunk, int threads,
                const std::function<void(size_t, size_t, size_t)>& work) {
  const size_t chunks = (count + chunk - 1) / chunk;
  const size_t wanted = threads > 0 ? static_cast<size_t>(threads)
                                    : std::max(1u, std::thread::hardware_concurrency());
  const size_t workers = std::min(wanted, chunks);
  const auto run = [&](size_t worker) {
    for (size_t i = worker; i < chunks; i += workers)
      work(i, i * chunk, std::min(count, (i + 1) * chunk));
  };
  std::vector<std::thread> team;
  for (size_t worker = 1; worker < workers; ++worker) team.emplace_back(run, worker);
  if (workers > 0) run(0);
  for (std::thread& thread : team) thread.join();
}

void fill_bytes(const Tensor& tensor, uint64_t seed, uint64_t mask, int threads) {
  auto* out = tensor.as<std::byte>();
  for_chunks(tensor.bytes(), kChunk, threads, [&](size_t chunk, size_t begin, size_t end) {
    Random random(seed + mix64(chunk));
    std::array<uint64_t, kLanes> block;
    for (size_t i = begin; i < end; i += sizeof block) {
      const auto& fresh = random.next();
      for (size_t lane = 0; lane < kLanes; ++lane) block[lane] = fresh[lane] & mask;
      std::memcpy(out + i, block.data(), std::min(sizeof block, end - i));
    }
  });
}

// Nearly normal values: sums of four uniform bytes.
void fill_normal(const Tensor& tensor, uint64_t seed, float deviation, int threads) {
  auto* out = tensor.as<std::byte>();
  const size_t size = size_of(tensor.dtype);
  const float scale = deviation / kDeviationOfFourBytes;
  for_chunks(static_cast<size_t>(tensor.elements()), kChunk, threads,
             [&](size_t chunk, size_t begin, size_t end) {
               Random random(seed + mix64(chunk));
               std::array<float, 2 * kLanes> values;
               for (size_t i = begin; i < end; i += values.size()) {
                 const auto& fresh = random.next();
                 for (size_t v = 0; v < values.size(); ++v) {
                   const uint64_t half = fresh[v / 2] >> (v % 2 * 32);
                   const auto sum = static_cast<int>((half & 0xff) + (half >> 8 & 0xff) +
                                                     (half >> 16 & 0xff) + (half >> 24 & 0xff));
                   values[v] = static_cast<float>(sum - 510) * scale;
                 }
                 from_f32(values.data(), static_cast<int64_t>(std::min(values.size(), end - i)),
                          tensor.dtype, out + i * size);
               }
             });
}

void fill_constant(const Tensor& tensor, float value) {
  for (int64_t i = 0; i < tensor.elements(); ++i)
    from_f32(&value, 1, tensor.dtype,
             tensor.as<std::byte>() + static_cast<size_t>(i) * size_of(tensor.dtype));
}

// Affine: scales of both signs around `scale`; the offset puts the middle of the codes at zero.
void fill_affine(const LinearWeights& w, uint64_t seed, float scale, int threads) {
  const float middle = static_cast<float>((1 << w.scheme.bits) - 1) / 2;
  const size_t width = size_of(w.scales.dtype);
  for_chunks(
      static_cast<size_t>(w.scales.elements()), kChunk / 16, threads,
      [&](size_t chunk, size_t begin, size_t end) {
        Random random(seed + mix64(chunk));
        std::array<float, kLanes> scales, offsets;
        for (size_t i = begin; i < end; i += kLanes) {
          const auto& fresh = random.next();
          const auto count = static_cast<int64_t>(std::min(kLanes, end - i));
          for (size_t lane = 0; lane < kLanes; ++lane) {
            const float part = static_cast<float>(fresh[lane] >> 40) * 0x1p-24f;
            const float size = scale * (0.75f + 0.5f * part);
            scales[lane] = fresh[lane] & 1 ? size : -size;
          }
          from_f32(scales.data(), count, w.scales.dtype, w.scales.as<std::byte>() + i * width);
          to_f32(w.scales.as<std::byte>() + i * width, w.scales.dtype, count, scales.data());
          for (size_t lane = 0; lane < kLanes; ++lane) offsets[lane] = -middle * scales[lane];
          from_f32(offsets.data(), count, w.biases.dtype, w.biases.as<std::byte>() + i * width);
        }
      });
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

}  // namespace

SyntheticWeights::SyntheticWeights(SyntheticOptions options) : options_(std::move(options)) {
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

void SyntheticWeights::allocate(Tensor& tensor) {
  if (tensor.shape.rank() == 0) return;
  Buffer buffer = allocate_host(tensor.bytes());
  tensor.data = buffer.data();
  buffers_.emplace(tensor.data, std::move(buffer));
}

LinearWeights SyntheticWeights::linear(const std::string& path, int64_t rows, int64_t columns,
                                       int64_t experts) {
  LinearWeights w = plan(path, rows, columns, experts);
  for (Tensor* tensor : {&w.weight, &w.scales, &w.biases, &w.bias}) allocate(*tensor);
  const uint64_t seed = mix64(options_.seed ^ hash_name(path));
  const float deviation = 1 / std::sqrt(static_cast<float>(columns));
  if (!w.bias.empty()) fill_normal(w.bias, mix64(seed + 1), 0.02f, 1);
  if (w.scheme.mode == QuantMode::kNone) {
    fill_normal(w.weight, seed, deviation, options_.threads);
    return w;
  }
  const bool bytes = w.scheme.mode == QuantMode::kMxfp8;
  fill_bytes(w.weight, seed, bytes ? 0xbfbfbfbfbfbfbfbfu : ~uint64_t{0}, options_.threads);
  const float scale = deviation / code_deviation(w.scheme);
  if (w.scheme.mode == QuantMode::kAffine)
    fill_affine(w, mix64(seed + 2), scale, options_.threads);
  else
    std::memset(w.scales.data, scale_code(w.scheme.mode, scale), w.scales.bytes());
  return w;
}

Tensor SyntheticWeights::parameter(const std::string& name, const Shape& shape) {
  Tensor tensor{nullptr, options_.dtype, shape};
  allocate(tensor);
  if (ends_with(name, "norm.weight"))
    fill_constant(tensor, options_.norm);
  else
    fill_normal(tensor, mix64(options_.seed ^ hash_name(name)), 0.02f, 1);
  return tensor;
}

void SyntheticWeights::release(const LinearWeights& weights) {
  for (const Tensor* tensor : {&weights.weight, &weights.scales, &weights.biases, &weights.bias})
    buffers_.erase(tensor->data);
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
