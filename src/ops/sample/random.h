// Counter-based random numbers (Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC 2011). A draw is a function of its key and counter alone, so a
// request draws the same whatever runs beside it.
#pragma once

#include <array>
#include <cstdint>

namespace mica {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// What a draw is for: each purpose has its own stream.
enum class RandomStream : uint32_t { kToken = 0, kXtc = 1 };

// Uniform in [0, 1), 53 random bits: draw number `draw` of the stream.
inline double uniform(uint64_t seed, uint64_t draw, RandomStream stream) {
  const auto words = philox({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32),
                             static_cast<uint32_t>(stream), 0},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = uint64_t{words[1]} << 32 | words[0];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace mica
