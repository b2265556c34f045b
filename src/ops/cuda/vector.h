// Elements in memory as f32 registers, and back: of 16 bytes, or a few.
#pragma once

#include <type_traits>

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
      v.word[i] = pack_pair<T>(values[2 * i], values[2 * i + 1]);
  }
  return v;
}

// kCount elements (1, or a multiple of 2) that are aligned to their bytes, or to 16 of them.
template <typename T, int kCount>
MICA_DEVICE void load_values(const T* from, float (&values)[kCount], Where where = Where::here()) {
  constexpr int kBytes = kCount * static_cast<int>(sizeof(T));
  if constexpr (kCount == 1) {
    values[0] = to_float(*from);
  } else if constexpr (kBytes >= 16) {
    MICA_UNROLL
    for (int begin = 0; begin < kCount; begin += kPer16<T>) {
      float part[kPer16<T>];
      unpack16<T>(load16(from + begin, where), part);
      MICA_UNROLL
      for (int i = 0; i < kPer16<T>; ++i) values[begin + i] = part[i];
    }
  } else {
    using Bits = std::conditional_t<kBytes == 8, uint64_t, uint32_t>;
    check_alignment(from, kBytes, where);
    const Bits bits = *reinterpret_cast<const Bits*>(from);
    MICA_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if constexpr (sizeof(T) == 4)
        values[i] = as_float(static_cast<uint32_t>(bits >> 32 * i));
      else
        values[i] = to_float(T{static_cast<uint16_t>(bits >> 16 * i)});
    }
  }
}

template <typename T, int kCount>
MICA_DEVICE void store_values(T* to, const float (&values)[kCount], Where where = Where::here()) {
  constexpr int kBytes = kCount * static_cast<int>(sizeof(T));
  if constexpr (kCount == 1) {
    *to = from_float<T>(values[0]);
  } else if constexpr (kBytes >= 16) {
    MICA_UNROLL
    for (int begin = 0; begin < kCount; begin += kPer16<T>) {
      float part[kPer16<T>];
      MICA_UNROLL
      for (int i = 0; i < kPer16<T>; ++i) part[i] = values[begin + i];
      store16(to + begin, pack16<T>(part), where);
    }
  } else {
    using Bits = std::conditional_t<kBytes == 8, uint64_t, uint32_t>;
    check_alignment(to, kBytes, where);
    Bits bits = 0;
    MICA_UNROLL
    for (int word = 0; word < kBytes / 4; ++word) {
      if constexpr (sizeof(T) == 4)
        bits |= static_cast<Bits>(as_bits(values[word])) << 32 * word;
      else
        bits |= static_cast<Bits>(pack_pair<T>(values[2 * word], values[2 * word + 1]))
                << 32 * word;
    }
    *reinterpret_cast<Bits*>(to) = bits;
  }
}

MICA_HOST_DEVICE bool aligned16(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

}  // namespace mica::MICA_GPU
