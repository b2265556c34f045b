// Any bytes as a GGUF file: tensors that come through must lie in the file and not overlap.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "checkpoint/gguf/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const mica::GgufHeader header = mica::parse_gguf_header(bytes, size, "fuzz");
    size_t total = 0;
    for (const mica::GgufTensor& tensor : header.tensors) {
      const mica::GgufTypeInfo& type = mica::gguf_type(tensor.type);
      MICA_CHECK(tensor.bytes == 0 || header.data_begin + tensor.offset + tensor.bytes <= size);
      MICA_CHECK(static_cast<size_t>(tensor.elements()) / type.block * type.bytes == tensor.bytes);
      total += tensor.bytes;
    }
    MICA_CHECK(total <= size);
    for (const auto& [key, value] : header.metadata) {
      MICA_CHECK(value.is_array || value.size() == 1);
      header.number(key);
      header.string(key);
      header.unsigned_integers(key);
    }
  } catch (const mica::Error&) {
  }
  return 0;
}
