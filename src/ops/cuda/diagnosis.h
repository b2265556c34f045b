// Why CUDA can't be used on this machine.
#pragma once

#include <string>

namespace mica::gpu {

// Throws Error(kDevice) with reason and remedy. `asked` is the device's name as the user gave it;
// `cuda_status` and `status_text` are what the CUDA runtime said.
[[noreturn]] void throw_unusable(const std::string& asked, int cuda_status,
                                 const std::string& status_text);

}  // namespace mica::gpu
