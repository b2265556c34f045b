// The elements of 16 bytes as f32 registers, and back.
#pragma once

#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU {

template <typename T>
inline constexpr int kPer16 = 16 / static_cast<int>(sizeof(T));

template <typename T>
MICA_DEVICE void unpack16(const Bytes16& v, float (&out)[kPer16<T>]) {
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) {
      out[i] = as_float(v.word[i]);
    } else {
      out[2 * i] = to_float(T{static_cast<uint16_t>(v.word[i])});
      out[2 * i + 1] = to_float(T{static_cast<uint16_t>(v.word[i] >> 16)});
    }
  }
}

template <typename T>
MICA_DEVICE Bytes16 pack16(const float (&values)[kPer16<T>]) {
  Bytes16 v;
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4)
      v.word[i] = as_bits(values[i]);
    else
      v.word[i] = static_cast<uint32_t>(from_float<T>(values[2 * i]).bits) |
                  static_cast<uint32_t>(from_float<T>(values[2 * i + 1]).bits) << 16;
  }
  return v;
}

MICA_DEVICE bool aligned16(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

}  // namespace mica::MICA_GPU
