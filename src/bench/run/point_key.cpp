#include "bench/run/point_key.h"

#include <nlohmann/json.hpp>

#include "checkpoint/hub/digest.h"

namespace mica {
namespace {

using nlohmann::json;

std::string hex_of(const json& value) {
  return hub::sha256(value.dump(-1, ' ', false, json::error_handler_t::replace)).substr(0, 16);
}

json variables(const std::vector<PlanVariable>& list) {
  json out = json::array();
  for (const PlanVariable& variable : list)
    out.push_back({variable.name, variable.secret ? "***" : variable.value});
  return out;
}

json plan_part(const LaunchPlan& plan, const ModelRecord& model) {
  json files = json::array();
  for (const ModelFile& file : model.files) files.push_back({file.name, file.bytes, file.hash});
  return {plan.backend,
          static_cast<int>(plan.mode),
          plan.profile,
          plan.model.value,
          plan.revision,
          plan.served_name.value,
          plan.url,
          plan.command(/*masked=*/true),
          variables(plan.environment),
          variables(plan.sampling),
          variables(plan.build_arguments),
          plan.digest,
          files};
}

json items_part(const BenchPoint& point) {
  json out = json::array();
  if (!point.items) return out;
  for (const DatasetItem& item : *point.items) {
    json turns = json::array();
    for (const DatasetTurn& turn : item.turns)
      turns.push_back({turn.user, turn.output_tokens, turn.answer});
    out.push_back({item.time, item.system, turns, item.input_tokens, item.prefix_blocks,
                   item.images, item.fact, item.depth});
  }
  return out;
}

json work_part(const BenchPoint& point) {
  const WorkloadOptions& work = point.workload;
  return {work.chat,
          work.input_tokens,
          work.output_tokens,
          work.spread,
          work.turns,
          work.shared_tokens,
          work.shared_groups,
          work.depth,
          work.natural,
          work.system,
          work.prompts,
          work.images,
          work.warm_cache,
          work.seed,
          to_string(point.arrivals),
          point.arrivals.seed,
          point.conversations(),
          point.seconds,
          point.items_name,
          hex_of(items_part(point))};
}

}  // namespace

std::string point_key(const LaunchPlan& plan, const ModelRecord& model, const BenchPoint& point) {
  return hex_of({plan_part(plan, model), work_part(point)});
}

}  // namespace mica
