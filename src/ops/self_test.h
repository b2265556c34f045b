// Whether a backend computes what it should on this machine, asked once at start.
#pragma once

#include <string>
#include <vector>

#include "ops/backend.h"

namespace mica {

struct SelfTestCheck {
  std::string name;  // "4-bit product"
  double error = 0;  // ||found - expected|| / ||expected||
  double allowed = 0;
  bool passed() const { return error <= allowed; }  // false for NaN too
};

// A small call of each kernel family against the reference loops, in activations of `dtype`; some
// milliseconds on a GPU.
std::vector<SelfTestCheck> self_test(Backend& backend, DType dtype);

// Throws Error(kDevice) with the first check that failed and what that may mean.
void require_passed(const std::vector<SelfTestCheck>& checks, const DeviceInfo& device);

}  // namespace mica
