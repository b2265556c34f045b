// The element types of GGUF files: ids, names, blocks (ggml/include/ggml.h, gguf-py's constants).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mica {

enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2K = 10,
  kQ3K = 11,
  kQ4K = 12,
  kQ5K = 13,
  kQ6K = 14,
  kQ8K = 15,
  kIq2Xxs = 16,
  kIq2Xs = 17,
  kIq3Xxs = 18,
  kIq1S = 19,
  kIq4Nl = 20,
  kIq3S = 21,
  kIq2S = 22,
  kIq4Xs = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIq1M = 29,
  kBf16 = 30,
  kTq1_0 = 34,
  kTq2_0 = 35,
  kMxfp4 = 39,
  kNvfp4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// A row is stored in blocks of `block` elements, `bytes` each.
struct GgufTypeInfo {
  GgufType type;
  const char* name;  // as ggml and Hugging Face write it: "Q4_K", "IQ2_XXS", "BF16"
  uint32_t block;    // elements
  uint32_t bytes;
};

std::span<const GgufTypeInfo> gguf_types();  // in ascending order of the id

// nullptr for an id that is unknown, or withdrawn from the format (Q4_2, Q4_0_4_4 …).
const GgufTypeInfo* find_gguf_type(uint32_t id);
const GgufTypeInfo* find_gguf_type(std::string_view name);
const GgufTypeInfo& gguf_type(GgufType type);

}  // namespace mica
