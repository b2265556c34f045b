// Any bytes as a safetensors file: entries that come through must lie in the file and not overlap.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const mica::SafetensorsHeader header = mica::parse_safetensors_header(bytes, size, "fuzz");
    size_t total = 0;
    for (const mica::SafetensorsEntry& entry : header.entries) {
      MICA_CHECK(header.data_begin + entry.offset + entry.bytes <= size);
      MICA_CHECK(static_cast<size_t>(entry.shape.elements()) * mica::size_of(entry.dtype) ==
                 entry.bytes);
      total += entry.bytes;
    }
    MICA_CHECK(total <= size);
  } catch (const mica::Error&) {
  }
  return 0;
}
