// Any bytes as a result file, a journal or a file of the old scripts: an Error, or a run that is
// written, read and summarised again as it was.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "bench/results/import_old.h"
#include "bench/results/journal.h"
#include "bench/results/run_json.h"

namespace {

void check(mica::RunRecord run) {
  const std::string text = mica::to_json(run);
  MICA_CHECK(mica::to_json(mica::run_from_json(text, "fuzz")) == text);
  mica::conclude(run);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 20'000) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 3) {
      case 0: check(mica::run_from_json(text, "fuzz")); break;
      case 1: check(mica::read_journal(text, "fuzz").run); break;
      case 2: check(mica::import_old_result(text, "fuzz")); break;
    }
  } catch (const mica::Error&) {
  }
  return 0;
}
