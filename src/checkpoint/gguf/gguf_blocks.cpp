// Layouts: ggml/src/ggml-common.h. A block of 32 has its scale d (and offset m) as f16, then, of
// 5-bit types, the fifth bits, element i in bit i; then the low nibbles, byte i having element i
// below and element i + 16 above.
#include "checkpoint/gguf/gguf_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "tensor/unpack.h"

namespace mica {
namespace {

constexpr size_t kBlock = 32;
constexpr GgufType kWritten[] = {GgufType::kMxfp4, GgufType::kQ4_0, GgufType::kQ4_1,
                                 GgufType::kQ5_0,  GgufType::kQ5_1, GgufType::kQ8_0,
                                 GgufType::kF16,   GgufType::kBf16, GgufType::kF32};

// The integer types: w = d * (q - middle), or d * q + m.
struct BlockKind {
  int bits = 0;
  int middle = 0;       // Q8_0: codes are signed, which is the same
  bool offset = false;  // has m
};

std::optional<BlockKind> block_kind(GgufType type) {
  switch (type) {
    case GgufType::kQ4_0: return BlockKind{4, 8, false};
    case GgufType::kQ4_1: return BlockKind{4, 0, true};
    case GgufType::kQ5_0: return BlockKind{5, 16, false};
    case GgufType::kQ5_1: return BlockKind{5, 0, true};
    case GgufType::kQ8_0: return BlockKind{8, 128, false};
    default: return std::nullopt;
  }
}

std::optional<DType> float_type(GgufType type) {
  switch (type) {
    case GgufType::kF16: return DType::kF16;
    case GgufType::kBf16: return DType::kBF16;
    case GgufType::kF32: return DType::kF32;
    default: return std::nullopt;
  }
}

// A block before it is packed.
struct Block {
  float d = 0, m = 0;
  uint8_t codes[kBlock] = {};
};

bool in_f16(float value) {
  return f16_to_f32(f32_to_f16(value)) == value;
}

bool all_equal(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == values[0]; });
}

// All values are the offset, or one step from the middle.
Block constant_block(const BlockKind& kind, float value) {
  Block block;
  (kind.offset ? block.m : block.d) = value;
  std::fill(std::begin(block.codes), std::end(block.codes),
            static_cast<uint8_t>(kind.offset ? 0 : kind.middle + 1));
  return block;
}

// Moves the codes so that the group's zero is the type's middle.
std::optional<Block> centred_block(const BlockKind& kind, float scale, float bias,
                                   const uint8_t* codes) {
  const float zero = scale == 0 ? 0 : -bias / scale;
  if (!(std::fabs(zero) <= 512) || zero != std::floor(zero) || scale * zero + bias != 0)
    return std::nullopt;
  Block block{.d = scale};
  for (size_t i = 0; i < kBlock; ++i) {
    const int code = codes[i] - static_cast<int>(zero) + kind.middle;
    if (code < 0 || code >= 1 << kind.bits) return std::nullopt;
    block.codes[i] = static_cast<uint8_t>(code);
  }
  return block;
}

std::optional<Block> affine_block(const BlockKind& kind, int bits, float scale, float bias,
                                  const uint8_t* codes) {
  if (!kind.offset) return centred_block(kind, scale, bias, codes);
  if (bits > kind.bits) return std::nullopt;
  Block block{.d = scale, .m = bias};
  std::copy_n(codes, kBlock, block.codes);
  return block;
}

// The nearest of 255 steps between the largest value and its negative.
Block rounded_block(std::span<const float> values) {
  float most = 0;
  for (const float v : values) most = std::max(most, std::fabs(v));
  Block block{.d = f16_to_f32(f32_to_f16(most / 127))};
  for (size_t i = 0; i < kBlock; ++i) {
    const float step = block.d > 0 ? std::clamp(values[i] / block.d, -127.f, 127.f) : 0;
    block.codes[i] = static_cast<uint8_t>(std::lrint(step) + 128);
  }
  return block;
}

std::byte* put_f16(std::byte* out, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(out, &bits, sizeof bits);
  return out + sizeof bits;
}

float get_f16(const std::byte* in) {
  uint16_t bits;
  std::memcpy(&bits, in, sizeof bits);
  return f16_to_f32(bits);
}

void put_nibbles(std::byte* out, const uint8_t* codes) {
  for (size_t i = 0; i < kBlock / 2; ++i)
    out[i] = static_cast<std::byte>((codes[i] & 15) | (codes[i + kBlock / 2] & 15) << 4);
}

void get_nibbles(const std::byte* in, uint8_t* codes) {
  for (size_t i = 0; i < kBlock / 2; ++i) {
    codes[i] = std::to_integer<uint8_t>(in[i] & std::byte{15});
    codes[i + kBlock / 2] = std::to_integer<uint8_t>(in[i] >> 4);
  }
}

void pack(const BlockKind& kind, const Block& block, std::byte* out) {
  out = put_f16(out, block.d);
  if (kind.offset) out = put_f16(out, block.m);
  if (kind.bits == 8) {
    for (size_t i = 0; i < kBlock; ++i) out[i] = static_cast<std::byte>(block.codes[i] - 128);
    return;
  }
  if (kind.bits == 5) {
    uint32_t high = 0;
    for (size_t i = 0; i < kBlock; ++i) high |= uint32_t{block.codes[i] >> 4 & 1u} << i;
    std::memcpy(out, &high, sizeof high);
    out += sizeof high;
  }
  put_nibbles(out, block.codes);
}

