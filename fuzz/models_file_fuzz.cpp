// Any bytes as a models file, as a backend's descriptor and as a file of the old scripts: what
// comes through can be merged and resolved into a plan.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "bench/plan/import.h"
#include "bench/plan/resolver.h"

namespace {

using namespace mica;

void resolve(const ModelsFile& file, const BackendTable& table) {
  PlanFacts facts;
  facts.gpus = {{0, "a GPU", 120, uint64_t{96} << 30, uint64_t{95} << 30}};
  facts.environment = {{"HOME", "/nonexistent"}};
  facts.hub_cache = "/nonexistent/hub";
  PlanRequest request;
  for (const char* backend : {"vllm", "llamacpp", ""}) {
    request.backend = backend;
    for (size_t i = 0; i < file.models.size() && i < 4; ++i) {
      request.model = file.models[i].repo_id;
      try {
        const LaunchPlan plan = resolve_plan(request, table, file, facts).plan;
        MICA_CHECK(plan.mode == LaunchMode::kAttach || !plan.command(true).empty());
        MICA_CHECK(plan.command(true).size() == plan.command(false).size());
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mica::BackendTable table;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    resolve(mica::parse_models_file(text, "fuzz", table), table);
  } catch (const mica::Error&) {
  }
  try {
    mica::parse_descriptor(text, "fuzz");
  } catch (const mica::Error&) {
  }
  try {
    mica::import_models({{text, "fuzz"}}, table);
  } catch (const mica::Error&) {
  }
  return 0;
}
