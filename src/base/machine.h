// The machine's processor and memory, from files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace mica {

// "AMD EPYC 9354 32-Core Processor", or "CPU". root: of /proc.
std::string processor_name(const std::filesystem::path& root = "/");

struct MemoryFacts {  // bytes
  uint64_t total = 0, available = 0;
  uint64_t limit = 0, used_of_limit = 0;  // of the control group (container); 0: none
};
MemoryFacts read_memory(const std::filesystem::path& root = "/");  // of /proc, /sys

std::string kernel_release();  // "6.1.0-18-amd64"

}  // namespace mica
