// One name for each weight, whatever prefix the exporter put before it.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace mica {

// Vision checkpoints nest the language model: "language_model.model.layers.0…" (MLX, older
// Hugging Face) and "model.language_model.layers.0…" (newer) both become "model.layers.0…".
// Old BERT checkpoints call the parameters of a LayerNorm gamma and beta: weight and bias here.
// Works for tensor names and module paths; idempotent.
std::string canonical_name(std::string_view name);

// Where a checkpoint keeps an encoder: bare, or beside the heads of a task.
inline constexpr std::array<const char*, 4> kEncoderPrefixes = {"", "bert.", "roberta.", "model."};
// Behind such a prefix.
inline constexpr const char* kWordEmbeddings = "embeddings.word_embeddings";

// Tensors that no text model asks for: vision and audio towers, projectors, precomputed rotary
// frequencies. `name` is as stored.
bool is_ignored_tensor(std::string_view name);

}  // namespace mica
