// tokenizer.json as llama.cpp's tokenizer.ggml.* keys.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/gguf/gguf_writer.h"
#include "model/config.h"

namespace mica {

// Byte-level BPE becomes "gpt2" with its merges, BPE with byte fallback (Llama 2, Gemma) "llama"
// with scores in the order of the merges. There are as many tokens as the embedding has rows.
//
// `pre` is llama.cpp's name for how text is split before the merges (tokenizer.ggml.pre); empty =
// told by the split's regular expression. Without a tokenizer.json the keys say "none", and the
// model takes token ids only. Throws Error(kCheckpoint) for kinds that llama.cpp has not, and for a
// split that is unknown.
GgufMetadata gguf_tokenizer_metadata(const std::filesystem::path& directory,
                                     const ModelConfig& config, const std::string& pre);

}  // namespace mica
