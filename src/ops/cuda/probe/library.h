// For the two children of probe_gpus(): a library of the driver, and how what it says is told.
#pragma once

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "ops/cuda/probe/parts.h"

namespace mica::gpu {

using Emit = ChildProcess::Emit;

// One line of the child, read by told.cpp.
template <typename... Parts>
void tell(const Emit& emit, const Parts&... parts) {
  std::string line;
  ((line += (line.empty() ? "" : "\t") + fmt::format("{}", parts)), ...);
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  emit(line + "\n");
}

// The library, after telling where it is or why it is not; null in the second case.
void* open_library(const std::string& name, const Emit& emit);

template <typename Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

}  // namespace mica::gpu
