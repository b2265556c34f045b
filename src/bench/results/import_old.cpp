#include "bench/results/import_old.h"

#include <algorithm>
#include <filesystem>

#include "bench/results/json_node.h"
#include "checkpoint/hub/digest.h"

namespace mica {
namespace {

struct Engine {
  const char* label;    // as the scripts call it
  const char* backend;  // as Mica does
};
constexpr Engine kEngines[] = {
    {"vllm-server", "vllm"},
    {"llama-server", "llamacpp"},
    {"trtllm-server", "trtllm"},
    {"sglang-server", "sglang"},
    {"exllamav3-tabbyapi", "exllamav3"},
    {"ktransformers-server", "ktransformers"},
    {"mlx-server", "mlx-lm"},
};

// What the engine said about each request; how it came to be depends on the engine.
struct Series {
  const char* key;   // of an iteration
  const char* name;  // of the series
  const char* unit;
  double scale;  // to the unit
};
constexpr Series kSeries[] = {
    {"ttft_ms", "ttft", "s", 1e-3},         {"prefill_ms", "prefill", "s", 1e-3},
    {"generation_ms", "decode", "s", 1e-3}, {"generation_tok_per_s", "decode_rate", "tok/s", 1},
    {"tpot_ms", "tpot", "s", 1e-3},         {"e2e_latency_ms", "e2e", "s", 1e-3},
};

// The first of the members that is there.
std::optional<JsonNode> find_any(const JsonNode& node, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (auto found = node.find(key)) return found;
  return std::nullopt;
}

// Scalars as they are written.
std::string plain(const JsonNode& node) {
  return node.json().is_string() ? node.text() : dump(node.json());
}

class Import {
 public:
  Import(const JsonNode& file, const std::string& source) : file_(file) {
    run_.imported.emplace();
    run_.imported->program = "old bench scripts";
    run_.imported->file = std::filesystem::path(source).filename().string();
  }

  RunRecord run(std::string_view text) {
    read_identity();
    read_config();
    read_machine();
    read_iterations();
    set_id(text);
    say_what_is_missing();
    conclude(run_);
    return std::move(run_);
  }

 private:
  void missing(std::string what) { run_.imported->missing.push_back(std::move(what)); }
  void read_identity();
  void read_config();
  void read_machine();
  void read_gpu(const JsonNode& node);
  void read_iterations();
  void read_iteration(const JsonNode& node, double& time);
  void set_id(std::string_view text);
  void say_what_is_missing();

