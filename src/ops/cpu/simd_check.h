// Compares every primitive of an instruction set with simd_portable.h. For simd_test.cpp; free of
// inline functions of other headers, like the primitives.
#pragma once

#include "ops/cpu/simd_portable.h"

namespace mica {

template <class S>
class SimdCheck {
 public:
  // The first primitive that differs, or null.
  static const char* run() {
    SimdCheck check;
    for (int round = 0; round < 200 && check.failed_ == nullptr; ++round) {
      check.fill();
      check.integers();
      check.floats();
      check.loads();
    }
    return check.failed_;
  }

 private:
  using P = PortableSimd;

  void fill() {
    for (auto& word : words_) word = next();
    for (int i = 0; i < 48; ++i) floats_[i] = (static_cast<float>(next() >> 8) - 0x1p23f) / 997.0f;
  }
  uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32);
  }
  void same(const char* what, const typename S::I32& x, const P::I32& y) {
    uint32_t a[16], b[16];
    S::store_i(a, x);
    P::store_i(b, y);
    compare(what, a, b);
  }
  void same(const char* what, const typename S::F32& x, const P::F32& y) {
    uint32_t a[16], b[16];
    S::store_i(a, S::bits(x));
    P::store_i(b, P::bits(y));
    for (int i = 0; i < 16; ++i) {  // NaNs may differ in their payload
      if ((a[i] & 0x7fffffffu) > 0x7f800000u) a[i] = 0x7fc00000u;
      if ((b[i] & 0x7fffffffu) > 0x7f800000u) b[i] = 0x7fc00000u;
    }
    compare(what, a, b);
  }
  void compare(const char* what, const uint32_t* a, const uint32_t* b) {
    if (failed_ == nullptr && __builtin_memcmp(a, b, 64) != 0) failed_ = what;
  }

  void integers() {
    const uint32_t *p = words_, *q = words_ + 16, *r = words_ + 32;
    const auto x = S::load_i(p), y = S::load_i(q), z = S::load_i(r);
    const auto u = P::load_i(p), v = P::load_i(q), w = P::load_i(r);
    same("load_i, store_i", x, u);
    same("broadcast_i", S::broadcast_i(static_cast<int>(p[0])),
         P::broadcast_i(static_cast<int>(p[0])));
    same("and_i", S::and_i(x, y), P::and_i(u, v));
    same("or_i", S::or_i(x, y), P::or_i(u, v));
    same("add_i", S::add_i(x, y), P::add_i(u, v));
    same("max_u", S::max_u(x, y), P::max_u(u, v));
    same("shift_right16", S::template shift_right16<5>(x), P::shift_right16<5>(u));
    same("shift_left16", S::template shift_left16<3>(x), P::shift_left16<3>(u));
    same("shift_right_signed16", S::template shift_right_signed16<8>(x),
         P::shift_right_signed16<8>(u));
    same("dot", S::dot(x, y, z), P::dot(u, v, w));
    int8_t table[16];
    __builtin_memcpy(table, q, 16);
    const auto index = S::and_i(x, S::broadcast_i(0x0f0f0f0f));
    same("table16, lookup", S::lookup(S::table16(table), index),
         P::lookup(P::table16(table), P::and_i(u, P::broadcast_i(0x0f0f0f0f))));
    same("bf16_even", S::bf16_even(x), P::bf16_even(u));
    same("bf16_odd", S::bf16_odd(x), P::bf16_odd(u));
    same("to_f32", S::to_f32(x), P::to_f32(u));
  }

  void floats() {
    const float *p = floats_, *q = floats_ + 16, *r = floats_ + 32;
    const auto x = S::load(p), y = S::load(q);
    const auto u = P::load(p), v = P::load(q);
    same("load", x, u);
    same("zero", S::zero(), P::zero());
    same("broadcast", S::broadcast(p[3]), P::broadcast(p[3]));
    same("add", S::add(x, y), P::add(u, v));
    same("mul", S::mul(x, y), P::mul(u, v));
    same("round", S::round(x), P::round(u));
    float stored[16], fused[16], twice[16];
    S::store(stored, S::fma(x, y, S::load(r)));
    for (int i = 0; i < 16; ++i) {
      fused[i] = __builtin_fmaf(p[i], q[i], r[i]);
      twice[i] = p[i] * q[i] + r[i];
      if (failed_ == nullptr && stored[i] != fused[i] && stored[i] != twice[i]) failed_ = "fma";
    }
  }

  void loads() {
    const auto* half = reinterpret_cast<const uint16_t*>(words_);
    const auto* byte = reinterpret_cast<const uint8_t*>(words_);
    same("load_f16", S::load_f16(half), P::load_f16(half));
    same("load_bf16", S::load_bf16(half), P::load_bf16(half));
    for (int i = 0; i < 8; ++i) {
      same("load_e4m3", S::load_e4m3(byte + i * 16), P::load_e4m3(byte + i * 16));
      same("load_e8m0", S::load_e8m0(byte + i * 16), P::load_e8m0(byte + i * 16));
    }
  }

  uint64_t state_ = 88172645463325252u;
  uint32_t words_[48];
  float floats_[48];
  const char* failed_ = nullptr;
};

}  // namespace mica
