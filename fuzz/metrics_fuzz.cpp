// A page of metrics in every dialect; the first byte chooses it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "bench/metrics/engine_figures.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr std::string_view kDialects[] = {"vllm", "sglang", "llamacpp", "trtllm"};
  const std::string_view page(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const mica::EngineFigures figures = mica::read_figures(kDialects[data[0] % 4], page);
    const mica::FigureDifference none = mica::difference(figures, figures);
    MICA_CHECK(none.figures.requests.value_or(0) == 0);
  } catch (const mica::Error&) {
  }
  return 0;
}
