// When the requests of a run are due. An open loop sends by the clock, whatever the server does; a
// closed loop sends when an answer has ended and needs no times.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

struct ArrivalOptions {
  enum class Kind {
    kClosed,    // `concurrency` requests are in flight, always
    kConstant,  // 1 / rate apart
    kPoisson,   // exponential gaps
    kGamma,     // gamma gaps of shape `burstiness`: below 1 in bursts, above 1 more even
  };
  Kind kind = Kind::kClosed;
  int32_t concurrency = 1;  // closed: in flight; open: at most so many, 0 = no limit
  double rate = 0;          // requests a second; of an open loop
  double final_rate = 0;    // > 0: the rate grows (or falls) linearly in time to this
  double burstiness = 1;
  uint64_t seed = 0;
};

// "closed:8", "poisson:2.5", "constant:4", "gamma:4:0.5", and with a ramp "poisson:1-10". Throws
// Error(kUsage) with what was expected.
ArrivalOptions parse_arrivals(std::string_view text);
std::string to_string(const ArrivalOptions& options);

// Seconds since the run's start at which `count` requests of an open loop are due, ascending. The
// same for the same options on every machine. Without a ramp the gaps are scaled so that the last
// request is due at (count - 1) / rate: a run of few requests has the rate that was asked for.
std::vector<double> arrival_times(const ArrivalOptions& options, int64_t count);

}  // namespace mica
