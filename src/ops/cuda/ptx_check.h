// A check of the wrappers themselves, for tests and the start-up self-test.
#pragma once

#include "ops/cuda/runtime.h"

namespace mica::gpu {

// Every wrapper of ptx.h once, on 64 threads: what the GPU gives must be what the emulator gives.
struct PtxCheck {
  static constexpr int kThreads = 64;
  static constexpr int kWords = 72;  // results of a thread
  const uint32_t* in = nullptr;      // [kThreads * 4], any bits
  uint32_t* out = nullptr;           // [kThreads, kWords]
  uint32_t* counters = nullptr;      // [4], zero
  bool e4m3 = true;                  // sm_89 and later
};

}  // namespace mica::gpu

namespace mica::cuda {
using gpu::PtxCheck;
void ptx_check(gpu::Stream& stream, const PtxCheck& p);
}  // namespace mica::cuda

namespace mica::simt {
using gpu::PtxCheck;
void ptx_check(gpu::Stream& stream, const PtxCheck& p);
}  // namespace mica::simt
