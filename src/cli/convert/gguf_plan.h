// What a GGUF file of a checkpoint holds: one item for each tensor, with where it comes from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_choice.h"
#include "checkpoint/gguf/gguf_names.h"
#include "model/config.h"

namespace mica {

struct GgufPlanItem {
  std::string name;           // "blk.0.attn_q.weight"
  std::string source;         // "affine 4-bit g64", "bf16" … as the checkpoint has it
  GgufFit fit;                // its type, and what that changes
  Shape shape;                // outermost first
  std::vector<float> values;  // of vectors, which are f32; else empty and the rest holds:
  std::string path;           // of the module
  int64_t rows = 0, columns = 0, experts = 1;
  std::vector<int64_t> order;  // row i is the checkpoint's row order[i]; empty = as it is
};

// Rows of q and k for a rotation of neighbours: of each head of size d, row 2i is row i and row
// 2i + 1 is row i + d/2 of the checkpoint, which rotates halves.
std::vector<int64_t> neighbour_order(int64_t heads, int64_t head_dim);

// Asks for all that the architecture's own loader asks for, so that nothing it uses is left out.
// Reads all weights to find their types. Throws Error(kCheckpoint) for a weight without a name.
std::vector<GgufPlanItem> plan_gguf(Checkpoint& checkpoint, const ModelConfig& config,
                                    const GgufArchitecture& architecture,
                                    const GgufTypeChoice& choice);

}  // namespace mica
