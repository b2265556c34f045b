// A byte-level tokenizer of 256 bytes and four special tokens, with a ChatML template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/text_model.h"

namespace mica::test {

inline constexpr int32_t kVocabulary = 260;
inline constexpr int32_t kEnd = 257;  // <|im_end|>

// Written to a folder of its own, loaded, removed. `further` special tokens have ids from 260 on.
std::unique_ptr<TextModel> test_text_model(const std::vector<std::string>& further = {});

}  // namespace mica::test
