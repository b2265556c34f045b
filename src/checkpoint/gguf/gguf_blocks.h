// Rows of a layer's weights as rows of a GGUF type, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/gguf/gguf_types.h"
#include "tensor/quantization.h"

namespace mica {

// The types that Mica writes weights in, by bytes: MXFP4 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 F16 BF16 F32.
std::span<const GgufType> written_gguf_types();

// Encodes rows of one layer, whose columns are whole blocks of the type (32 elements); holds
// scratch memory, so one a thread.
//
// Affine w = scale * q + bias: Q4_1 and Q5_1 take the codes, with scale and bias of the group in
// each of its blocks; Q4_0, Q5_0 and Q8_0 take them less a middle where bias = -middle * scale. A
// block of one value is held whatever its scale. What Q8_0 can't take so is rounded to 255 steps.
class GgufRowEncoder {
 public:
  GgufRowEncoder(const LinearWeights& weights, GgufType type);

  size_t row_bytes() const { return row_bytes_; }
  // Whether the row keeps every value, as its scales and biases alone can tell. False: encode it
  // and compare.
  bool is_exact(int64_t expert, int64_t row);
  // False: the type has no place for such a row; true says nothing of how near the values are.
  bool encode(int64_t expert, int64_t row, std::byte* out);
  // Of the row that was encoded last, dequantized: f32 [K].
  const std::vector<float>& values();

 private:
  void read_groups(int64_t expert, int64_t row);
  bool encode_block(size_t at, std::byte* out);
  void encode_mxfp4(std::byte* out) const;

  const LinearWeights& weights_;
  GgufType type_;
  size_t row_bytes_ = 0;
  int64_t expert_ = 0, row_ = 0;        // encoded last
  bool dequantized_ = false;            // values_ are of that row
  std::vector<float> values_;           // [K]
  std::vector<uint8_t> codes_;          // [K], of quantized weights
  std::vector<float> scales_, biases_;  // [K / group], affine
};

// The values of a row in a type of written_gguf_types(), as ggml's dequantization has them: f32
// [K].
void decode_gguf_row(GgufType type, const std::byte* row, int64_t columns, float* out);

}  // namespace mica
