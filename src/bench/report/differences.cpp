// What keeps two runs from being compared.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "bench/report/compare.h"

namespace mica {
namespace {

class Differences {
 public:
  Differences(const RunRecord& a, const RunRecord& b, std::vector<std::string>& reasons,
              std::vector<std::string>& others)
      : a_(a), b_(b), reasons_(reasons), others_(others) {}

  void find() {
    measuring();
    model();
    work();
    sampling();
    start();
    warmup();
    machine();
    validity();
  }

 private:
  // Both are known and differ.
  static bool differ(const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() && a != b;
  }
  void reason(const char* what, const std::string& a, const std::string& b) {
    if (differ(a, b)) reasons_.push_back(fmt::format("{}: {} and {}", what, a, b));
  }
  void other(const char* what, const std::string& a, const std::string& b) {
    if (differ(a, b)) others_.push_back(fmt::format("{}: {} and {}", what, a, b));
  }

  void measuring();
  void model();
  void work();
  void sampling();
  void start();
  void lengths(const char* figure, const char* what);
  void warmup();
  void machine();
  void validity();

  const RunRecord &a_, &b_;
  std::vector<std::string>&reasons_, &others_;
};

void Differences::measuring() {
  const auto program = [](const RunRecord& run) {
    return run.imported ? run.imported->program : std::string("Mica");
  };
  reason("measured by different programs", program(a_), program(b_));
}

std::string hash_of(const ModelRecord& model, const std::string& file) {
  for (const ModelFile& known : model.files)
    if (known.name == file) return known.hash;
  return "";
}

void Differences::model() {
  const ModelRecord &a = a_.provenance.model, &b = b_.provenance.model;
  reason("different models", a.id, b.id);
  reason("different revisions of the model", a.revision, b.revision);
  if (a.id != b.id) return;
  for (const ModelFile& file : a.files)
    if (const std::string other = hash_of(b, file.name);
        differ(file.hash, other) && file.hash.substr(0, 7) == other.substr(0, 7))
      reasons_.push_back(fmt::format("different models: {} has other bytes", file.name));
}

// Of the median request; a few tokens of a chat template are no other work.
void Differences::lengths(const char* figure, const char* what) {
  const Distribution *a = a_.summary.figure(figure), *b = b_.summary.figure(figure);
  if (!a || !b) return;
  const double larger = std::max(a->median, b->median);
  if (std::abs(a->median - b->median) > std::max(2.0, 0.02 * larger))
    reasons_.push_back(
        fmt::format("different work: {:.0f} and {:.0f} {}", a->median, b->median, what));
}

std::string value_of(const WorkloadRecord& workload, const char* key) {
  for (const auto& [name, value] : workload.more)
    if (name == key) return value;
  return "";
}

void Differences::work() {
  const WorkloadRecord &a = a_.workload, &b = b_.workload;
  reason("different loads", a.arrivals, b.arrivals);
  reason("different cache states", a.cache, b.cache);
  const size_t before = reasons_.size();
  reason("different work", a.name, b.name);
  lengths("prompt_tokens", "prompt tokens");
  lengths("output_tokens", "output tokens");
  if (a.exact_output != b.exact_output)
    reasons_.push_back("different work: only one has answers of an exact length");
  if (reasons_.size() == before && differ(a.prompts_hash, b.prompts_hash))
    others_.push_back("the prompts have other texts");
}

using Fields = std::map<std::string, std::string>;

std::string value_in(const Fields& fields, const std::string& name, const std::string& absent) {
  const auto found = fields.find(name);
  return found != fields.end() ? found->second : absent;
}

// Of every request. Old results keep the temperature with the work; Mica sends 0 where the plan
// says nothing.
Fields sampling_of(const RunRecord& run) {
  Fields fields;
  const std::string told = value_of(run.workload, "temperature");
  if (!told.empty()) fields["temperature"] = told;
  if (!run.imported && told.empty()) fields.emplace("temperature", "0");
  for (const PlanValue& value : run.plan.sampling) fields[value.name] = value.value;
  return fields;
}

void Differences::sampling() {
  const Fields a = sampling_of(a_), b = sampling_of(b_);
  if (a.empty() || b.empty()) return;
  Fields all = a;
  all.insert(b.begin(), b.end());
  for (const auto& [name, ignored] : all)
    reason(("different sampling: " + name).c_str(), value_in(a, name, "none"),
           value_in(b, name, "none"));
}

// What an argument is called, and its value: "--port 8000", "--port=8000".
std::pair<std::string, std::string> split_argument(const std::string& text) {
  const size_t at = text.find_first_of(" =");
  return {text.substr(0, at), at == text.npos ? "on" : text.substr(at + 1)};
}

Fields arguments_of(const RunRecord& run) {
  Fields fields;
  for (const PlanValue& argument : run.plan.arguments) {
    // As kept: the flag and its value, or all in one of them.
    auto [name, value] = split_argument(argument.name);
    if (name != "--host" && name != "--port")
      fields[name] = argument.value.empty() ? value : argument.value;
  }
  for (const PlanValue& variable : run.plan.environment) fields[variable.name] = variable.value;
  return fields;
}

// One engine with two starts: which setting made the difference?
void Differences::start() {
  if (a_.plan.backend != b_.plan.backend || a_.imported || b_.imported) return;
  other("engine versions", a_.provenance.engine.version, b_.provenance.engine.version);
  other("image digests", a_.provenance.engine.image_digest, b_.provenance.engine.image_digest);
  other("profiles", a_.plan.profile, b_.plan.profile);
  other("ways of starting", a_.plan.mode, b_.plan.mode);
  const Fields a = arguments_of(a_), b = arguments_of(b_);
  if (a.empty() || b.empty()) return;  // attached: nobody knows
  Fields all = a;
  all.insert(b.begin(), b.end());
  for (const auto& [name, ignored] : all)
    other(name.c_str(), value_in(a, name, "not given"), value_in(b, name, "not given"));
}

void Differences::warmup() {
  if (a_.imported || b_.imported) return;
  const int64_t a = a_.summary.warmup, b = b_.summary.warmup;
  if ((a == 0) != (b == 0))
    reasons_.push_back(fmt::format("only one was warmed up: {} and {} requests", a, b));
  else if (a != b)
    others_.push_back(fmt::format("warm-up: {} and {} requests", a, b));
}

const gpu::GpuFacts* first_gpu(const RunRecord& run) {
  const auto& used = run.provenance.gpus_used;
  for (const gpu::GpuFacts& gpu : run.provenance.gpus)
    if (!used || std::find(used->begin(), used->end(), gpu.index) != used->end()) return &gpu;
  return nullptr;
}

template <typename Value>
std::string known(const std::optional<Value>& value) {
  return value ? fmt::format("{}", *value) : "";
}

void Differences::machine() {
  reason("different hardware", a_.gpu_name(), b_.gpu_name());
  other("drivers", a_.provenance.driver, b_.provenance.driver);
  other("processors", a_.provenance.host.cpu, b_.provenance.host.cpu);
  other("kernels", a_.provenance.host.kernel, b_.provenance.host.kernel);
  other("clock governors", a_.provenance.host.governor, b_.provenance.host.governor);
  const gpu::GpuFacts *a = first_gpu(a_), *b = first_gpu(b_);
  if (!a || !b) return;
  other("power limits in W", known(a->power_limit), known(b->power_limit));
  other("PCIe widths", known(a->link_width), known(b->link_width));
  other("highest SM clocks in MHz", known(a->sm_clock_max), known(b->sm_clock_max));
}

void Differences::validity() {
  for (const RunRecord* run : {&a_, &b_}) {
    const char* which = run == &a_ ? "A" : "B";
    for (const Mark& mark : run->marks) {
      if (mark.severity == Severity::kInvalid)
        reasons_.push_back(fmt::format("{} is invalid: {}", which, mark.text));
      if (mark.severity == Severity::kWarning)
        others_.push_back(fmt::format("{}: {}", which, mark.text));
    }
    if (run->state != RunState::kFinished)
      others_.push_back(fmt::format("{} is {}", which, name(run->state)));
  }
}

}  // namespace

void find_differences(const RunRecord& a, const RunRecord& b, std::vector<std::string>& reasons,
                      std::vector<std::string>& differences) {
  Differences(a, b, reasons, differences).find();
}

}  // namespace mica
