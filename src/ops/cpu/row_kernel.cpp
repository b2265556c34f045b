#include "ops/cpu/row_kernel.h"

#include "ops/cpu/vec.h"

namespace mica::kernels::MICA_ISA {
namespace {

constexpr int64_t kW = kLanes;

float squares(const float* x, int64_t n) {
  F first = {}, second = {};
  int64_t i = 0;
  for (; i + 2 * kW <= n; i += 2 * kW) {
    const F a = load(x + i), b = load(x + i + kW);
    first += a * a;
    second += b * b;
  }
  float rest = 0;
  for (; i < n; ++i) rest += x[i] * x[i];
  return sum(first + second) + rest;
}

void scale_by(const float* x, float scale, const float* weight, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

float total(const float* x, int64_t n) {
  F first = {}, second = {};
  int64_t i = 0;
  for (; i + 2 * kW <= n; i += 2 * kW) {
    first += load(x + i);
    second += load(x + i + kW);
  }
  float rest = 0;
  for (; i < n; ++i) rest += x[i];
  return sum(first + second) + rest;
}

float squares_around(const float* x, float mean, int64_t n) {
  F first = {}, second = {};
  int64_t i = 0;
  for (; i + 2 * kW <= n; i += 2 * kW) {
    const F a = load(x + i) - mean, b = load(x + i + kW) - mean;
    first += a * a;
    second += b * b;
  }
  float rest = 0;
  for (; i < n; ++i) rest += (x[i] - mean) * (x[i] - mean);
  return sum(first + second) + rest;
}

void scale_around(const float* x, float mean, float scale, const float* weight, const float* bias,
                  int64_t n, float* out) {
  if (!bias) {
    for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i];
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

void add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

// Applies `body` to vectors of x and y; the last may be partial, its spare lanes are 0.
template <typename Body>
MICA_VEC void for_vectors(const float* x, const float* y, int64_t n, float* out, Body&& body) {
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store(out + i, body(load(x + i), load(y + i)));
  if (i == n) return;
  float a[kW] = {}, b[kW] = {};
  std::memcpy(a, x + i, static_cast<size_t>(n - i) * sizeof(float));
  std::memcpy(b, y + i, static_cast<size_t>(n - i) * sizeof(float));
  const F result = body(load(a), load(b));
  std::memcpy(out + i, &result, static_cast<size_t>(n - i) * sizeof(float));
}

// x / (1 + exp(-k x)), the sigmoid without cancellation on either side.
MICA_VEC F times_sigmoid(F x, F scaled) {
  return x / (1.0f + exp(-scaled));
}

// erfc(z) for z >= 0, relative error 1.2e-7: Chebyshev fit in t = 1 / (1 + z / 2)
// (Press et al., Numerical Recipes, 2nd edition, section 6.2).
MICA_VEC F erfc_positive(F z) {
  const F t = 1.0f / (1.0f + 0.5f * z);
  F poly = splat(0.17087277f);
  poly = poly * t - 0.82215223f;
  poly = poly * t + 1.48851587f;
  poly = poly * t - 1.13520398f;
  poly = poly * t + 0.27886807f;
  poly = poly * t - 0.18628806f;
  poly = poly * t + 0.09678418f;
  poly = poly * t + 0.37409196f;
  poly = poly * t + 1.00002368f;
  poly = poly * t - 1.26551223f;
  return t * exp(poly - z * z);
}

MICA_VEC F gelu(F x) {
  const F tail = 0.5f * erfc_positive((x < 0.0f ? -x : x) * 0.70710678118654752f);
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

MICA_VEC F gelu_tanh(F x) {  // 0.5 (1 + tanh u) = sigmoid(2 u)
  const F u = 1.5957691216057308f * (x + 0.044715f * x * x * x);
  return times_sigmoid(x, u);
}

template <typename Act>
MICA_VEC void gated(const float* x, const float* up, int64_t n, float* out, Act&& act) {
  if (up)
    for_vectors(x, up, n, out, [&](F g, F u) { return act(g) * u; });
  else
    for_vectors(x, x, n, out, [&](F g, F) { return act(g); });
}

void gate(Gate kind, const float* x, const float* up, int64_t n, float* out) {
  switch (kind) {
    case Gate::kSilu: return gated(x, up, n, out, [](F g) { return times_sigmoid(g, g); });
    case Gate::kGelu: return gated(x, up, n, out, [](F g) { return gelu(g); });
    case Gate::kGeluTanh: return gated(x, up, n, out, [](F g) { return gelu_tanh(g); });
  }
}

void softcap(float* x, int64_t n, float cap) {
  for_vectors(x, x, n, x, [cap](F value, F) { return tanh(value / cap) * cap; });
}

// Reduction to |r| <= pi/4 in f64 with pi/2 in two parts, the first of 27 bits, so
// that its product is exact; Taylor series, error far below an ulp of f32.
void angles(float position, const float* frequencies, int64_t n, float magnitude, float* cosines,
            float* sines) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  for (int64_t i = 0; i < n; ++i) {
    const double angle = position * frequencies[i];
    const double turns = (angle * 0.63661977236758134308 + kShift) - kShift;
    const double r = (angle - turns * 0x1.921fb54p0) - turns * 9.920935796805404e-10;
    const double s = r * r;
    const double sine =
        r + r * s *
                (-1.0 / 6 +
                 s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880 + s * (-1.0 / 39916800)))));
    const double cosine =
        1 + s * (-1.0 / 2 + s * (1.0 / 24 + s * (-1.0 / 720 +
                                                 s * (1.0 / 40320 + s * (-1.0 / 3628800 +
                                                                         s * (1.0 / 479001600))))));
    // turns mod 4, in {-2, -1, 0, 1, 2}.
    const double quadrant = turns - 4 * ((turns * 0.25 + kShift) - kShift);
    const bool odd = quadrant == 1 || quadrant == -1;
    const bool half = quadrant == 2 || quadrant == -2;
    const double a = odd ? sine : cosine, b = odd ? cosine : sine;
    const double cosine_sign = half || quadrant == 1 ? -1.0 : 1.0;
    const double sine_sign = half || quadrant == -1 ? -1.0 : 1.0;
    cosines[i] = static_cast<float>(a * cosine_sign * magnitude);
    sines[i] = static_cast<float>(b * sine_sign * magnitude);
  }
}

void rotate(float* head, const float* cosines, const float* sines, int64_t n, bool interleaved) {
  if (interleaved) {
    for (int64_t i = 0; i < n; ++i) {
      const float a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * cosines[i] - b * sines[i];
      head[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
    return;
  }
  float* upper = head + n;
  for (int64_t i = 0; i < n; ++i) {
    const float a = head[i], b = upper[i];
    head[i] = a * cosines[i] - b * sines[i];
    upper[i] = a * sines[i] + b * cosines[i];
  }
}

void to_bf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = bits_as<uint32_t>(x[i]);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t nan = (bits >> 16) | 0x40u;
    out[i] = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
}

void range(const float* x, int64_t n, float* lowest_of, float* highest_of) {
  F low = load(x), high = low;
  for (int64_t i = kW; i < n; i += kW) {
    const F value = load(x + i);
    low = value < low ? value : low;
    high = larger(high, value);
  }
  *lowest_of = -highest(-low);
  *highest_of = highest(high);
}

template <int kBits>
MICA_VEC void encode_as(const float* x, int64_t n, float inverse, float bias, uint8_t* out) {
  constexpr auto kLast = static_cast<float>((1 << kBits) - 1);
  const F magic = splat(12582912.0f);  // adding 1.5 * 2^23 rounds to an integer
  for (int64_t i = 0; i < n; i += kW) {
    F place = (load(x + i) - bias) * inverse;
    place = place > 0.0f ? place : F{};
    place = place < kLast ? place : splat(kLast);
    store_codes<kBits>(out + i * kBits / 8, (place + magic) - magic);
  }
}

void encode(const float* x, int64_t n, float inverse, float bias, int bits, uint8_t* out) {
  if (bits == 8)
    encode_as<8>(x, n, inverse, bias, out);
  else
    encode_as<4>(x, n, inverse, bias, out);
}

}  // namespace

extern const RowKernel kRowKernel;
const RowKernel kRowKernel = {squares, scale_by, total,  squares_around, scale_around, add,   gate,
                              softcap, angles,   rotate, to_bf16,        range,        encode};

}  // namespace mica::kernels::MICA_ISA