void decode_block(const BlockKind& kind, const std::byte* in, float* out) {
  const float d = get_f16(in);
  in += 2;
  float m = 0;
  if (kind.offset) {
    m = get_f16(in);
    in += 2;
  }
  uint8_t codes[kBlock];
  if (kind.bits == 8) {
    for (size_t i = 0; i < kBlock; ++i)
      codes[i] = static_cast<uint8_t>(std::to_integer<int>(in[i]) + 128);
  } else {
    uint32_t high = 0;
    if (kind.bits == 5) {
      std::memcpy(&high, in, sizeof high);
      in += sizeof high;
    }
    get_nibbles(in, codes);
    for (size_t i = 0; i < kBlock; ++i)
      codes[i] = static_cast<uint8_t>(codes[i] | (high >> i & 1) << 4);
  }
  for (size_t i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(codes[i] - kind.middle) + m;
}

void decode_mxfp4(const std::byte* in, float* out) {
  const float scale = e8m0_to_f32(std::to_integer<uint8_t>(*in));
  uint8_t codes[kBlock];
  get_nibbles(in + 1, codes);
  for (size_t i = 0; i < kBlock; ++i) out[i] = scale * e2m1_to_f32(codes[i]);
}

}  // namespace

std::span<const GgufType> written_gguf_types() {
  return kWritten;
}

GgufRowEncoder::GgufRowEncoder(const LinearWeights& weights, GgufType type)
    : weights_(weights), type_(type) {
  const GgufTypeInfo& info = gguf_type(type);
  row_bytes_ = static_cast<size_t>(weights.columns / info.block) * info.bytes;
  values_.resize(static_cast<size_t>(weights.columns));
  if (weights.scheme.mode == QuantMode::kNone) return;
  codes_.resize(values_.size());
  if (weights.scheme.mode != QuantMode::kAffine) return;
  scales_.resize(values_.size() / static_cast<size_t>(weights.scheme.group));
  biases_.resize(scales_.size());
}

void GgufRowEncoder::read_groups(int64_t expert, int64_t row) {
  const auto groups = static_cast<int64_t>(scales_.size());
  const auto from = static_cast<size_t>((expert * weights_.rows + row) * groups);
  const auto read = [&](const Tensor& tensor, std::vector<float>& out) {
    to_f32(static_cast<const std::byte*>(tensor.data) + from * size_of(tensor.dtype), tensor.dtype,
           groups, out.data());
  };
  if (groups == 0) return;
  read(weights_.scales, scales_);
  read(weights_.biases, biases_);
}

bool GgufRowEncoder::is_exact(int64_t expert, int64_t row) {
  const std::optional<BlockKind> kind = block_kind(type_);
  if (scales_.empty() || !kind || !kind->offset || weights_.scheme.bits > kind->bits) return false;
  read_groups(expert, row);
  return std::all_of(scales_.begin(), scales_.end(), in_f16) &&
         std::all_of(biases_.begin(), biases_.end(), in_f16);
}

const std::vector<float>& GgufRowEncoder::values() {
  if (!dequantized_) dequantize_row(weights_, expert_, row_, values_.data());
  dequantized_ = true;
  return values_;
}

bool GgufRowEncoder::encode_block(size_t at, std::byte* out) {
  const BlockKind kind = *block_kind(type_);
  std::optional<Block> found;
  if (!scales_.empty()) {
    const auto group = at / static_cast<size_t>(weights_.scheme.group);
    found = affine_block(kind, weights_.scheme.bits, scales_[group], biases_[group],
                         codes_.data() + at);
  }
  if (!found || !in_f16(found->d) || !in_f16(found->m)) {
    const std::span<const float> block(values().data() + at, kBlock);
    if (all_equal(block)) found = constant_block(kind, block[0]);
    if (!found && type_ == GgufType::kQ8_0) found = rounded_block(block);
  }
  if (found) pack(kind, *found, out);
  return found.has_value();
}

void GgufRowEncoder::encode_mxfp4(std::byte* out) const {
  const size_t blocks = codes_.size() / kBlock;
  const auto* scales = weights_.scales.as<std::byte>() +
                       static_cast<size_t>(expert_ * weights_.rows + row_) * blocks;
  for (size_t i = 0; i < blocks; ++i, out += 1 + kBlock / 2) {
    *out = scales[i];
    put_nibbles(out + 1, codes_.data() + i * kBlock);
  }
}

bool GgufRowEncoder::encode(int64_t expert, int64_t row, std::byte* out) {
  expert_ = expert;
  row_ = row;
  dequantized_ = false;
  if (const std::optional<DType> dtype = float_type(type_)) {
    from_f32(values().data(), weights_.columns, *dtype, out);
    return true;
  }
  const bool mxfp4 = type_ == GgufType::kMxfp4;
  if (mxfp4 && weights_.scheme.mode != QuantMode::kMxfp4) return false;
  if (!codes_.empty()) unpack_row(weights_, expert, row, codes_.data());
  if (mxfp4) return encode_mxfp4(out), true;
  read_groups(expert, row);
  const size_t block_bytes = gguf_type(type_).bytes;
  for (size_t at = 0; at < values_.size(); at += kBlock, out += block_bytes)
    if (!encode_block(at, out)) return false;
  return true;
}

void decode_gguf_row(GgufType type, const std::byte* row, int64_t columns, float* out) {
  if (const std::optional<DType> dtype = float_type(type)) return to_f32(row, *dtype, columns, out);
  const std::optional<BlockKind> kind = block_kind(type);
  MICA_CHECK(kind || type == GgufType::kMxfp4);
  const size_t block_bytes = gguf_type(type).bytes;
  for (int64_t i = 0; i < columns; i += int64_t{kBlock}, row += block_bytes) {
    if (kind)
      decode_block(*kind, row, out + i);
    else
      decode_mxfp4(row, out + i);
  }
}

}  // namespace mica
