// A plan for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/plan/fit.h"
#include "bench/plan/resolver.h"

namespace mica {

// A word as a POSIX shell takes it.
std::string shell_quote(const std::string& word);

// The command to copy, one argument a line; secrets are taken from the shell's own variables. For
// kAttach a line that says where it asks.
std::string shell_command(const LaunchPlan& plan);

// The command, every value with its origin, the memory, what to know.
std::string plan_to_text(const ResolvedPlan& resolved, const std::optional<MemoryFit>& fit);

// One JSON object; docs/plans.md has its keys. Secrets are "***".
std::string plan_to_json(const ResolvedPlan& resolved, const std::optional<MemoryFit>& fit);

// "18.3 GiB of weights, 2.1 GiB …"; several lines.
std::string fit_to_text(const MemoryFit& fit);

// The GPUs that the plan uses, of `gpus` (indices; empty: all); none for kAttach.
std::vector<PlanGpu> used_gpus(const LaunchPlan& plan, const BackendDescriptor& backend,
                               const PlanFacts& facts, const std::vector<int>& gpus);

// Asked with the plan's own figures; nullopt for a model that is not here, and for kAttach.
std::optional<MemoryFit> fit_plan(const ResolvedPlan& resolved, const BackendDescriptor& backend,
                                  const PlanFacts& facts, const std::vector<int>& gpus);

}  // namespace mica
