#include "checkpoint/gguf/gguf_types.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

constexpr uint32_t kK = 256;  // elements of a "super-block"

// Sums are of a block's parts: scales first, then codes, high bits, signs.
constexpr GgufTypeInfo kTypes[] = {
    {GgufType::kF32, "F32", 1, 4},
    {GgufType::kF16, "F16", 1, 2},
    {GgufType::kQ4_0, "Q4_0", 32, 2 + 16},
    {GgufType::kQ4_1, "Q4_1", 32, 4 + 16},
    {GgufType::kQ5_0, "Q5_0", 32, 2 + 4 + 16},
    {GgufType::kQ5_1, "Q5_1", 32, 4 + 4 + 16},
    {GgufType::kQ8_0, "Q8_0", 32, 2 + 32},
    {GgufType::kQ8_1, "Q8_1", 32, 4 + 32},
    {GgufType::kQ2K, "Q2_K", kK, 4 + kK / 16 + kK / 4},
    {GgufType::kQ3K, "Q3_K", kK, 2 + 12 + kK / 4 + kK / 8},
    {GgufType::kQ4K, "Q4_K", kK, 4 + 12 + kK / 2},
    {GgufType::kQ5K, "Q5_K", kK, 4 + 12 + kK / 2 + kK / 8},
    {GgufType::kQ6K, "Q6_K", kK, 2 + kK / 16 + kK / 2 + kK / 4},
    {GgufType::kQ8K, "Q8_K", kK, 4 + kK + kK / 8},
    {GgufType::kIq2Xxs, "IQ2_XXS", kK, 2 + kK / 4},
    {GgufType::kIq2Xs, "IQ2_XS", kK, 2 + kK / 32 + kK / 4},
    {GgufType::kIq3Xxs, "IQ3_XXS", kK, 2 + kK / 4 + kK / 8},
    {GgufType::kIq1S, "IQ1_S", kK, 2 + kK / 8 + kK / 16},
    {GgufType::kIq4Nl, "IQ4_NL", 32, 2 + 16},
    {GgufType::kIq3S, "IQ3_S", kK, 2 + kK / 64 + kK / 4 + kK / 32 + kK / 8},
    {GgufType::kIq2S, "IQ2_S", kK, 2 + kK / 32 + kK / 4 + kK / 32},
    {GgufType::kIq4Xs, "IQ4_XS", kK, 4 + kK / 64 + kK / 2},
    {GgufType::kI8, "I8", 1, 1},
    {GgufType::kI16, "I16", 1, 2},
    {GgufType::kI32, "I32", 1, 4},
    {GgufType::kI64, "I64", 1, 8},
    {GgufType::kF64, "F64", 1, 8},
    {GgufType::kIq1M, "IQ1_M", kK, kK / 8 + kK / 16 + kK / 32},
    {GgufType::kBf16, "BF16", 1, 2},
    {GgufType::kTq1_0, "TQ1_0", kK, 2 + 4 * 13},
    {GgufType::kTq2_0, "TQ2_0", kK, 2 + kK / 4},
    {GgufType::kMxfp4, "MXFP4", 32, 1 + 16},
    {GgufType::kNvfp4, "NVFP4", 64, 4 + 32},
    {GgufType::kQ1_0, "Q1_0", 128, 2 + 16},
    {GgufType::kQ2_0, "Q2_0", 64, 2 + 16},
};

}  // namespace

std::span<const GgufTypeInfo> gguf_types() {
  return kTypes;
}

const GgufTypeInfo* find_gguf_type(uint32_t id) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& info) {
    return static_cast<uint32_t>(info.type) == id;
  });
  return found == std::end(kTypes) ? nullptr : found;
}

const GgufTypeInfo* find_gguf_type(std::string_view name) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& info) { return info.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

const GgufTypeInfo& gguf_type(GgufType type) {
  const GgufTypeInfo* info = find_gguf_type(static_cast<uint32_t>(type));
  MICA_CHECK(info != nullptr);
  return *info;
}

}  // namespace mica
