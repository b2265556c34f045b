// What this processor can do, found at run time.
#pragma once

#include <string>

namespace mica {

// Ordered: a processor that has one has those before it.
enum class Isa {
  kPortable,    // plain C++
  kAvx2,        // AVX2, FMA, F16C
  kAvx512Vnni,  // AVX-512 F, BW, DQ, VL, VNNI
  kAvx512Bf16,  // and AVX-512 BF16
};

constexpr Isa kAllIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kAvx512Bf16};

const char* name(Isa isa);  // "portable", "avx2", "avx512", "avx512bf16"

// The best set of this processor.
Isa best_isa();

// The set named by BackendOptions::isa. "" is the best but for avx512bf16, which rounds activations
// of bf16 layers to bf16 (as MLX does) and so is only taken when asked for. Throws Error(kUsage)
// for an unknown name and Error(kDevice) where the processor lacks it.
Isa choose_isa(const std::string& name);

// Threads to use by default: distinct physical cores in the affinity mask, at most the cgroup's
// CPU quota, at least 1.
int default_threads();

// A hint inside a spin loop.
void cpu_relax();

}  // namespace mica
