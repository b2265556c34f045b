#include "ops/self_test.h"

#include <cmath>
#include <functional>
#include <random>

#include "ops/activation/activation.h"
#include "ops/attention/attention.h"
#include "ops/kv_quantization.h"
#include "ops/linear/linear.h"
#include "ops/ref/ref_backend.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope_append/rope_append.h"
#include "ops/sample/sample.h"
#include "tensor/quantization.h"

namespace mica {
namespace {

std::vector<float> values(int64_t count, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& value : result) value = normal(random);
  return result;
}

// What the dtype holds of the values.
std::vector<std::byte> bytes_of(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  from_f32(values.data(), static_cast<int64_t>(values.size()), dtype, bytes.data());
  return bytes;
}
std::vector<float> rounded(const std::vector<float>& values, DType dtype) {
  const std::vector<std::byte> bytes = bytes_of(values, dtype);
  std::vector<float> result(values.size());
  to_f32(bytes.data(), dtype, static_cast<int64_t>(values.size()), result.data());
  return result;
}

// The tensors of one check on one backend. `dtype`: what inputs are rounded to on both sides.
class Bed {
 public:
  Bed(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  Backend& backend() { return backend_; }
  const Ops& ops() const { return backend_.ops(); }

  Tensor activations(const std::vector<float>& given, Shape shape) {
    return put(rounded(given, dtype_), backend_.activation_dtype(dtype_), shape);
  }
  Tensor empty(Shape shape) {
    return activations(std::vector<float>(static_cast<size_t>(shape.elements())), shape);
  }
  Tensor put(const std::vector<float>& given, DType dtype, Shape shape) {
    return upload(bytes_of(given, dtype).data(), dtype, shape);
  }
  Tensor put_bytes(const std::vector<std::byte>& given, Shape shape) {
    return upload(given.data(), DType::kU8, shape);
  }
  Tensor ids(const std::vector<int32_t>& given) {
    return upload(given.data(), DType::kI32, {static_cast<int64_t>(given.size())});
  }
  std::vector<float> get(const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.bytes());
    backend_.synchronize();
    backend_.download(bytes.data(), tensor.data, bytes.size());
    std::vector<float> result(static_cast<size_t>(tensor.elements()));
    to_f32(bytes.data(), tensor.dtype, tensor.elements(), result.data());
    return result;
  }

 private:
  Tensor upload(const void* data, DType dtype, Shape shape) {
    Tensor tensor{nullptr, dtype, shape};
    buffers_.push_back(backend_.allocate(tensor.bytes()));
    tensor.data = buffers_.back().data();
    backend_.upload(tensor.data, data, tensor.bytes());
    return tensor;
  }

