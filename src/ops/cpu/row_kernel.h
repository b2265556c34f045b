// Loops over one row that norm, rotation, activation and softcap share; compiled per instruction
// set.
#pragma once

#include <cstdint>

namespace mica::kernels {

// Kinds of `gate`, in the order of mica::Activation.
enum class Gate : uint8_t { kSilu, kGelu, kGeluTanh };

struct RowKernel {
  // sum of x[i]^2 over [0, n).
  float (*squares)(const float* x, int64_t n);
  // out[i] = x[i] * scale * weight[i].
  void (*scale_by)(const float* x, float scale, const float* weight, int64_t n, float* out);
  // Sums over [0, n): of x[i], and of (x[i] - mean)^2.
  float (*total)(const float* x, int64_t n);
  float (*squares_around)(const float* x, float mean, int64_t n);
  // out[i] = (x[i] - mean) * scale * weight[i] + bias[i]; bias may be null.
  void (*scale_around)(const float* x, float mean, float scale, const float* weight,
                       const float* bias, int64_t n, float* out);
  // x[i] += y[i].
  void (*add)(float* x, const float* y, int64_t n);
  // out[i] = act(gate[i]) * up[i], without `up` act(gate[i]); out may be gate or up.
  void (*gate)(Gate kind, const float* gate, const float* up, int64_t n, float* out);
  // x[i] = cap * tanh(x[i] / cap).
  void (*softcap)(float* x, int64_t n, float cap);
  // cosines[i], sines[i] = magnitude * cos, sin of the f32 product position * frequencies[i].
  void (*angles)(float position, const float* frequencies, int64_t n, float magnitude,
                 float* cosines, float* sines);
  // Rotates the n pairs of a head by the angles.
  void (*rotate)(float* head, const float* cosines, const float* sines, int64_t n,
                 bool interleaved);
  // out[i] = x[i] as bfloat16, round to nearest even.
  void (*to_bf16)(const float* x, int64_t n, uint16_t* out);
  // The lowest and the highest of n elements, a multiple of 16.
  void (*range)(const float* x, int64_t n, float* lowest, float* highest);
  // Codes of `bits` (8 or 4) bits: (x[i] - bias) * inverse, rounded to even, within their range; n
  // is a multiple of 16.
  void (*encode)(const float* x, int64_t n, float inverse, float bias, int bits, uint8_t* out);
};

namespace portable {
extern const RowKernel kRowKernel;
}
namespace avx2 {
extern const RowKernel kRowKernel;
}
namespace avx512 {
extern const RowKernel kRowKernel;
}

}  // namespace mica::kernels