  const JsonNode& file_;
  RunRecord run_;
  std::string label_, mode_;
};

void Import::read_identity() {
  ModelRecord& model = run_.provenance.model;
  model.id = file_.at("repo_id").text();
  file_.read("revision", model.revision);
  label_ = file_.at("engine").text();
  run_.plan.backend = label_;
  for (const Engine& engine : kEngines)
    if (label_ == engine.label) run_.plan.backend = engine.backend;
  file_.read("mode", mode_);
  run_.plan.values.push_back({"model", model.id, "repo_id"});
  if (const auto reference = file_.find("model_ref"))
    run_.plan.values.push_back({"model_ref", plain(*reference), "model_ref"});
}

// prompt_set, prompt, max_tokens, temperature and backend_version are in every file, the rest
// depends on the engine and is kept as it is.
void Import::read_config() {
  WorkloadRecord& workload = run_.workload;
  workload.name = mode_;
  workload.arrivals = "closed:1";
  workload.cache = "warm";
  const auto config = file_.find("config");
  if (!config) return;
  for (const auto& [key, value] : config->members()) {
    if (key == "prompt") {
      workload.prompts_hash = "sha256:" + hub::sha256(plain(value));
      continue;
    }
    if (value.json().is_null()) continue;
    if (key == "prompt_set") workload.name = plain(value) + (mode_.empty() ? "" : ", " + mode_);
    if (key == "max_tokens") workload.output_tokens = value.integer();
    const bool of_request = key == "prompt_set" || key == "max_tokens" || key == "temperature";
    if (of_request)
      workload.more.emplace_back(key, plain(value));
    else
      run_.plan.values.push_back({key, plain(value), "config"});
  }
}

void Import::read_gpu(const JsonNode& node) {
  gpu::GpuFacts gpu;
  const auto set = [&](const char* field, std::initializer_list<const char*> keys) {
    if (const auto value = find_any(node, keys)) gpu::set_gpu_field(gpu, field, plain(*value));
  };
  set("index", {"index", "id"});
  set("name", {"name"});
  set("memory.total", {"memory_total_mib", "total_mib", "memory_total_mb", "memory_total"});
  set("memory.used", {"memory_used_mib", "used_mib", "memory_used_mb", "memory_used"});
  set("pcie.link.gen.max", {"pcie_gen_max", "pcie_gen", "pcie_generation"});
  set("pcie.link.width.current", {"pcie_width", "pcie_width_current"});
  if (gpu.index < 0) gpu.index = static_cast<int>(run_.provenance.gpus.size());
  run_.provenance.gpus.push_back(std::move(gpu));
}

void Import::read_machine() {
  for (const char* key : {"gpu_info", "environment"}) {
    const auto info = file_.find(key);
    if (!info || !info->json().is_object()) continue;  // a text says why nothing was learnt
    if (const auto driver = find_any(*info, {"driver_version", "driver"}))
      run_.provenance.driver = plain(*driver);
    const auto gpus = find_any(*info, {"gpus", "devices"});
    if (gpus && gpus->json().is_array() && run_.provenance.gpus.empty())
      for (const JsonNode& gpu : gpus->items()) read_gpu(gpu);
  }
}

void Import::read_iteration(const JsonNode& node, double& time) {
  RequestSample& record = run_.requests.emplace_back();
  record.id = static_cast<int64_t>(run_.requests.size()) - 1;
  record.status = RequestStatus::kOk;
  record.sent = time;
  const JsonNode wall = node.at("wall_s");
  if (wall.number() < 0 || wall.number() > 1e6) wall.wrong("seconds");
  time += wall.number();
  record.ended = time;
  const auto read_count = [&](const char* key, int64_t& count) {
    const auto value = node.find(key);
    if (!value) return;
    count = value->integer();
    if (count < 0 || count > 1'000'000'000) value->wrong("a number of tokens");
  };
  read_count("prompt_tokens", record.prompt_tokens);
  read_count("generated_tokens", record.completion_tokens);
  if (run_.workload.output_tokens > 0) record.wanted_output = run_.workload.output_tokens;
  if (const auto text = find_any(node, {"output_text", "output", "text", "response"}))
    record.answer = plain(*text);
}

void Import::read_iterations() {
  const std::vector<JsonNode> iterations = file_.at("iterations").items();
  double time = 0;
  for (const JsonNode& iteration : iterations) read_iteration(iteration, time);
  run_.workload.requests = static_cast<int64_t>(iterations.size());
  for (const Series& series : kSeries) {
    SeriesRecord record{series.name, series.unit, label_ + ": " + series.key, {}, {}};
    for (const JsonNode& iteration : iterations)
      if (const auto value = iteration.find(series.key))
        record.values.push_back(series.scale * value->number());
    if (!record.values.empty()) run_.server.push_back(std::move(record));
  }
}

// "2025-12-21T10:11:12.123456" and "2025-12-21 10:11:12" become "20251221T101112.000Z-…".
void Import::set_id(std::string_view text) {
  std::string digits;
  if (const auto timestamp = file_.find("timestamp"))
    for (const char c : plain(*timestamp))
      if (c >= '0' && c <= '9' && digits.size() < 14) digits += c;
  digits.resize(14, '0');
  const std::string_view d = digits;
  run_.id =
      fmt::format("{}T{}.000Z-{}", d.substr(0, 8), d.substr(8), hub::sha256(text).substr(0, 8));
  run_.started = fmt::format("{}-{}-{}T{}:{}:{}.000Z", d.substr(0, 4), d.substr(4, 2),
                             d.substr(6, 2), d.substr(8, 2), d.substr(10, 2), d.substr(12, 2));
  run_.state = RunState::kFinished;
  std::string layout;
  for (const char* key : {"gpu_info", "environment", "revision"})
    if (file_.find(key)) layout += (layout.empty() ? "" : "+") + std::string(key);
  run_.imported->layout = layout.empty() ? "plain" : layout;
}

void Import::say_what_is_missing() {
  missing("Answers were not streamed: no TTFT, ITL or decode rate of the client.");
  missing("When each request was sent: they are put one after another.");
  missing("The warm-up request, and whether prompts were cached: all had the same text.");
  missing("Command line, environment, image digest, the version that the engine reports.");
  missing("Hashes of the model's files, processor, memory, kernel, clocks and power limit.");
  missing("The time zone of its timestamp: it is taken as UTC.");
  if (run_.provenance.gpus.empty()) missing("The GPUs.");
  if (run_.server.empty()) missing("Any figure of the engine itself.");
  run_.marks.push_back({Severity::kWarning, "same_prompt",
                        "warm-up and all requests had the same prompt: an engine with a prefix "
                        "cache did not compute "
                        "it again, and its TTFT is that of a cache hit"});
}

}  // namespace

bool is_old_result(std::string_view text) {
  const OrderedJson json = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.contains("iterations") && !json.contains("schema_version");
}

RunRecord import_old_result(std::string_view text, const std::string& source) {
  const OrderedJson json = parse_document(text, source);
  const JsonNode file(json, source + ": ");
  return Import(file, source).run(text);
}

}  // namespace mica
