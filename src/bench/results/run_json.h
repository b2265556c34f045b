// Result files as text. What is not known is left out; readers take missing members as not known
// and ignore members they don't know.
#pragma once

#include <string>
#include <string_view>

#include "bench/results/run_record.h"

namespace mica {

// One member a line; one request, phase, series and mark a line.
std::string to_json(const RunRecord& run);

// Throws Error(kUsage) with `source` and the place: no JSON, another schema_version, a member of
// another type. The summary is read, not made anew.
RunRecord run_from_json(std::string_view text, const std::string& source);

// One request as a line of JSON without a line feed, and back.
std::string to_json(const RequestSample& record);
RequestSample request_from_json(std::string_view text, const std::string& source);

}  // namespace mica
