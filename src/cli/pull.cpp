#include "cli/pull.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/plan/downloads.h"
#include "checkpoint/hub/hub.h"
#include "cli/plan_inputs.h"
#include "cli/pull_progress.h"

namespace mica {
namespace {

struct PullArguments {
  PlanInputs inputs;
  std::string model, revision, cache;
  std::vector<std::string> include, exclude;
  int parallel = 4;
  bool offline = false, quiet = false;
};

// The revision of the models file's entry of this short name, the first one where `revision` is
// empty; nullopt for everything else.
std::optional<Download> download_named(const std::string& name, const std::string& revision,
                                       const PlanInputs& inputs) {
  if (name.find('/') != name.npos) return std::nullopt;
  const ModelsFile models = models_file(inputs, backend_table(inputs));
  for (const ModelEntry& entry : models.models) {
    if (entry.name != name) continue;
    for (const Download& download : downloads_of(entry, models, environment_variable))
      if (revision.empty() || revision == download.revision) return download;
    throw Error(ErrorKind::kUsage,
                "[pull] {}: {} has no revision '{}'; for another one name the repository: mica "
                "pull {}@{}",
                entry.place, name, revision, entry.repo_id, revision);
  }
  return std::nullopt;
}

void run_pull(const PullArguments& arguments) {
  ModelId id = parse_model_id(arguments.model);
  if (!arguments.revision.empty()) {
    if (arguments.model.find('@') != std::string::npos)
      throw Error(ErrorKind::kUsage,
                  "[pull] the revision is given twice: '{}' and --revision {}; leave one away",
                  arguments.model, arguments.revision);
    id.revision = arguments.revision;
  }
  HubOptions options = hub_options_from_environment();
  const bool asked = !arguments.revision.empty() || arguments.model.find('@') != std::string::npos;
  if (const auto named = download_named(id.repo, asked ? id.revision : "", arguments.inputs)) {
    id = {named->repo_id, named->revision};
    options.include = named->include;
    options.exclude = named->exclude;
    if (arguments.cache.empty()) options.folder = named->folder;
  }
  if (!arguments.cache.empty()) options.cache = arguments.cache;
  if (!arguments.include.empty()) options.include = arguments.include;
  if (!arguments.exclude.empty()) options.exclude = arguments.exclude;
  options.parallel = arguments.parallel;
  options.offline |= arguments.offline;
  std::string snapshot;
  {
    ProgressBar bar;
    if (!arguments.quiet) options.progress = [&](const PullProgress& p) { bar(p); };
    snapshot = pull_model(id.repo, id.revision, options).string();
  }
  std::printf("%s\n", snapshot.c_str());
}

}  // namespace

void add_pull_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "pull", "Download a model from the hub into the local cache and print its directory");
  auto arguments = std::make_shared<PullArguments>();  // lives as long as the callback
  command
      ->add_option("model", arguments->model,
                   "Name on the hub: org/name or org/name@revision; or a name of the models file")
      ->required();
  command->add_option("--revision", arguments->revision, "Branch, tag or commit (default: main)");
  command
      ->add_option("--include", arguments->include,
                   "Only files that match this pattern, such as '*.json'; may be repeated. Without "
                   "it: configuration, tokenizer, templates and safetensors")
      ->allow_extra_args(false);
  command
      ->add_option("--exclude", arguments->exclude,
                   "No files that match this pattern; may be repeated, stronger than --include")
      ->allow_extra_args(false);
  command->add_option("--cache-dir", arguments->cache,
                      "Cache folder (default: HF_HUB_CACHE, else HF_HOME/hub, else "
                      "~/.cache/huggingface/hub)");
  command->add_option("-j,--parallel", arguments->parallel, "Files downloaded at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  add_config_flags(*command, arguments->inputs);
  command->add_flag("--offline", arguments->offline,
                    "Ask no server; fail unless the cache has the model whole");
  command->add_flag("-q,--quiet", arguments->quiet, "No progress on standard error");
  command->footer(
      "An interrupted download continues where it stopped, and every file's hash is checked.\n"
      "Environment: HF_ENDPOINT (another hub), HF_TOKEN or the file HF_HOME/token (private and\n"
      "gated models), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE, https_proxy.\n"
      "Example: mica pull mlx-community/Qwen3-0.6B-4bit");
  command->callback([arguments] { run_pull(*arguments); });
}

}  // namespace mica
