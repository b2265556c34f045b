// Recorded requests from arbitrary bytes: an Error, or items in the order of time.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "bench/load/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    double last = -1;
    for (const mica::DatasetItem& item :
         mica::parse_dataset(text, mica::detect_dataset(text), "fuzz")) {
      if (item.turns.empty() || item.time < last) std::abort();
      last = item.time;
    }
  } catch (const mica::Error&) {
  }
  return 0;
}
