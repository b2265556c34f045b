#include "checkpoint/quantized_shapes.h"

#include "base/error.h"
#include "checkpoint/quantization_table.h"

namespace mica {
namespace {

bool is_compute_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

int64_t last(const Tensor& tensor) {
  return tensor.shape.rank() > 0 ? tensor.shape[-1] : 0;
}

// The scales of the float formats are bytes: mode, bits and group hang together.
std::optional<QuantScheme> scheme_of(DType scales, int64_t bits, int64_t group) {
  if (bits <= 0 || bits > 8 || group <= 0 || group > 128) return std::nullopt;
  for (const QuantMode mode :
       {QuantMode::kAffine, QuantMode::kMxfp4, QuantMode::kMxfp8, QuantMode::kNvfp4}) {
    if ((mode == QuantMode::kAffine) != is_compute_dtype(scales)) continue;
    if (mode != QuantMode::kAffine && scales != DType::kU8) continue;
    const QuantScheme scheme{mode, static_cast<int>(bits), static_cast<int>(group)};
    if (is_supported(scheme)) return scheme;
  }
  return std::nullopt;
}

std::string show(const Tensor& tensor) {
  return fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape));
}

std::string guess_for(const LinearWeights& w, const Shape& expected) {
  const Shape& found = w.weight.shape;
  if (w.weight.dtype == DType::kU8) return "is this a checkpoint in FP8 or of another tool?";
  const bool same_rows =
      found.rank() == expected.rank() && found.rank() >= 2 && found[-2] == expected[-2];
  if (w.scheme.mode == QuantMode::kNone) {
    if (w.weight.dtype == DType::kU32)
      return w.scales.empty()
                 ? "it is quantized, but its scales are missing; is the checkpoint complete?"
                 : "it is quantized, but config.json says that it is not";
    if (found.rank() == 2 && found[0] == w.columns && found[1] == w.rows)
      return "is it stored transposed?";
  } else if (same_rows && w.weight.dtype == DType::kU32) {
    const int64_t bits = found[-1] * 32 / w.columns;
    if (found[-1] * 32 % w.columns == 0 && bits >= 2 && bits <= 8 && bits != w.scheme.bits)
      return fmt::format("is this a {}-bit checkpoint?", bits);
  } else if (is_compute_dtype(w.weight.dtype)) {
    return "the weight is not quantized, though it has scales";
  }
  return "does config.json belong to these weights?";
}

[[noreturn]] void fail(const LinearWeights& w, const char* leaf, const std::string& expected,
                       const Tensor& found, const std::string& guess) {
  throw Error(ErrorKind::kCheckpoint, "[checkpoint] {}.{}: expected {}, file has {}; {}", w.name,
              leaf, expected, show(found), guess);
}

Shape stacked(const LinearWeights& w, int64_t width) {
  Shape shape;
  if (w.experts > 1) shape.push_back(w.experts);
  shape.push_back(w.rows);
  shape.push_back(width);
  return shape;
}

// A stack of one expert is a matrix.
void drop_single_expert(const LinearWeights& w, Tensor& tensor, int rank) {
  if (w.experts != 1 || tensor.shape.rank() != rank + 1 || tensor.shape[0] != 1) return;
  Shape shape;
  for (int i = 1; i <= rank; ++i) shape.push_back(tensor.shape[i]);
  tensor.shape = shape;
}

void check_dense(const LinearWeights& w) {
  const Shape shape = stacked(w, w.columns);
  if (!is_compute_dtype(w.weight.dtype) || w.weight.shape != shape)
    fail(w, "weight", "f32, f16 or bf16 " + to_string(shape), w.weight, guess_for(w, shape));
}

