#include "bench/results/run_record.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>

#include "base/error.h"
#include "bench/load/arrivals.h"
#include "bench/results/parts_json.h"
#include "checkpoint/hub/digest.h"

namespace mica {
namespace {

constexpr const char* kMasked = "***";

// Is this an option whose value nobody else may read? "--api-key" is, "--max-tokens" is not.
bool names_secret(std::string_view option) {
  for (const char* end : {"key", "token", "password", "secret"})
    if (option.starts_with('-') && option.ends_with(end)) return true;
  return false;
}

PlanValue masked(const PlanVariable& variable) {
  return {variable.name, variable.secret ? kMasked : variable.value, variable.origin.text};
}

std::vector<PlanValue> values_of(const std::vector<PlanVariable>& variables) {
  std::vector<PlanValue> out;
  for (const PlanVariable& variable : variables) out.push_back(masked(variable));
  return out;
}

std::vector<PlanValue> values_of(const std::vector<PlanArgument>& arguments) {
  std::vector<PlanValue> out;
  for (const PlanArgument& argument : arguments) {
    if (argument.words.empty()) continue;
    PlanValue value{argument.words[0], "", argument.origin.text};
    for (size_t i = 1; i < argument.words.size(); ++i)
      value.value += (i > 1 ? " " : "") +
                     (names_secret(value.name) ? std::string(kMasked) : argument.words[i]);
    out.push_back(std::move(value));
  }
  return out;
}

// Now, to the millisecond.
std::string utc(const char* form) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, form, &parts);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{}.{:03}Z", text, ms);
}

}  // namespace

const char* name(RunState state) {
  switch (state) {
    case RunState::kRunning: return "running";
    case RunState::kFinished: return "finished";
    case RunState::kInterrupted: return "interrupted";
    case RunState::kFailed: return "failed";
  }
  MICA_CHECK(false);
}

const std::string& PlanRecord::value(std::string_view name) const {
  static const std::string none;
  for (const PlanValue& value : values)
    if (value.name == name) return value.value;
  return none;
}

PlanRecord record_of(const LaunchPlan& plan, std::vector<std::string> command) {
  PlanRecord out;
  out.backend = plan.backend;
  out.mode = name(plan.mode);
  out.profile = plan.profile;
  out.url = plan.url;
  out.command = std::move(command);
  const auto add = [&](const char* name, const Sourced& value) {
    if (!value.value.empty()) out.values.push_back({name, value.value, value.origin.text});
  };
  add("model", plan.model);
  add("served_name", plan.served_name);
  add("backend_version", plan.backend_version);
  add("host", plan.host);
  add("port", plan.port);
  add("image", plan.image);
  for (const PlanFile& file : plan.files)
    out.values.push_back({"file " + file.path, file.text, file.origin.text});
  out.arguments = values_of(plan.arguments);
  out.environment = values_of(plan.environment);
  out.docker_options = values_of(plan.docker_options);
  for (const PlanMount& mount : plan.mounts)
    out.mounts.push_back(
        {mount.host, mount.container + (mount.writable ? "" : ":ro"), mount.origin.text});
  out.sampling = values_of(plan.sampling);
  out.warnings = plan.warnings;
  return out;
}

int RunRecord::gpu_count() const {
  return static_cast<int>(provenance.gpus_used ? provenance.gpus_used->size()
                                               : provenance.gpus.size());
}

std::string RunRecord::gpu_name() const {
  const auto& used = provenance.gpus_used;
  std::set<std::string> names;
  for (const gpu::GpuFacts& gpu : provenance.gpus)
    if (!used || std::find(used->begin(), used->end(), gpu.index) != used->end())
      names.insert(gpu.name);
  if (names.empty()) return provenance.host.cpu;
  std::string text = gpu_count() > 1 ? fmt::format("{}x ", gpu_count()) : "";
  for (const std::string& name : names)
    text += (text.empty() || text.ends_with(' ') ? "" : " + ") + name;
  return text;
}

bool RunRecord::invalid() const {
  return std::any_of(marks.begin(), marks.end(),
                     [](const Mark& mark) { return mark.severity == Severity::kInvalid; });
}

std::string plan_hash(const PlanRecord& plan, const WorkloadRecord& workload) {
  return hub::sha256(dump(plan_json(plan)) + dump(workload_json(workload))).substr(0, 8);
}

std::string utc_now() {
  return utc("%Y-%m-%dT%H:%M:%S");
}

std::string new_run_name(const PlanRecord& plan, const WorkloadRecord& workload) {
  return utc("%Y%m%dT%H%M%S") + "-" + plan_hash(plan, workload);
}

void conclude(RunRecord& run) {
  SummaryOptions summary;
  if (!run.workload.limits.empty()) summary.limits = parse_limits(run.workload.limits);
  run.summary = summarize(run.requests, summary);
  CheckOptions checks;
  checks.cold = run.workload.cache != "warm" && run.workload.cache != "shared";
  checks.exact_output = run.workload.exact_output;
  if (!run.workload.arrivals.empty())
    checks.open_loop = parse_arrivals(run.workload.arrivals).kind != ArrivalOptions::Kind::kClosed;
  if (run.workload.max_prefill_rate > 0) checks.max_prefill_rate = run.workload.max_prefill_rate;
  if (!run.workload.max_prefill_from.empty())
    checks.max_prefill_from = run.workload.max_prefill_from;
  for (Mark& mark : check_run(run.requests, run.summary, checks))
    run.marks.push_back(std::move(mark));
}

}  // namespace mica
