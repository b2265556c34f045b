// How much dynamic shared memory kernels ask for on the emulator.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace mica::simt {

// The most bytes of a block with which each kernel was started in this process, by its launch's
// name. Where $MICA_SIMT_SHARED names a file, these are appended to it at exit, a line each.
std::map<std::string, size_t> largest_shared_use();

// For the device: notes a launch that it did not refuse.
void note_shared_use(const char* kernel, size_t bytes);

}  // namespace mica::simt