void check_quantized(const LinearWeights& w) {
  const QuantScheme& scheme = w.scheme;
  if (w.columns % scheme.group != 0)
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}: expected columns that are a multiple of the group size of {}, "
                "config.json says {}",
                w.name, to_string(scheme), w.columns);
  const std::string purpose =
      fmt::format(" for {} of {}", to_string(scheme), to_string(stacked(w, w.columns)));
  const Shape packed = stacked(w, w.columns * scheme.bits / 32);
  if (w.weight.dtype != DType::kU32 || w.weight.shape != packed)
    fail(w, "weight", "u32 " + to_string(packed) + purpose, w.weight, guess_for(w, packed));
  const Shape groups = stacked(w, w.columns / scheme.group);
  const bool affine = scheme.mode == QuantMode::kAffine;
  const bool right_dtype = affine ? is_compute_dtype(w.scales.dtype) : w.scales.dtype == DType::kU8;
  if (!right_dtype || w.scales.shape != groups)
    fail(w, "scales", (affine ? "f32, f16 or bf16 " : "u8 ") + to_string(groups) + purpose,
         w.scales,
         right_dtype ? "is this another group size?" : "is this another quantization mode?");
  if (!affine) return;
  if (w.biases.empty())
    throw Error(ErrorKind::kCheckpoint,
                "[checkpoint] {}.biases: expected {} {} beside the scales, found nothing", w.name,
                name(w.scales.dtype), to_string(groups));
  if (w.biases.dtype != w.scales.dtype || w.biases.shape != groups)
    fail(w, "biases", fmt::format("{} {} as the scales", name(w.scales.dtype), to_string(groups)),
         w.biases, "does config.json belong to these weights?");
}

void check_bias(const LinearWeights& w) {
  if (w.bias.empty()) return;
  const Shape shape = w.experts > 1 ? Shape{w.experts, w.rows} : Shape{w.rows};
  if (!is_compute_dtype(w.bias.dtype) || w.bias.shape != shape)
    fail(w, "bias", "f32, f16 or bf16 " + to_string(shape), w.bias,
         "does config.json belong to these weights?");
}

}  // namespace

bool fits(const LinearWeights& w, const QuantScheme& scheme) {
  const bool affine = scheme.mode == QuantMode::kAffine;
  return scheme.mode != QuantMode::kNone && w.columns % scheme.group == 0 &&
         last(w.weight) == w.columns * scheme.bits / 32 &&
         last(w.scales) == w.columns / scheme.group &&
         (affine ? is_compute_dtype(w.scales.dtype) : w.scales.dtype == DType::kU8);
}

std::optional<QuantScheme> infer_scheme(const LinearWeights& w) {
  const int64_t words = last(w.weight), groups = last(w.scales);
  if (words <= 0 || groups <= 0 || w.columns % groups != 0 || words > w.columns ||
      words * 32 % w.columns != 0)
    return std::nullopt;
  return scheme_of(w.scales.dtype, words * 32 / w.columns, w.columns / groups);
}

QuantScheme summarize_scheme(const LinearWeights& weights, std::optional<QuantScheme> named,
                             std::optional<QuantScheme> general) {
  if (named && named->mode != QuantMode::kNone) return *named;
  LinearWeights w = weights;
  const auto try_group = [&](int group) {
    w.columns = last(w.scales) <= (int64_t{1} << 40) ? last(w.scales) * group : 0;
    return w.columns > 0 ? infer_scheme(w) : std::nullopt;
  };
  if (general) {
    w.columns = last(w.scales) <= (int64_t{1} << 40) ? last(w.scales) * general->group : 0;
    if (w.columns > 0 && fits(w, *general)) return *general;
    // Mixed recipes keep the group size and change the bits.
    if (const auto scheme = try_group(general->group)) return *scheme;
  }
  for (const int group : {64, 32, 128, 16})
    if (const auto scheme = try_group(group)) return *scheme;
  return {QuantMode::kAffine, 0, 0};
}

void check_shapes(LinearWeights& w) {
  drop_single_expert(w, w.weight, 2);
  drop_single_expert(w, w.bias, 1);
  if (w.scheme.mode == QuantMode::kNone) {
    check_dense(w);
    w.scales = w.biases = Tensor{};
  } else {
    drop_single_expert(w, w.scales, 2);
    drop_single_expert(w, w.biases, 2);
    if (w.scheme.mode != QuantMode::kAffine) w.biases = Tensor{};
    check_quantized(w);
  }
  check_bias(w);
}

}  // namespace mica
