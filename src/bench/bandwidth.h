// What memory on this machine delivers: the limit that a decode speed is held against.
#pragma once

#include <cstddef>

namespace mica {

struct BandwidthProbe {
  double bytes_per_second = 0;  // median over the passes
  double best = 0;              // fastest pass
  size_t buffer_bytes = 0;
  int threads = 0;
};

// Reads a buffer much larger than the caches with `threads` threads, `passes` times.
BandwidthProbe probe_read_bandwidth(int threads, int passes = 9,
                                    size_t buffer_bytes = size_t{768} << 20);

}  // namespace mica
