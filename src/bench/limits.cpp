#include "bench/limits.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/device_draw.h"
#include "checkpoint/synthetic.h"
#include "ops/linear/linear.h"

namespace mica {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

// Memory of the device, larger than its caches where there is room.
struct ReadProbe::OnDevice {
  static constexpr size_t kMost = size_t{2} << 30, kLeast = size_t{1} << 20;
  static constexpr double kPassSeconds = 1e-3;

  explicit OnDevice(Backend& backend)
      : backend(backend), sums(backend.allocate(kSums * sizeof(int32_t))) {
    // Doubled until a pass takes long enough: an emulated device needs no gigabytes.
    const size_t room = std::clamp(backend.info().memory_free / 4, kLeast, kMost);
    for (size_t bytes = kLeast;; bytes = std::min(2 * bytes, room)) {
      data.reset();
      data = backend.allocate(bytes);
      pass();
      if (bytes == room || pass() > kPassSeconds) break;
    }
  }

  double pass() {
    const auto start = std::chrono::steady_clock::now();
    const auto words = static_cast<int64_t>(data.size() / sizeof(int32_t));
    backend.ops().read_all(backend, {data.data(), DType::kI32, {words}},
                           {sums.data(), DType::kI32, {kSums}});
    backend.synchronize();
    return seconds_since(start);
  }

  static constexpr int64_t kSums = 4096;
  Backend& backend;
  Buffer sums, data;
};

ReadProbe::ReadProbe(Backend& backend)
    : device_(backend.ops().read_all ? std::make_unique<OnDevice>(backend) : nullptr),
      threads_(backend.info().threads) {}

ReadProbe::~ReadProbe() = default;

BandwidthProbe ReadProbe::measure(int passes) {
  if (!device_) return probe_read_bandwidth(threads_, passes);
  std::vector<double> rates;
  for (int i = 0; i < passes; ++i)
    rates.push_back(static_cast<double>(device_->data.size()) / device_->pass());
  std::sort(rates.begin(), rates.end());
  return {rates[rates.size() / 2], rates.back(), device_->data.size(), 0};
}

namespace {

// Random values in the backend's memory: constant ones take less power, and a GPU then runs faster.
Buffer random_matrix(Backend& backend, DType dtype, int64_t size) {
  Draw draw = {.kind = DrawKind::kNormal,
               .out = {nullptr, dtype, {size, size}},
               .scale = 1 / std::sqrt(static_cast<float>(size))};
  Buffer buffer = backend.allocate(draw.out.bytes());
  if (backend.ops().draw) {
    draw.out.data = buffer.data();
    backend.ops().draw(backend, draw);
    return buffer;
  }
  const Buffer host = allocate_host(draw.out.bytes());
  draw.out.data = host.data();
  draw_on_host(draw, 0);
  backend.upload(buffer.data(), host.data(), host.size());
  return buffer;
}

std::unique_ptr<PreparedLinear> random_layer(Backend& backend, int64_t size) {
  SyntheticWeights source({.scheme = {}, .dtype = DType::kBF16}, drawing_device(backend));
  auto prepared = backend.prepare(source.linear("w", size, size));
  backend.synchronize();
  return prepared;
}

// Seconds of one product of [size, size] weights with `size` tokens; the best of some.
double product_seconds(Backend& backend, int64_t size) {
  const auto weights = random_layer(backend, size);
  const DType dtype = backend.activation_dtype(DType::kBF16);
  const Shape shape{size, size};
  const Buffer x = random_matrix(backend, dtype, size), y = random_matrix(backend, dtype, size);
  const LinearTarget target{weights.get(), {y.data(), dtype, shape}, false};
  double best = 1e9;
  for (int i = 0; i < 4; ++i) {  // the first warms up
    backend.synchronize();
    const auto start = std::chrono::steady_clock::now();
    backend.ops().linear(backend, {{x.data(), dtype, shape}, {&target, 1}});
    backend.synchronize();
    if (i > 0) best = std::min(best, seconds_since(start));
  }
  return best;
}

}  // namespace

ProductPeak measure_product_peak(Backend& backend) {
  constexpr double kLongEnough = 0.05;  // seconds: larger sizes would gain nothing
  ProductPeak peak;
  for (int64_t size = 256; size <= 8192; size *= 2) {
    const double seconds = product_seconds(backend, size);
    const double cubed = static_cast<double>(size) * static_cast<double>(size * size);
    if (2 * cubed / seconds > peak.operations_per_second) peak = {2 * cubed / seconds, size};
    if (seconds > kLongEnough) break;
  }
  return peak;
}

}  // namespace mica
