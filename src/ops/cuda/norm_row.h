// Rows that a norm reads twice, each by one block: rms_norm and layer_norm.
#pragma once

#include <algorithm>

#include "ops/cuda/launch.h"
#include "ops/cuda/vector.h"

namespace mica::MICA_GPU {

constexpr int kMaxNormThreads = 1024;

// What one block works on: `vectors` of 16 bytes or, where rows are not aligned, single elements.
// Every thread meets the same elements in both passes, so `out` may be `x`.
template <typename T>
struct NormRow {
  const T* x;
  T* residual;  // or null
  const float* weight;
  T* out;
  int size;
  int vectors;  // size / kPer16<T> or 0
};

// The sum of x and residual as it is stored, or x.
template <typename T>
MICA_DEVICE float take_element(const NormRow<T>& row, int i) {
  if (!row.residual) return to_float(row.x[i]);
  const T sum = from_float<T>(to_float(row.residual[i]) + to_float(row.x[i]));
  row.residual[i] = sum;
  return to_float(sum);
}

template <typename T>
MICA_DEVICE Bytes16 take_vector(const NormRow<T>& row, int vector) {
  const Bytes16 x = load16(row.x + vector * kPer16<T>);
  if (!row.residual) return x;
  T* residual = row.residual + vector * kPer16<T>;
  float values[kPer16<T>], more[kPer16<T>];
  unpack16<T>(x, values);
  unpack16<T>(load16(residual), more);
  for (int i = 0; i < kPer16<T>; ++i) values[i] += more[i];
  const Bytes16 sum = pack16<T>(values);
  store16(residual, sum);
  return sum;
}

// The row of this block. All rows alike are vectors or elements, or else a row's sum would depend
// on its place in the batch.
template <typename T>
MICA_DEVICE NormRow<T> norm_row(const T* x, T* residual, const float* weight, T* out, int size) {
  const int64_t offset = static_cast<int64_t>(block_index().x) * size;
  NormRow<T> row = {x + offset, residual ? residual + offset : nullptr, weight, out + offset, size,
                    0};
  if (size % kPer16<T> == 0 && aligned16(row.x) && aligned16(row.out) && aligned16(row.weight) &&
      aligned16(row.residual))
    row.vectors = size / kPer16<T>;
  return row;
}

// A warp at least, 16 bytes a thread up to the limit.
template <typename T>
int norm_threads(int size) {
  const int warps = (size / kPer16<T> + kWarpSize - 1) / kWarpSize;
  return std::clamp(warps * kWarpSize, kWarpSize, kMaxNormThreads);
}

}  // namespace mica::MICA_GPU
