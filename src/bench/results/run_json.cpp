#include "bench/results/run_json.h"

#include "bench/results/parts_json.h"

namespace mica {
namespace {

constexpr RunState kStates[] = {RunState::kRunning, RunState::kFinished, RunState::kInterrupted,
                                RunState::kFailed};

OrderedJson import_json(const ImportRecord& import) {
  OrderedJson json = {{"program", import.program}, {"layout", import.layout}};
  put(json, "file", import.file);
  put(json, "missing", import.missing);
  return json;
}

ImportRecord read_import(const JsonNode& node) {
  ImportRecord import;
  node.read("program", import.program);
  node.read("layout", import.layout);
  node.read("file", import.file);
  node.read("missing", import.missing);
  return import;
}

// "key": [one item a line]
template <typename Items, typename Write>
void add_lines(std::string& out, const char* key, const Items& items, Write write) {
  out += fmt::format(",\n\"{}\": [", key);
  const char* separator = "\n";
  for (const auto& item : items) {
    out += separator + dump(write(item));
    separator = ",\n";
  }
  out += "]";
}

template <typename Item>
void read_list(const JsonNode& node, const char* key, std::vector<Item>& items,
               Item (*read)(const JsonNode&)) {
  if (const auto list = node.find(key))
    for (const JsonNode& item : list->items()) items.push_back(read(item));
}

}  // namespace

RunState read_state(const JsonNode& node) {
  const std::string text = node.text();
  for (const RunState state : kStates)
    if (text == name(state)) return state;
  node.wrong("running, finished, interrupted or failed");
}

OrderedJson head_json(const RunRecord& run) {
  OrderedJson json = {{"schema_version", kResultSchemaVersion},
                      {"id", run.id},
                      {"started", run.started},
                      {"state", name(run.state)}};
  put(json, "error", run.error);
  put(json, "group", run.group);
  put(json, "point", run.point);
  if (run.imported) json["imported"] = import_json(*run.imported);
  json["plan"] = plan_json(run.plan);
  json["provenance"] = provenance_json(run.provenance);
  json["workload"] = workload_json(run.workload);
  return json;
}

void read_head(const JsonNode& node, RunRecord& run) {
  const JsonNode version = node.at("schema_version");
  if (version.integer() != kResultSchemaVersion)
    version.wrong(
        fmt::format("schema version {}, which this Mica reads (a newer Mica wrote the "
                    "file?)",
                    kResultSchemaVersion));
  run.id = node.at("id").text();
  run.started = node.at("started").text();
  run.state = read_state(node.at("state"));
  node.read("error", run.error);
  node.read("group", run.group);
  node.read("point", run.point);
  if (const auto import = node.find("imported")) run.imported = read_import(*import);
  if (const auto plan = node.find("plan")) run.plan = read_plan(*plan);
  if (const auto provenance = node.find("provenance"))
    run.provenance = read_provenance(*provenance);
  if (const auto workload = node.find("workload")) run.workload = read_workload(*workload);
}

std::string to_json(const RunRecord& run) {
  std::string out = "{";
  const OrderedJson head = head_json(run);
  const char* separator = "\n";
  for (auto it = head.begin(); it != head.end(); ++it) {
    out += fmt::format("{}{}: {}", separator, dump(it.key()), dump(it.value()));
    separator = ",\n";
  }
  add_lines(out, "phases", run.phases, phase_json);
  add_lines(out, "marks", run.marks, mark_json);
  out += ",\n\"summary\": " + dump(summary_json(run.summary));
  add_lines(out, "requests", run.requests, request_json);
  add_lines(out, "server", run.server, series_json);
  if (!run.gpu_use.empty()) add_lines(out, "gpu_use", run.gpu_use, gpu_use_json);
  add_lines(out, "telemetry", run.telemetry, series_json);
  return out + "\n}\n";
}

RunRecord run_from_json(std::string_view text, const std::string& source) {
  const OrderedJson json = parse_document(text, source);
  const JsonNode node(json, source + ": ");
  RunRecord run;
  read_head(node, run);
  read_list(node, "phases", run.phases, read_phase);
  read_list(node, "marks", run.marks, read_mark);
  if (const auto summary = node.find("summary")) run.summary = read_summary(*summary);
  read_list(node, "requests", run.requests, read_request);
  read_list(node, "server", run.server, read_series);
  read_list(node, "gpu_use", run.gpu_use, read_gpu_use);
  read_list(node, "telemetry", run.telemetry, read_series);
  return run;
}

}  // namespace mica
