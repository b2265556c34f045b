#include "cli/bench_cells.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "bench/plan/resolver.h"
#include "bench/plan/show.h"
#include "bench/results/provenance.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

// "a,b" as two, unless it is the path of one.
std::vector<std::string> names_of(const std::string& text) {
  std::error_code ignored;
  if (fs::exists(text, ignored)) return {text};
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    names.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

// "BACKEND=VALUE" of a flag; the backend empty for a plain value.
struct Assigned {
  std::string backend, value;
};

// A word of another kind may have '=' as well: only a backend's name makes it one of these.
Assigned assigned(const std::string& text, const BackendTable& table) {
  const size_t equals = text.find('=');
  const std::string head = text.substr(0, std::min(equals, text.size()));
  const bool is_name = equals != text.npos && !head.empty() &&
                       head.find_first_of(":/.@ ") == head.npos && table.find(head);
  if (!is_name) return {"", text};
  return {table.get(head).name, text.substr(equals + 1)};
}

// One of --backend: its name in the table, and its own model where it has one.
struct NamedBackend {
  std::string name, model;
};

NamedBackend named(const std::string& text, const BackendTable& table) {
  const size_t colon = text.find(':');
  return {table.get(text.substr(0, colon)).name, colon == text.npos ? "" : text.substr(colon + 1)};
}

// A URL of one backend among several must say whose it is.
void check_urls(const CellInputs& inputs, const BackendTable& table) {
  for (const std::string& text : inputs.urls)
    if (inputs.backends.size() > 1 && assigned(text, table).backend.empty())
      throw Error(ErrorKind::kUsage,
                  "[bench] --url: expected BACKEND=URL with one of the backends, found '{}'", text);
}

std::string label_of(const LaunchPlan& plan, const std::string& model, bool models, bool profiles) {
  std::string label = plan.backend;
  if (models) label += " " + fs::path(model).filename().string();
  if (profiles) label += " " + (plan.profile.empty() ? "no profile" : plan.profile);
  return label;
}

void warn_of_room(const LaunchPlan& plan, const CellNeeds& needs) {
  if (plan.context > 0 && plan.context < needs.longest)
    log_warning(
        "[{}] sequences have room for {} tokens, and the load asks for up to {}: requests may be "
        "refused or cut",
        plan.backend, plan.context, needs.longest);
}

// Whether the user wants part of the weights elsewhere: then their absence shows nothing.
bool wants_offload(const LaunchPlan& plan) {
  return std::ranges::any_of(plan.arguments, [](const PlanArgument& argument) {
    const std::string& flag = argument.words.at(0);
    const bool offloads = flag == "-ngl" || flag == "-ot" || flag.ends_with("gpu-layers") ||
                          flag.ends_with("override-tensor") || flag.ends_with("cpu-moe") ||
                          flag.find("offload") != flag.npos;
    return offloads && !argument.origin.text.starts_with("backend ");
  });
}

bool on_processor(const LaunchPlan& plan) {
  return std::ranges::any_of(plan.arguments, [](const PlanArgument& argument) {
    return argument.words == std::vector<std::string>{"--device", "cpu"};
  });
}

std::string gib(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// What the engine should do on GPUs, by its plan and the model's files. What does not fit by the
// estimate is started all the same: a warning of the plan.
void expect_of_gpus(ResolvedPlan& resolved, const BackendDescriptor& descriptor,
                    const PlanFacts& facts, const PlanRequest& request, MatrixBackend& out) {
  const std::vector<PlanGpu> gpus = used_gpus(resolved.plan, descriptor, facts, request.gpus);
  if (on_processor(resolved.plan)) out.gpu.gpus = 0;
  if (gpus.empty() || on_processor(resolved.plan)) return;
  for (const PlanGpu& gpu : gpus) out.gpu_plan.gpus.push_back(gpu.index);
  out.gpu.gpus = static_cast<int>(gpus.size());
  if (resolved.model) out.prefill = prefill_limit(*resolved.model, gpus);
  const auto fit = fit_plan(resolved, descriptor, facts, request.gpus);
  if (!fit) return;
  if (!wants_offload(resolved.plan)) out.gpu.weight_mib = static_cast<int64_t>(fit->weights >> 20);
  out.gpu_plan.estimated = fit->needed;
  if (resolved.plan.memory_fraction > 0)
    out.gpu_plan.reserved = resolved.plan.memory_fraction;
  else if (descriptor.memory.fraction < 1)
    out.gpu_plan.reserved = descriptor.memory.fraction;
  if (fit->known && !fit->fits)
    resolved.plan.warnings.push_back(
        fmt::format("by the estimate it does not fit: {} are needed and {} available; `mica plan` "
                    "says what would",
                    gib(fit->needed), gib(fit->available)));
}

class CellMaker {
 public:
  CellMaker(const CellInputs& inputs, const CellNeeds& needs, CellTexts& texts)
      : inputs_(inputs),
        needs_(needs),
        texts_(texts),
        table_(backend_table(inputs.plan)),
        file_(models_file(inputs.plan, table_)),
        facts_(plan_facts(inputs.plan)),
        models_(names_of(inputs.models)),
        profiles_(names_of(inputs.plan.request.profile)) {
    for (const std::string& text : inputs.backends) backends_.push_back(named(text, table_));
    check_urls(inputs, table_);
  }

  std::vector<MatrixBackend> run() {
    for (const std::string& model : models_)
      for (const NamedBackend& backend : backends_)
        // One with weights of its own has only these.
        if (backend.model.empty() || &model == &models_.front())
          for (const std::string& profile : profiles_) add(model, backend, profile);
    // The same texts for all: a backend whose file has no tokenizer gets the first one's.
    for (MatrixBackend& cell : cells_)
      if (const auto first = common_.find(cell.asked); !cell.text && first != common_.end())
        cell.text = first->second;
    return std::move(cells_);
  }

 private:
  std::string value_of(const char* flag, const std::vector<std::string>& words,
                       const std::string& backend) const {
    std::string found;
    for (const std::string& word : words) {
      const Assigned each = assigned(word, table_);
      const bool known = each.backend.empty() ||
                         std::any_of(backends_.begin(), backends_.end(),
                                     [&](const auto& b) { return b.name == each.backend; });
      if (!known)
        throw Error(ErrorKind::kUsage, "[bench] {} {}={}: {} is not among those of --backend", flag,
                    each.backend, flag == std::string("--api-key") ? "***" : each.value,
                    each.backend);
      if (each.backend.empty() || each.backend == backend) found = each.value;
    }
    return found;
  }

  PlanRequest request_of(const std::string& model, const NamedBackend& backend,
                         const std::string& profile, const std::string& key) const {
    PlanRequest request = plan_request(inputs_.plan);
    request.backend = backend.name;
    request.profile = profile;
    if (needs_.concurrency > 0) request.needs["concurrency"] = std::to_string(needs_.concurrency);
    if (needs_.context > 0) request.needs["context"] = std::to_string(needs_.context);
    request.port = value_of("--port", inputs_.ports, backend.name);
    request.image = value_of("--image", inputs_.images, backend.name);
    request.version = value_of("--backend-version", inputs_.versions, backend.name);
    request.model = backend.model.empty() ? model : backend.model;
    request.url = value_of("--url", inputs_.urls, backend.name);
    if (!request.url.empty()) {
      request.mode = LaunchMode::kAttach;
      ask_served_name(request, key);
      if (request.model.empty()) request.model = request.settings["served_name"];
    }
    if (request.model.empty())
      throw Error(ErrorKind::kUsage,
                  "bench: which model? A folder, org/name or a name of the models file goes before "
                  "--backend");
    return request;
  }

  void add(const std::string& model, const NamedBackend& backend, const std::string& profile) {
    const std::string key = value_of("--api-key", inputs_.keys, backend.name);
    const PlanRequest request = request_of(model, backend, profile, key);
    ResolvedPlan resolved = resolve_plan(request, table_, file_, facts_);
    MatrixBackend& cell = cells_.emplace_back();
    expect_of_gpus(resolved, table_.get(backend.name), facts_, request, cell);
    for (const std::string& warning : resolved.plan.warnings)
      log_warning("[{}] {}", backend.name, warning);
    warn_of_room(resolved.plan, needs_);
    cell.label = label_of(resolved.plan, request.model, models_.size() > 1, profiles_.size() > 1);
    if (!labels_.insert(cell.label).second)
      throw Error(ErrorKind::kUsage, "[bench] '{}' twice: each backend, model and profile once",
                  cell.label);
    cell.asked = model;
    cell.key = key;
    cell.text = texts_.of(resolved.place);
    if (cell.text) common_.try_emplace(model, cell.text);
    if (resolved.place.is_here()) cell.model = record_model(resolved.place.path());
    if (resolved.model) cell.model.parameters = resolved.model->parameters;
    cell.plan = std::move(resolved.plan);
  }

  const CellInputs& inputs_;
  const CellNeeds& needs_;
  CellTexts& texts_;
  const BackendTable table_;
  const ModelsFile file_;
  const PlanFacts facts_;
  const std::vector<std::string> models_, profiles_;
  std::vector<NamedBackend> backends_;
  std::vector<MatrixBackend> cells_;
  std::set<std::string> labels_;
  std::map<std::string, const TextModel*> common_;  // by the model that was asked for
};

}  // namespace

const TextModel* CellTexts::of(const ModelPlace& place) {
  if (!place.is_here() || !fs::exists(place.folder / "tokenizer.json")) return nullptr;
  std::unique_ptr<TextModel>& text = texts_[place.folder.string()];
  if (!text) text = std::make_unique<TextModel>(place.folder, std::vector<int32_t>{});
  return text.get();
}

std::vector<MatrixBackend> resolve_cells(const CellInputs& inputs, const CellNeeds& needs,
                                         CellTexts& texts) {
  return CellMaker(inputs, needs, texts).run();
}

}  // namespace mica
