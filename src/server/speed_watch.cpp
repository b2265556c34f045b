#include "server/speed_watch.h"

#include <fmt/core.h>

namespace mica {

namespace {

constexpr double kTooSlow = 3;
constexpr uint64_t kLeastSteps = 100;
// Kernels of a layer, and what starting one inside a graph costs: an upper estimate, so that small
// models, whose steps are all starts, are not blamed.
constexpr double kKernelsPerLayer = 14, kLaunchSeconds = 4e-6;

}  // namespace

SpeedWatch::SpeedWatch(double bandwidth, int64_t layers)
    : bandwidth_(bandwidth),
      launch_seconds_(static_cast<double>(layers + 1) * kKernelsPerLayer * kLaunchSeconds) {}

std::optional<std::string> SpeedWatch::check(const EngineStats& now) {
  const uint64_t steps = now.decode_steps - before_.decode_steps;
  if (bandwidth_ <= 0 || steps < kLeastSteps) return std::nullopt;
  const double seconds = now.decode_seconds - before_.decode_seconds;
  const double bytes = now.decode_bytes - before_.decode_bytes;
  before_ = now;
  const double expected = bytes / bandwidth_ + static_cast<double>(steps) * launch_seconds_;
  if (seconds <= kTooSlow * expected) return std::nullopt;
  const double count = static_cast<double>(steps);
  return fmt::format(
      "decode is slow: {:.2f} ms a step over {} steps, the device's {:.0f} GB/s allow about {:.2f} "
      "ms; another process on the GPU, low clocks or a busy host? `mica doctor` tells more",
      1e3 * seconds / count, steps, bandwidth_ / 1e9, 1e3 * expected / count);
}

}  // namespace mica
