// What a backend's device can do at best, as measured on it: speeds are held against these.
#pragma once

#include <memory>

#include "bench/bandwidth.h"
#include "ops/backend.h"

namespace mica {

// Reads of the memory that the backend's weights lie in. A GPU's is read by a kernel, other
// backends' by threads of this process.
class ReadProbe {
 public:
  explicit ReadProbe(Backend& backend);
  ~ReadProbe();
  BandwidthProbe measure(int passes);

 private:
  struct OnDevice;
  std::unique_ptr<OnDevice> device_;  // null: host memory
  int threads_;
};

// The largest dense product of bf16 weights that a device gets: 2 operations for each of rows x
// columns x tokens. On a GPU that is the vendor's product (cuBLASLt), whose best of several sizes
// stands for the arithmetic peak; elsewhere it is Mica's own.
struct ProductPeak {
  double operations_per_second = 0;
  int64_t size = 0;  // tokens, rows and columns of the fastest
};
ProductPeak measure_product_peak(Backend& backend);

}  // namespace mica
