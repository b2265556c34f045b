// Kept runs as metrics of other systems: the Pushgateway's text and OTLP's JSON. Figures and what
// was measured; no text of prompts, answers or errors.
#pragma once

#include <string>
#include <string_view>

#include "bench/results/run_record.h"

namespace mica {

// "/metrics/job/mica/run/ID": the group of a run's metrics, which a PUT replaces. Base64 where the
// id can't stand in a path.
std::string pushgateway_path(const std::string& id);

// Prometheus's text format, version 0.0.4. Gauges with the run's labels; the Pushgateway adds job
// and run. Names end in units: mica_ttft_seconds{statistic="p99",…}.
inline constexpr const char* kExpositionType = "text/plain; version=0.0.4; charset=utf-8";
std::string exposition_text(const RunRecord& run);

// An ExportMetricsServiceRequest. The labels are attributes of the resource, whose
// service.instance.id is the run; all points have the time of the run's start.
std::string otlp_json(const RunRecord& run);

// What a server that took such a request says it left out: "3 data points: too old"; empty:
// nothing, or an answer that does not say.
std::string otlp_refusal(std::string_view answer);

}  // namespace mica
