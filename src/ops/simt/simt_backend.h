// The `simt` backend: the complete CUDA backend on the emulator (docs/simt.md).
#pragma once

#include "ops/backend.h"
#include "ops/simt/device.h"

namespace mica::simt {

std::unique_ptr<Backend> make_backend(const BackendOptions& options,
                                      const DeviceOptions& device = {});

}  // namespace mica::simt
