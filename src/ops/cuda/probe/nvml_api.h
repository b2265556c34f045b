// What is used of NVML: declarations by nvml.h of the CUDA toolkit, for a library that is opened at
// run time. It keeps old functions for old programs.
#pragma once

namespace mica::gpu {

using NvmlDevice = void*;  // nvmlDevice_t
struct NvmlMemory {        // nvmlMemory_t, bytes
  unsigned long long total, free, used;
};
struct NvmlProcess {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long memory;  // bytes; ~0: not told
  unsigned gpu_instance, compute_instance;
};
struct NvmlPci {  // nvmlPciInfo_t
  char bus_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct NvmlUtilization {  // nvmlUtilization_t, %
  unsigned gpu, memory;
};
struct NvmlProcessUtilization {  // nvmlProcessUtilizationSample_t
  unsigned pid;
  unsigned long long time;                // µs
  unsigned sm, memory, encoder, decoder;  // %
};
constexpr int kNvmlSuccess = 0, kNvmlTooSmall = 7;

}  // namespace mica::gpu
