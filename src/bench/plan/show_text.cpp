#include <algorithm>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/show.h"

namespace mica {
namespace {

struct Row {
  std::string name, value, origin;
};

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// Columns as wide as their widest entry, the second at most 60; a longer value takes its origin to
// the next line.
std::string table(const std::vector<Row>& rows) {
  constexpr size_t kMostValue = 60;
  size_t names = 0, values = 0;
  for (const Row& row : rows) {
    names = std::max(names, row.name.size());
    if (row.value.size() <= kMostValue) values = std::max(values, row.value.size());
  }
  std::string text;
  for (const Row& row : rows) {
    const bool breaks = row.value.size() > values;
    text += fmt::format("  {:<{}}  {:<{}}", row.name, names, row.value, breaks ? 0 : values);
    if (!row.origin.empty())
      text += breaks ? fmt::format("\n  {:{}}  {}", "", names + 2 + values, row.origin)
                     : "  " + row.origin;
    while (text.ends_with(' ')) text.pop_back();
    text += "\n";
  }
  return text;
}

void add(std::vector<Row>& rows, const char* name, const std::string& value,
         const std::string& origin = "") {
  if (!value.empty()) rows.push_back({name, value, origin});
}

void add_docker_rows(const LaunchPlan& plan, std::vector<Row>& rows) {
  add(rows, "image", plan.image.value, plan.image.origin.text);
  add(rows, "digest", plan.digest);
  if (plan.build) add(rows, "image is", "built when it is not there", plan.build_context);
  for (const PlanArgument& option : plan.docker_options)
    add(rows, "docker", joined(option.words), option.origin.text);
  for (const PlanMount& mount : plan.mounts)
    add(rows, "mount",
        mount.host + " at " + mount.container + (mount.writable ? "" : ", read-only"),
        mount.origin.text);
}

std::vector<Row> value_rows(const ResolvedPlan& resolved) {
  const LaunchPlan& plan = resolved.plan;
  std::vector<Row> rows;
  add(rows, "backend", plan.backend, name(plan.mode));
  add(rows, "version", plan.backend_version.value, plan.backend_version.origin.text);
  add(rows, "profile", plan.profile);
  add(rows, "model", plan.model.value, plan.model.origin.text);
  add(rows, "revision", plan.revision);
  add(rows, "served as", plan.served_name.value, plan.served_name.origin.text);
  add(rows, "url", plan.url);
  add(rows, "host", plan.host.value, plan.host.origin.text);
  add(rows, "port", plan.port.value, plan.port.origin.text);
  if (plan.mode == LaunchMode::kDocker) add_docker_rows(plan, rows);
  add(rows, "directory", plan.directory);
  for (const PlanFile& file : plan.files) add(rows, "file", file.path, file.origin.text);
  for (const PlanVariable& variable : plan.environment)
    add(rows, "variable", variable.name + "=" + (variable.secret ? "***" : variable.value),
        variable.origin.text);
  for (const PlanArgument& argument : plan.arguments) {
    LaunchPlan one;  // for its masking
    one.mode = LaunchMode::kProcess;
    one.arguments = {argument};
    add(rows, "argument", joined(one.command(true)), argument.origin.text);
  }
  for (const PlanVariable& field : plan.sampling)
    add(rows, "request field", field.name + " = " + field.value, field.origin.text);
  return rows;
}

std::string model_line(const ModelFacts& model) {
  std::string text = fmt::format("{}, {}", model.architecture, model.quantization_text);
  if (model.parameters > 0)
    text += fmt::format(", {:.2f} G parameters", static_cast<double>(model.parameters) / 1e9);
  text += fmt::format(", {:.2f} GB in {} {}", static_cast<double>(model.weight_bytes) / 1e9,
                      model.files, model.files == 1 ? "file" : "files");
  if (model.context > 0) text += fmt::format(", made for {} tokens", model.context);
  return text;
}

std::string gibibytes(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

}  // namespace

std::string shell_quote(const std::string& word) {
  const std::string safe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
  if (!word.empty() && word.find_first_not_of(safe) == word.npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string shell_command(const LaunchPlan& plan) {
  if (plan.mode == LaunchMode::kAttach)
    return "nothing is started; requests go to " + plan.url + "\n";
  std::string text;
  for (const PlanFile& file : plan.files) {
    const std::string folder = std::filesystem::path(file.path).parent_path().string();
    text += fmt::format("mkdir -p {} &&\ncat > {} <<'END'\n{}{}END\n", shell_quote(folder),
                        shell_quote(file.path), file.text, file.text.ends_with('\n') ? "" : "\n");
  }
  if (!plan.directory.empty()) text += "cd " + shell_quote(plan.directory) + " &&\n";
  const char* next = " \\\n    ";
  bool first = true;
  const auto put = [&](const std::string& words) {
    text += (first ? "" : next) + words;
    first = false;
  };
  if (plan.mode == LaunchMode::kProcess)
    for (const PlanVariable& variable : plan.environment)
      put(variable.name + "=" +
          (variable.secret ? "\"$" + variable.name + "\"" : shell_quote(variable.value)));
  for (const std::vector<std::string>& group : plan.grouped_command(true)) {
    std::vector<std::string> quoted;
    std::transform(group.begin(), group.end(), std::back_inserter(quoted), shell_quote);
    put(joined(quoted));
  }
  return text + "\n";
}

std::string fit_to_text(const MemoryFit& fit) {
  const std::string where = fit.on_cpu ? "the host's memory" : counted(fit.gpus, "GPU");
  std::string text = fmt::format(
      "  {} weights + {} keys and values ({} of {} tokens, {} bits) + {} overhead\n  = {} on {}",
      gibibytes(fit.weights), gibibytes(fit.kv), counted(fit.sequences, "sequence"), fit.context,
      fit.kv_bits, gibibytes(fit.overhead), gibibytes(fit.needed), where);
  if (!fit.known) return text + "; how much memory there is, is not known\n";
  text += fmt::format(", which {} {} {}: it {}\n", fit.gpus == 1 ? "has" : "have",
                      gibibytes(fit.available), fit.on_cpu ? "available" : "to use",
                      fit.fits ? "fits" : "does not fit. Any of these would help:");
  for (const std::string& advice : fit.advice) text += "  - " + advice + "\n";
  return text;
}

std::string plan_to_text(const ResolvedPlan& resolved, const std::optional<MemoryFit>& fit) {
  std::string text = shell_command(resolved.plan);
  text += "\nValues, and where they come from\n" + table(value_rows(resolved));
  if (resolved.model) text += "\nModel\n  " + model_line(*resolved.model) + "\n";
  if (fit) text += "\nMemory (an estimate)\n" + fit_to_text(*fit);
  std::vector<std::string> known = resolved.plan.warnings;
  if (!resolved.plan.image_hint.empty()) known.push_back(resolved.plan.image_hint);
  if (resolved.model)
    known.insert(known.end(), resolved.model->notes.begin(), resolved.model->notes.end());
  if (!known.empty()) text += "\nTo know\n";
  for (const std::string& line : known) text += "  - " + line + "\n";
  return text;
}

std::vector<PlanGpu> used_gpus(const LaunchPlan& plan, const BackendDescriptor& backend,
                               const PlanFacts& facts, const std::vector<int>& gpus) {
  std::vector<PlanGpu> used;
  if (plan.mode == LaunchMode::kAttach) return used;
  for (const PlanGpu& gpu : facts.gpus)
    if (gpus.empty() || std::find(gpus.begin(), gpus.end(), gpu.index) != gpus.end())
      used.push_back(gpu);
  if (!backend.setting("tensor_parallel") && backend.memory.split == "tensors" && !used.empty())
    used.resize(1);  // it uses one
  if (plan.gpus > 0 && static_cast<size_t>(plan.gpus) < used.size())
    used.resize(static_cast<size_t>(plan.gpus));
  return used;
}

std::optional<MemoryFit> fit_plan(const ResolvedPlan& resolved, const BackendDescriptor& backend,
                                  const PlanFacts& facts, const std::vector<int>& gpus) {
  const LaunchPlan& plan = resolved.plan;
  if (!resolved.model || plan.mode == LaunchMode::kAttach) return std::nullopt;
  FitQuestion question;
  question.model = *resolved.model;
  question.memory = backend.memory;
  question.gpus = used_gpus(plan, backend, facts, gpus);
  question.context = plan.context;
  question.sequences = plan.concurrency;
  question.kv_bits = plan.kv_bits;
  question.fraction = plan.memory_fraction;
  question.can_quantize_kv = backend.setting("kv_bits") != nullptr;
  question.on_cpu = plan.on_cpu;
  question.gpu_layers = plan.gpu_layers;
  question.offloaded = static_cast<uint64_t>(std::max(plan.cpu_offload_gib, 0.0) * (1 << 30)) *
                       std::max<size_t>(question.gpus.size(), 1);
  question.host_available = facts.host_available;
  question.offload = backend.setting("gpu_layers")    ? "gpu_layers"
                     : backend.setting("cpu_offload") ? "cpu_offload"
                                                      : "";
  return fit_memory(question);
}

}  // namespace mica
