// What speaks against a plan, and what its user should know.
#include <algorithm>

#include "base/error.h"
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
  std::string text = question.format;
  if (!question.quantization.empty()) text += ", " + question.quantization;
  if (question.gpus > 1) text += fmt::format(", {} GPUs", question.gpus);
  if (question.compute > 0)
    text += fmt::format(", compute capability {}.{}", question.compute / 10, question.compute % 10);
  return text;
}

}  // namespace

void check_capability(PlanBuild& build, const BackendTable& table) {
  LaunchPlan& plan = build.out.plan;
  CapabilityQuestion question;
  question.format = build.out.place.format;
  if (build.out.model) question.quantization = build.out.model->quantization;
  question.gpus = plan.gpus;
  question.compute = least_compute(build.facts);
  if (question.format.empty()) return;
  const CapabilityRow* row = find_capability(build.backend, question);
  if (!row) {
    plan.warnings.push_back(
        fmt::format("nobody has noted whether {} runs {}", build.backend.title, about(question)));
    return;
  }
  build.out.capability = *row;
  if (row->state == CapabilityRow::State::kWorks) return;
  const std::string noted = fmt::format("{} ({}, {})", row->note, row->date, row->source);
  if (row->state == CapabilityRow::State::kLimited || build.request.force) {
    plan.warnings.push_back(
        fmt::format("{} for {}: {}", build.backend.title, about(question), noted));
    return;
  }
  std::string others;
  for (const std::string& other : capable_backends(table, question, build.backend.name))
    others += (others.empty() ? "; these take it: " : ", ") + other;
  throw Error(ErrorKind::kUsage,
              "[plan] {} does not run this model ({}): {}{}; --force starts it all "
              "the same",
              build.backend.title, about(question), noted, others);
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
  if (!backend.metrics_need.empty())
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
