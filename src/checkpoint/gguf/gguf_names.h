// What llama.cpp calls the architectures and weights of MLX checkpoints (gguf-py's constants).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

struct GgufArchitecture {
  const char* model_type;  // of config.json
  const char* name;        // general.architecture
  // Heads are rotated in pairs of neighbours (i, i + 1), not of halves (i, i + d/2): the rows of q
  // and k stand in another order.
  bool rotates_neighbours;
  bool gemma_norms;  // norms before and after each part; stored less one
};

// nullptr: none of llama.cpp's, or one whose weights Mica doesn't map.
const GgufArchitecture* find_gguf_architecture(std::string_view model_type);
std::vector<std::string> gguf_model_types();

// "model.layers.3.self_attn.q_proj" -> "blk.3.attn_q"; `path` is canonical, without ".weight".
std::optional<std::string> gguf_weight_name(const GgufArchitecture& architecture,
                                            std::string_view path);

}  // namespace mica
