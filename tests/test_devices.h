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

// Where a test of a whole model runs.
struct ModelDevice {
  std::string name;
  bool deterministic = false;
  bool is_gpu() const { return name == "simt" || name.rfind("cuda", 0) == 0; }
  // Whether a sequence has the same bits whatever runs beside it, and in however many steps.
  bool keeps_bits() const { return !is_gpu() || deterministic; }
};

inline std::vector<ModelDevice> model_devices() {
  if (const std::string asked = asked_test_device(); !asked.empty())
    return {{asked, false}, {asked, true}};
  return {{"ref"}, {"cpu"}, {"simt", false}, {"simt", true}};
}

// A name for GoogleTest: "simt_deterministic_llama_bf16".
inline std::string case_name(const ModelDevice& device, const std::string& label) {
  std::string name = device.name + (device.deterministic ? "_deterministic_" : "_") + label;
  for (char& c : name)
    if (c == '-' || c == ':') c = '_';
  return name;
}

}  // namespace mica
