// What speaks against a plan, and what its user should know.
#include <algorithm>

#include "base/error.h"
#include "bench/plan/numbers.h"
#include "bench/plan/resolver.h"

namespace mica {
namespace {

int least_compute(const PlanFacts& facts) {
  int least = 0;
  for (const PlanGpu& gpu : facts.gpus)
    if (gpu.compute > 0 && (least == 0 || gpu.compute < least)) least = gpu.compute;
  return least;
}

std::string about(const CapabilityQuestion& question) {
  std::string text = question.format.empty() ? "a format not known" : question.format;
  if (!question.quantization.empty()) text += ", " + question.quantization;
  if (question.gpus > 1) text += fmt::format(", {} GPUs", question.gpus);
  if (question.compute > 0)
    text += fmt::format(", compute capability {}.{}", question.compute / 10, question.compute % 10);
  return text;
}

// "; these take it: a, b", or nothing.
std::string others_that_take(const CapabilityQuestion& question, const BackendTable& table,
                             const std::string& except) {
  std::string others;
  for (const std::string& other : capable_backends(table, question, except))
    others += (others.empty() ? "; these take it: " : ", ") + other;
  return others;
}

std::string noted(const CapabilityRow& row) {
  return fmt::format("{} ({}, {})", row.note, row.date, row.source);
}

// Flags that stretch a model's positions: then its own limit says nothing.
bool stretches_positions(const MergedLayers& merged) {
  for (const PlanArgument& argument : merged.extra_arguments)
    for (const std::string& word : argument.words)
      if (word.find("rope") != word.npos || word.find("yarn") != word.npos) return true;
  return false;
}

}  // namespace

void limit_context(const PlanRequest& request, const BackendDescriptor& backend,
                   MergedLayers& merged, ResolvedPlan& out) {
  if (!out.model || out.model->context <= 0) return;
  const int64_t limit = out.model->context;
  const auto warn = [&](const std::string& asked, const std::string& by, const char* what) {
    out.plan.warnings.push_back(fmt::format(
        "a context of {} tokens ({}), and the model was made for {}: {}", asked, by, limit, what));
  };
  constexpr const char* kKept =
      "it is kept, but the engine may refuse it, and answers beyond may be senseless";
  const BackendSetting* setting = backend.setting("context");
  if (!setting) {
    const auto asked = request.settings.find("context");
    if (asked != request.settings.end() && parse_integer(asked->second).value_or(0) > limit)
      warn(asked->second, "--context", kKept);
    return;
  }
  const auto said = merged.settings.find(setting->name);
  if (said == merged.settings.end() || !said->second) return;
  SettingValue& value = *said->second;
  if (parse_integer(value.values.front()).value_or(0) <= limit) return;
  if (value.origin.asked || stretches_positions(merged))
    return warn(value.values.front(), value.origin.text, kKept);
  warn(value.values.front(), value.origin.text, "lowered to that");
  value.origin.text = fmt::format("the model was made for {} tokens; {} said {}", limit,
                                  value.origin.text, value.values.front());
  value.values = {std::to_string(limit)};
}

// A format is a matter of the first row that names it, or of the descriptor's list alone.
void check_format(PlanBuild& build, const BackendTable& table, const std::string& chosen_by) {
  const BackendDescriptor& backend = build.backend;
  const auto& formats = backend.formats;
  const std::string& format = build.out.place.format;
  if (format.empty() || formats.empty() ||
      std::find(formats.begin(), formats.end(), format) != formats.end())
    return;
  CapabilityQuestion question;
  question.format = format;
  if (build.out.model) question.quantization = build.out.model->quantization;
  question.compute = least_compute(build.facts);
  std::string all, why;
  for (const std::string& each : formats) all += (all.empty() ? "" : ", ") + each;
  for (const CapabilityRow& row : backend.capabilities)
    if (row.state == CapabilityRow::State::kRefused && why.empty() &&
        std::find(row.formats.begin(), row.formats.end(), format) != row.formats.end()) {
      build.out.capability = row;
      why = ": " + noted(row);
    }
  const std::string text =
      fmt::format("{} (by {}) reads {}, and the model is {}{}{}", backend.name, chosen_by, all,
                  format, build.out.place.is_here() ? "" : " by its name", why);
  if (!build.request.force)
    throw Error(ErrorKind::kUsage, "[plan] {}{}; --force starts it all the same", text,
                others_that_take(question, table, backend.name));
  build.out.plan.warnings.push_back(text);
}

void check_capability(PlanBuild& build, const BackendTable& table) {
  if (build.out.capability) return;  // its format was refused, and forced
  LaunchPlan& plan = build.out.plan;
  CapabilityQuestion question;
  question.format = build.out.place.format;
  if (build.out.model) question.quantization = build.out.model->quantization;
  question.gpus = plan.gpus;
  question.compute = least_compute(build.facts);
  const CapabilityRow* row = find_capability(build.backend, question);
  if (!row) {
    if (!question.format.empty())
      plan.warnings.push_back(
          fmt::format("nobody has noted whether {} runs {}", build.backend.title, about(question)));
    return;
  }
  build.out.capability = *row;
  if (row->state == CapabilityRow::State::kWorks) return;
  if (row->state == CapabilityRow::State::kLimited || build.request.force) {
    plan.warnings.push_back(
        fmt::format("{} for {}: {}", build.backend.title, about(question), noted(*row)));
    return;
  }
  throw Error(ErrorKind::kUsage,
              "[plan] {} does not run this model ({}): {}{}; --force starts it all "
              "the same",
              build.backend.title, about(question), noted(*row),
              others_that_take(question, table, build.backend.name));
}

void add_warnings(PlanBuild& build) {
  LaunchPlan& plan = build.out.plan;
  const BackendDescriptor& backend = build.backend;
  for (const std::string& warning : build.merged.warnings) plan.warnings.push_back(warning);
  if (plan.mode == LaunchMode::kAttach) return;
  if (plan.mode == LaunchMode::kDocker && backend.docker->moving && plan.digest.empty())
    plan.warnings.push_back(fmt::format(
        "{} does not stand for one image; set `digest` in the models file", plan.image.value));
  if (plan.mode == LaunchMode::kProcess && !backend.process->hint.empty() && plan.directory.empty())
    plan.warnings.push_back(backend.process->hint);
  if (build.facts.gpus.empty() && !backend.cpu)
    plan.warnings.push_back(fmt::format("no GPU was found, and {} needs one", backend.title));
  if (!backend.metrics_need.empty() && plan.files.empty())
    plan.warnings.push_back(
        fmt::format("{} answers only with {}", plan.dialect.metrics, backend.metrics_need));
  if (!build.out.place.is_here() && !build.out.place.revision.empty() &&
      build.out.place.revision != "main" && !backend.setting("revision"))
    plan.warnings.push_back(fmt::format("{} can't be told a revision; `mica pull {}@{}` fetches it",
                                        backend.title, plan.repo_id, plan.revision));
  for (const BackendAdvice& advice : backend.advice)
    if (advice.when == "multi_gpu" && plan.gpus > 1)
      plan.warnings.push_back(fmt::format("{}: --env {}={} helps ({}, {})", advice.why,
                                          advice.variable, advice.value, advice.date,
                                          advice.source));
}

}  // namespace mica
