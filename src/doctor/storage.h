// The hub's cache and the file system that holds it, asked in a process of its own: a network file
// system may hang.
#pragma once

#include <filesystem>

#include "base/process.h"
#include "doctor/facts.h"

namespace mica::doctor {

ChildProcess start_storage(const std::filesystem::path& cache);
void read_storage(ProcessResult result, const std::filesystem::path& cache, MachineFacts& facts);

}  // namespace mica::doctor
