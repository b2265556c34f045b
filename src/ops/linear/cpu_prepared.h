// The CPU's prepared form of a linear layer. Layout: cpu_layout.h.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/threads.h"

namespace mica {

std::unique_ptr<PreparedLinear> prepare_cpu(const LinearWeights& weights, Isa isa,
                                            ThreadPool& threads);

}  // namespace mica
