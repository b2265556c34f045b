#include "tensor/quantization.h"

#include <cstring>

#include "tensor/unpack.h"

namespace mica {
namespace {

// Element i of a row's little-endian bit stream; bits <= 8, so it spans at most two bytes.
uint32_t packed_element(const uint8_t* row, int64_t i, int bits, int64_t row_bytes) {
  const int64_t bit = i * bits;
  const int64_t byte = bit / 8;
  uint32_t word = row[byte];
  if (byte + 1 < row_bytes) word |= uint32_t{row[byte + 1]} << 8;
  return (word >> (bit % 8)) & ((1u << bits) - 1u);
}

float scalar_at(const Tensor& tensor, int64_t i) {
  float value;
  to_f32(
      static_cast<const std::byte*>(tensor.data) + static_cast<size_t>(i) * size_of(tensor.dtype),
      tensor.dtype, 1, &value);
  return value;
}

}  // namespace

std::string to_string(const QuantScheme& scheme) {
  switch (scheme.mode) {
    case QuantMode::kNone: return "none";
    case QuantMode::kAffine: return fmt::format("affine {}-bit g{}", scheme.bits, scheme.group);
    case QuantMode::kMxfp4: return "mxfp4";
    case QuantMode::kMxfp8: return "mxfp8";
    case QuantMode::kNvfp4: return "nvfp4";
  }
  return "?";
}

DType LinearWeights::compute_dtype() const {
  if (scheme.mode == QuantMode::kNone) return weight.dtype;
  if (scheme.mode == QuantMode::kAffine) return scales.dtype;
  return DType::kBF16;
}

size_t LinearWeights::weight_bytes() const {
  return weight.bytes() + (scales.empty() ? 0 : scales.bytes()) +
         (biases.empty() ? 0 : biases.bytes());
}

void unpack_row(const LinearWeights& w, int64_t expert, int64_t row, uint8_t* out) {
  MICA_CHECK(w.scheme.mode != QuantMode::kNone);
  MICA_CHECK(expert >= 0 && expert < w.experts && row >= 0 && row < w.rows);
  const int64_t row_bytes = w.columns * w.scheme.bits / 8;
  const auto* packed =
      static_cast<const uint8_t*>(w.weight.data) + (expert * w.rows + row) * row_bytes;
  if (w.scheme.bits == 8) {
    std::memcpy(out, packed, static_cast<size_t>(w.columns));
    return;
  }
  if (w.scheme.bits == 4) {
    for (int64_t i = 0; i < row_bytes; ++i) {
      out[2 * i] = packed[i] & 15;
      out[2 * i + 1] = packed[i] >> 4;
    }
    return;
  }
  for (int64_t i = 0; i < w.columns; ++i)
    out[i] = static_cast<uint8_t>(packed_element(packed, i, w.scheme.bits, row_bytes));
}

void dequantize_row(const LinearWeights& w, int64_t expert, int64_t row, float* out) {
  MICA_CHECK(expert >= 0 && expert < w.experts && row >= 0 && row < w.rows);
  const int64_t index = expert * w.rows + row;
  if (w.scheme.mode == QuantMode::kNone) {
    const size_t row_bytes = static_cast<size_t>(w.columns) * size_of(w.weight.dtype);
    to_f32(static_cast<const std::byte*>(w.weight.data) + static_cast<size_t>(index) * row_bytes,
           w.weight.dtype, w.columns, out);
    return;
  }
  const int64_t row_bytes = w.columns * w.scheme.bits / 8;
  const auto* packed = static_cast<const uint8_t*>(w.weight.data) + index * row_bytes;
  const int64_t groups = w.columns / w.scheme.group;
  for (int64_t g = 0; g < groups; ++g) {
    float scale, offset = 0;
    if (w.scheme.mode == QuantMode::kAffine) {
      scale = scalar_at(w.scales, index * groups + g);
      offset = scalar_at(w.biases, index * groups + g);
    } else {
      const uint8_t code = w.scales.as<uint8_t>()[index * groups + g];
      scale = w.scheme.mode == QuantMode::kNvfp4 ? e4m3_to_f32(code) : e8m0_to_f32(code);
    }
    for (int64_t i = g * w.scheme.group; i < (g + 1) * w.scheme.group; ++i) {
      const uint32_t q = packed_element(packed, i, w.scheme.bits, row_bytes);
      float value = static_cast<float>(q);
      if (w.scheme.mode == QuantMode::kMxfp8)
        value = e4m3_to_f32(static_cast<uint8_t>(q));
      else if (w.scheme.mode != QuantMode::kAffine)
        value = e2m1_to_f32(static_cast<uint8_t>(q));
      out[i] = scale * value + offset;
    }
  }
}

}  // namespace mica
