// What a report says of one run beside its figures, a sentence each.
#pragma once

#include <string>
#include <vector>

#include "bench/results/run_record.h"

namespace mica {

// Of each GPU: "GPU 0 (NVIDIA H100): 20.0 GiB of memory at most; 300 W in the mean; …"; and
// "the engine's own (/metrics): requests 6, generated tokens 30, first token mean 4.2 ms".
std::vector<std::string> details_of(const RunRecord& run);

}  // namespace mica
