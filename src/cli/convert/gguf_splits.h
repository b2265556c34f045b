// Which of llama.cpp's splits of text (tokenizer.ggml.pre) a tokenizer.json means. Included by .cpp
// files only: it brings the JSON library.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace mica {

// "qwen2", "llama-bpe" …, by the pre_tokenizer of a byte-level tokenizer. Throws Error(kCheckpoint)
// for an unknown one, which llama.cpp would split in another way.
std::string gguf_split_name(const nlohmann::json& tokenizer);

}  // namespace mica
