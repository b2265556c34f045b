// Adapters in use beside a model: each token of a batch goes through the one of its request.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/adapter.h"
#include "model/model.h"

namespace mica {

using AdapterId = int64_t;

// The low-rank parts of one linear layer for all slots, stacked as experts are: slot 0 adds
// nothing. y += up[slot] · (down[slot] · x)
struct LowRank {
  std::unique_ptr<PreparedLinear> down;  // [S, rank, columns]
  std::unique_ptr<PreparedLinear> up;    // [S, rows, rank]
};

// Not thread-safe: belongs to the thread that runs the model. A change waits for the device.
class AdapterSet {
 public:
  // `model` and `backend` outlive this. Ranks up to `max_rank` fit the memory that the engine
  // takes.
  AdapterSet(Backend& backend, const Model& model, int64_t max_rank);

  // Throws Error(kCheckpoint) for a module that the model does not have, or has in another shape;
  // nothing has changed then. Returns the adapter's id, from 1 on and never given again.
  AdapterId add(Adapter adapter);
  void remove(AdapterId id);
  // The adapter's place in the stacks: 0, which adds nothing, for one that is not here (any more).
  int32_t slot(AdapterId id) const;
  int64_t max_rank() const { return max_rank_; }

  // nullptr where no adapter changes this layer.
  const LowRank* find(const PreparedLinear* layer) const;
  size_t bytes() const { return bytes_; }  // on the device

 private:
  void check(const Adapter& adapter) const;
  void rebuild();
  std::unique_ptr<PreparedLinear> stack(const std::string& path, bool up, int64_t rank) const;

  Backend& backend_;
  const Model& model_;
  const int64_t max_rank_;
  struct Slot {
    AdapterId id = 0;  // 0: free
    Adapter adapter;
  };
  std::vector<Slot> slots_;  // slot i + 1
  AdapterId last_id_ = 0;
  std::map<const PreparedLinear*, LowRank> layers_;
  size_t bytes_ = 0;
};

// out += adapters(x) for the layers that have some. Rows of x are those of the batch.
struct Step;
struct LinearTarget;
void add_low_rank(const Step& step, const Tensor& x, const LinearTarget& target);

// Activations of a token that adapters of this rank take beside the model's, bytes.
size_t adapter_arena_bytes(int64_t max_rank, int64_t tokens);

}  // namespace mica
