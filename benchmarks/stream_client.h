// Many streaming requests from one thread, with as little work of the client's own as it takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mica {

struct StreamLoad {
  double seconds = 0;      // from the first byte sent to the last one received
  double cpu_seconds = 0;  // of the thread that asked
  int64_t events = 0;      // "data:" lines, those without a token and [DONE] among them
  int64_t bytes = 0;       // received
};

// Posts each of `bodies` to `path` of 127.0.0.1 on a connection of its own, all at once, and reads
// until each has sent "data: [DONE]". Throws Error(kMeasurement) when one ends without.
StreamLoad run_streams(uint16_t port, const std::string& path,
                       const std::vector<std::string>& bodies);

}  // namespace mica
