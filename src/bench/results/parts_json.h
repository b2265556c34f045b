// The parts of a result file.
#pragma once

#include "bench/results/json_node.h"
#include "bench/results/run_record.h"

namespace mica {

OrderedJson request_json(const RequestSample& record);
RequestSample read_request(const JsonNode& node);

OrderedJson plan_json(const PlanRecord& plan);
PlanRecord read_plan(const JsonNode& node);

OrderedJson provenance_json(const Provenance& provenance);
Provenance read_provenance(const JsonNode& node);

OrderedJson workload_json(const WorkloadRecord& workload);
WorkloadRecord read_workload(const JsonNode& node);

OrderedJson phase_json(const PhaseRecord& phase);
PhaseRecord read_phase(const JsonNode& node);

OrderedJson series_json(const SeriesRecord& series);
SeriesRecord read_series(const JsonNode& node);

OrderedJson gpu_use_json(const GpuUseRecord& use);
GpuUseRecord read_gpu_use(const JsonNode& node);

OrderedJson mark_json(const Mark& mark);
Mark read_mark(const JsonNode& node);

OrderedJson summary_json(const RunSummary& summary);
RunSummary read_summary(const JsonNode& node);

RunState read_state(const JsonNode& node);

// id, started, state, error, group, imported, plan, provenance, workload: what is known before the
// first request. The journal's first line.
OrderedJson head_json(const RunRecord& run);
void read_head(const JsonNode& node, RunRecord& run);

}  // namespace mica
