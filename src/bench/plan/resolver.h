// From what is asked for and known to one launch plan.
#pragma once

#include <optional>
#include <string>

#include "bench/plan/descriptor.h"
#include "bench/plan/layers.h"
#include "bench/plan/locate.h"
#include "bench/plan/model_facts.h"
#include "bench/plan/models_file.h"
#include "bench/plan/plan.h"
#include "bench/plan/request.h"

namespace mica {

struct ResolvedPlan {
  LaunchPlan plan;
  ModelPlace place;
  std::optional<ModelFacts> model;  // of a model that is here
  std::optional<CapabilityRow> capability;
};

// Throws Error: kUsage for what can't be combined, was misspelt, or that a capability table
// refuses (unless forced); kCheckpoint for a model that is not whole.
ResolvedPlan resolve_plan(const PlanRequest& request, const BackendTable& table,
                          const ModelsFile& models, const PlanFacts& facts);

// The parts of resolve_plan, in its order.
struct PlanBuild {
  const PlanRequest& request;
  const PlanFacts& facts;
  const BackendDescriptor& backend;
  const MergedLayers& merged;
  ResolvedPlan& out;
};
void build_arguments(PlanBuild& build);  // resolve_arguments.cpp
void build_docker(PlanBuild& build);     // resolve_docker.cpp
// A file that a flag names is seen in the container at the path that it has here.
void mount_file(PlanBuild& build, const std::string& path, const Origin& origin);
void build_environment(PlanBuild& build);
bool is_loopback(const std::string& host);
// resolve_checks.cpp: more tokens than the model was made for are lowered to what it can, or only
// told where the command line asks for them.
void limit_context(const PlanRequest& request, const BackendDescriptor& backend,
                   MergedLayers& merged, ResolvedPlan& out);
// Whether the backend reads the format at all. Throws Error(kUsage), unless forced.
void check_format(PlanBuild& build, const BackendTable& table, const std::string& chosen_by);
void check_capability(PlanBuild& build, const BackendTable& table);
void add_warnings(PlanBuild& build);

// What the load needs, as the layer below all others: what somebody said wins.
Layer needs_layer(const PlanRequest& request, const BackendDescriptor& backend);
// The command line as the layer above all others.
Layer request_layer(const PlanRequest& request, const BackendDescriptor& backend,
                    std::vector<std::string>& warnings);

}  // namespace mica
