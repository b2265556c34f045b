// On which devices tests of whole models and of GPU kernels run.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

namespace mica {

// $MICA_TEST_DEVICE, such as "cuda:0" (scripts/gpu-check.sh), or empty. Tests of models then run on
// that device alone, and tests of kernels on it in place of the emulator.
inline std::string asked_test_device() {
  const char* device = std::getenv("MICA_TEST_DEVICE");
  return device ? device : "";
}

inline bool tests_a_gpu() {
  return asked_test_device().rfind("cuda", 0) == 0;
}

// The asked device, or else `usual`.
inline std::vector<std::string> test_devices(std::vector<std::string> usual) {
  if (const std::string device = asked_test_device(); !device.empty()) return {device};
  return usual;
}

}  // namespace mica
