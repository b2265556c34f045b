// mica plan: how a backend would be started, where every value comes from, whether it fits.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "bench/plan/import.h"
#include "bench/plan/numbers.h"
#include "bench/plan/show.h"
#include "cli/commands.h"
#include "cli/plan_inputs.h"

namespace mica {
namespace {

struct PlanFlags {
  PlanInputs inputs;
  std::string format = "text";
  bool list_backends = false;
  std::vector<std::string> import_from;
  std::string output;
};

void list_backends(const BackendTable& table) {
  for (const BackendDescriptor& backend : table.all()) {
    std::string formats;
    for (const std::string& format : backend.formats)
      formats += (formats.empty() ? "" : ", ") + format;
    std::printf("%-14s %-36s %-20s %s\n", backend.name.c_str(), backend.title.c_str(),
                formats.c_str(), backend.version.c_str());
  }
}

void run_import(const PlanFlags& flags, const BackendTable& table) {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  std::vector<std::string> texts;
  for (const std::string& path : flags.import_from)
    texts.push_back(read_text_file(path, kMaxBytes));
  std::vector<ImportSource> sources;
  for (size_t i = 0; i < texts.size(); ++i) sources.push_back({texts[i], flags.import_from[i]});
  const ImportedModels imported = import_models(sources, table);
  for (const std::string& line : imported.report) std::fprintf(stderr, "%s\n", line.c_str());
  if (flags.output.empty()) {
    std::fputs(imported.yaml.c_str(), stdout);
  } else {
    if (std::filesystem::exists(flags.output))
      throw Error(ErrorKind::kUsage, "[plan] --output {}: it is there already", flags.output);
    write_text_file(flags.output, imported.yaml);
    std::fprintf(stderr, "%s: %zu notes, see above\n", flags.output.c_str(),
                 imported.report.size());
  }
}

void run_plan(const PlanFlags& flags) {
  const BackendTable table = backend_table(flags.inputs);
  if (flags.list_backends) return list_backends(table);
  if (!flags.import_from.empty()) return run_import(flags, table);
  if (flags.inputs.request.model.empty())
    throw Error(ErrorKind::kUsage,
                "[plan] which model? A path, org/name, or a name of the models "
                "file; `mica plan --help` shows the flags");
  const ModelsFile models = models_file(flags.inputs, table);
  const PlanFacts facts = plan_facts(flags.inputs);
  const PlanRequest request = plan_request(flags.inputs);
  const ResolvedPlan resolved = resolve_plan(request, table, models, facts);
  const std::optional<MemoryFit> fit =
      fit_plan(resolved, table.get(resolved.plan.backend), facts, request.gpus);
  const std::string text =
      flags.format == "json" ? plan_to_json(resolved, fit) + "\n" : plan_to_text(resolved, fit);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (fit && fit->known && !fit->fits)
    throw Error(ErrorKind::kOutOfMemory, "[plan] the model does not fit, see above");
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto flags = std::make_shared<PlanFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand(
      "plan", "How a backend would be started for a model: the command, why, and whether it fits");
  add_plan_flags(*command, flags->inputs);
  command->add_option("--format", flags->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_flag("--list-backends", flags->list_backends, "The backends and what they read");
  command
      ->add_option("--import-config", flags->import_from,
                   "Models file (and server.yaml) of the Python scripts: prints it as a models "
                   "file of Mica, and what became of each key on standard error")
      ->check(CLI::ExistingFile);
  command->add_option("--output", flags->output, "File that --import-config writes");
  command->footer(
      "Nothing is started. Exit status: 0; 2 for flags, names and combinations that can't be; 3 "
      "when\n"
      "the model does not fit; 4 when it is not whole. docs/plans.md explains the models file.\n"
      "Example: mica plan mlx-community/Qwen3-8B-4bit --backend mlx-lm --context 8192");
  command->callback([flags] { run_plan(*flags); });
}

}  // namespace mica