  Backend& backend_;
  const DType dtype_;
  std::vector<Buffer> buffers_;
};

using Run = std::function<std::vector<float>(Bed&)>;

std::vector<float> multiply(Bed& bed, const LinearWeights& weights, int64_t rows) {
  const auto prepared = bed.backend().prepare(weights);
  const Tensor x = bed.activations(values(rows * weights.columns, 1), {rows, weights.columns});
  const Tensor out = bed.put(std::vector<float>(static_cast<size_t>(rows * weights.rows)),
                             DType::kF32, {rows, weights.rows});
  const LinearTarget targets[] = {{prepared.get(), out}};
  bed.ops().linear(bed.backend(), {.x = x, .targets = targets});
  return bed.get(out);
}

std::vector<float> quantized_product(Bed& bed, int bits, int64_t rows) {
  constexpr int64_t kRows = 80, kColumns = 256;
  constexpr int kGroup = 64;
  std::mt19937 random(7);
  std::vector<uint32_t> codes(static_cast<size_t>(kRows * kColumns * bits / 32));
  for (uint32_t& word : codes) word = static_cast<uint32_t>(random());
  const Shape groups{kRows, kColumns / kGroup};
  auto scales = bytes_of(values(groups.elements(), 2, 0.01f), DType::kBF16);
  auto biases = bytes_of(values(groups.elements(), 3, 0.05f), DType::kBF16);
  LinearWeights weights;
  weights.name = "self-test";
  weights.scheme = {QuantMode::kAffine, bits, kGroup};
  weights.rows = kRows;
  weights.columns = kColumns;
  weights.weight = {codes.data(), DType::kU32, {kRows, kColumns * bits / 32}};
  weights.scales = {scales.data(), DType::kBF16, groups};
  weights.biases = {biases.data(), DType::kBF16, groups};
  return multiply(bed, weights, rows);
}

std::vector<float> dense_product(Bed& bed, DType dtype, int64_t rows) {
  constexpr int64_t kRows = 80, kColumns = 192;
  auto dense = bytes_of(values(kRows * kColumns, 4, 0.1f), dtype);
  LinearWeights weights;
  weights.name = "self-test";
  weights.rows = kRows;
  weights.columns = kColumns;
  weights.weight = {dense.data(), dtype, {kRows, kColumns}};
  return multiply(bed, weights, rows);
}

// A cache of random vectors, quantized where the spec says so.
Tensor random_cache(Bed& bed, const CacheSpec& spec, int32_t blocks, int32_t block, uint32_t seed) {
  const Shape shape{blocks, spec.kv_heads, block, spec.head_dim};
  const std::vector<float> vectors = values(shape.elements(), seed);
  if (spec.scheme.bits == 0) return bed.put(vectors, spec.dtype, shape);
  Tensor cache = spec.tensor(blocks, block);
  std::vector<std::byte> bytes(cache.bytes());
  cache.data = bytes.data();
  for (int64_t row = 0; row < shape.elements() / spec.head_dim; ++row) {
    const int64_t piece = row / block;
    quantize_vector(vectors.data() + row * spec.head_dim, spec.head_dim, spec.scheme,
                    kv_place(cache, spec.scheme, spec.head_dim, piece / spec.kv_heads,
                             piece % spec.kv_heads, row % block));
  }
  return bed.put_bytes(bytes, cache.shape);
}

// One sequence of `past` and `count` tokens: norm, rotation and append, then attention.
std::vector<float> attention(Bed& bed, DType cache_dtype, int32_t past, int32_t count,
                             int kv_bits = 0) {
  constexpr int64_t kHeads = 4, kKvHeads = 2, kSize = 64;
  constexpr int32_t kBlock = 32, kBlocks = 4;
  CacheSpec spec;
  spec.kv_heads = kKvHeads;
  spec.head_dim = kSize;
  spec.dtype = cache_dtype;
  spec = with_quantization({spec}, {.bits = kv_bits})[0];
  const KvLayer layer = {random_cache(bed, spec, kBlocks, kBlock, 5),
                         random_cache(bed, spec, kBlocks, kBlock, 6), spec.scheme};
  const std::vector<int32_t> table = {2, 0, 3, 1};
  std::vector<int32_t> positions, slots;
  for (int32_t p = past; p < past + count; ++p) {
    positions.push_back(p);
    slots.push_back(table[static_cast<size_t>(p / kBlock)] * kBlock + p % kBlock);
  }
  const std::vector<int32_t> starts = {0, count}, lengths = {past + count};
  Batch batch;
  batch.token_ids = batch.positions = bed.ids(positions);
  batch.slots = bed.ids(slots);
  batch.query_start = bed.ids(starts);
  batch.kv_lengths = bed.ids(lengths);
  batch.block_table = bed.ids(table).view({1, kBlocks});
  batch.host_query_start = starts;
  batch.host_kv_lengths = lengths;

  const Tensor q = bed.activations(values(count * kHeads * kSize, 7), {count, kHeads, kSize});
  std::vector<float> frequencies;
  for (int i = 0; i < kSize / 2; ++i) frequencies.push_back(std::pow(1e4f, -2.0f * i / kSize));
  const std::vector<float> norm = values(kSize, 10);
  bed.ops().rope_append(
      bed.backend(),
      {.q = q,
       .k = bed.activations(values(count * kKvHeads * kSize, 8), {count, kKvHeads, kSize}),
       .v = bed.activations(values(count * kKvHeads * kSize, 9), {count, kKvHeads, kSize}),
       .q_norm = bed.put(norm, DType::kF32, {kSize}),
       .k_norm = bed.put(norm, DType::kF32, {kSize}),
       .inverse_frequencies = bed.put(frequencies, DType::kF32, {kSize / 2}),
       .positions = batch.positions,
       .slots = batch.slots,
       .cache = layer});
  const Tensor out = bed.empty({count, kHeads, kSize});
  bed.ops().attention(bed.backend(), {.q = q,
                                      .out = out,
                                      .cache = layer,
                                      .block_size = kBlock,
                                      .batch = &batch,
                                      .scale = 0.125f,
                                      .sinks = {}});
  return bed.get(out);
}

std::vector<float> rows_of_a_layer(Bed& bed) {
  const Shape shape{3, 264};
  const Tensor x = bed.activations(values(shape.elements(), 11), shape);
  const Tensor up = bed.activations(values(shape.elements(), 12), shape);
  const Tensor out = bed.empty(shape);
  bed.ops().rms_norm(bed.backend(), {.x = x,
                                     .residual = {},
                                     .weight = bed.put(values(264, 13), DType::kF32, {264}),
                                     .eps = 1e-5f,
                                     .out = out});
  bed.ops().activation(bed.backend(), {.gate = out, .up = up, .out = out});
  bed.ops().add(bed.backend(), out, x);
  return bed.get(out);
}

// The likeliest token and its log-probability, and a drawn one.
std::vector<float> draw(Bed& bed) {
  constexpr int64_t kVocabulary = 3001;
  std::vector<float> logits = values(2 * kVocabulary, 14, 3);
  const SamplingParams greedy, drawn = {.temperature = 0.01f, .top_k = 5, .seed = 3};
  const SampleRow rows[] = {{.params = &greedy, .history = {}}, {.params = &drawn, .history = {}}};
  SampleResult results[2];
  bed.ops().sample(
      bed.backend(),
      {.logits = bed.put(logits, DType::kF32, {2, kVocabulary}), .rows = rows, .results = results});
  return {static_cast<float>(results[0].token), results[0].logprob,
          static_cast<float>(results[1].token), results[1].logprob};
}

double distance(const std::vector<float>& found, const std::vector<float>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{found[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

// A few roundings of an activation.
double rounding(DType dtype) {
  switch (dtype) {
    case DType::kBF16: return 1e-2;
    case DType::kF16: return 2e-3;
    default: return 1e-4;
  }
}

}  // namespace

std::vector<SelfTestCheck> self_test(Backend& backend, DType dtype) {
  const DType dense = dtype == DType::kF16 ? DType::kF16 : DType::kBF16;
  // A key on the edge of two codes may get either.
  const double code_rounding = std::max(rounding(dtype), 1e-2);
  struct Case {
    const char* name;
    Run run;
    double allowed;
  };
  const double usual = rounding(dtype);
  const std::vector<Case> runs = {
      {"4-bit product, 1 row", [](Bed& bed) { return quantized_product(bed, 4, 1); }, usual},
      {"4-bit product, 9 rows", [](Bed& bed) { return quantized_product(bed, 4, 9); }, usual},
      {"8-bit product, 2 rows", [](Bed& bed) { return quantized_product(bed, 8, 2); }, usual},
      {"dense product, 1 row", [&](Bed& bed) { return dense_product(bed, dense, 1); }, usual},
      {"dense product, 9 rows", [&](Bed& bed) { return dense_product(bed, dense, 9); }, usual},
      {"attention, decode", [&](Bed& bed) { return attention(bed, dtype, 101, 1); }, usual},
      {"attention, prefill", [&](Bed& bed) { return attention(bed, dtype, 5, 40); }, usual},
      {"attention over 8-bit keys, decode",
       [&](Bed& bed) { return attention(bed, dtype, 101, 1, 8); }, code_rounding},
      {"attention over 4-bit keys, prefill",
       [&](Bed& bed) { return attention(bed, dtype, 5, 40, 4); }, code_rounding},
      {"norm and activation", rows_of_a_layer, usual},
      {"sampling", draw, usual},
  };
  const auto reference = make_ref_backend();
  std::vector<SelfTestCheck> checks;
  for (const auto& [name, run, allowed] : runs) {
    Bed expected(*reference, dtype), found(backend, dtype);
    checks.push_back({name, distance(run(found), run(expected)), allowed});
  }
  return checks;
}

void require_passed(const std::vector<SelfTestCheck>& checks, const DeviceInfo& device) {
  for (const SelfTestCheck& check : checks)
    if (!check.passed())
      throw Error(
          ErrorKind::kDevice,
          "[device] self-test on {} '{}': {} is off by {:.2g}, at most {:.2g} expected; the "
          "hardware, the driver or this build computes wrongly: `mica doctor` tells more",
          device.kind, device.name, check.name, check.error, check.allowed);
}

}  // namespace mica
