// The limits beside which bench.cpp sets its figures, one copy per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mica {

// Reads `bytes` (a multiple of 512) and returns something that depends on all of them.
using ReadProbe = int32_t (*)(const void* data, size_t bytes);
// `rounds` times 12 x 16 x 2 integer multiply-adds on registers.
using DotProbe = int32_t (*)(int64_t rounds);

struct LimitProbes {
  ReadProbe read;
  DotProbe dot;
};

extern const LimitProbes kProbesPortable, kProbesAvx2, kProbesAvx512;

template <class S>
int32_t read_probe(const void* data, size_t bytes) {
  typename S::I32 sum[4];
  for (auto& s : sum) s = S::broadcast_i(0);
  const auto* p = static_cast<const std::byte*>(data);
  for (size_t i = 0; i < bytes; i += 256) {
    for (size_t j = 0; j < 4; ++j) {
      S::prefetch(p + i + j * 64 + 2048);
      sum[j] = S::add_i(sum[j], S::load_i(p + i + j * 64));
    }
  }
  int32_t lane[16], total = 0;
  S::store_i(lane, S::add_i(S::add_i(sum[0], sum[1]), S::add_i(sum[2], sum[3])));
  for (int32_t v : lane) total ^= v;
  return total;
}

template <class S>
int32_t dot_probe(int64_t rounds) {
  constexpr int kSums = S::kTileTokens;
  typename S::I32 sum[kSums];
#pragma GCC unroll 12  // also here and below, or the sums live in memory
  for (auto& s : sum) s = S::broadcast_i(static_cast<int32_t>(rounds));
  auto w = S::broadcast_i(0x00030005), x = S::broadcast_i(static_cast<int32_t>(rounds));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; ++j) {  // opaque operands, or the products leave the loop
      S::keep(w);
      sum[j] = S::dot(sum[j], w, x);
      S::keep(sum[j]);
    }
  }
  auto all = sum[0];
#pragma GCC unroll 12
  for (int j = 1; j < kSums; ++j) all = S::add_i(all, sum[j]);
  int32_t lane[16], total = 0;
  S::store_i(lane, all);
  for (int32_t v : lane) total ^= v;
  return total;
}

}  // namespace mica
