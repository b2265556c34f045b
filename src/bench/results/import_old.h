// Result files of the scripts that came before Mica's workbench, in each of their layouts.
#pragma once

#include <string>
#include <string_view>

#include "bench/results/run_record.h"

namespace mica {

// Is this JSON object one of theirs? It has iterations and no schema_version.
bool is_old_result(std::string_view text);

// A run with what the file says; RunRecord::imported lists what it can't say. The same file gives
// the same id. Throws Error(kUsage) with the place.
RunRecord import_old_result(std::string_view text, const std::string& source);

}  // namespace mica
