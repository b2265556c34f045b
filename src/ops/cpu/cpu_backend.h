// The CPU backend: host memory, a thread pool, an instruction set chosen at run time.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/threads.h"

namespace mica {

// `table` must outlive the backend: cpu_ops() in production (cpu_ops.h), a partial one in tests.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options, const Ops& table);

// For the cpu implementations of operations; `backend` must come from make_cpu_backend.
ThreadPool& cpu_threads(Backend& backend);
Isa cpu_isa(Backend& backend);

// Scratch memory of at least `bytes`, 64-byte aligned, content undefined. One piece for the whole
// backend: the next call may move it. It grows and never shrinks.
void* cpu_scratch(Backend& backend, size_t bytes);

}  // namespace mica
