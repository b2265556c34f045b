// Turns the slices of a step into the tensors of a Batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

struct BatchLimits {
  int32_t tokens = 0;               // T
  int32_t sequences = 0;            // S
  int32_t rows = 0;                 // R
  int32_t blocks_per_sequence = 0;  // columns of the block table
  int32_t block_size = 0;
  bool state_slots = false;
  const AdapterSet* adapters = nullptr;  // that sequences may name
};

// The least size of a batch of single tokens; what is missing is filled with sequences of padding
// (ops/batch.h). A batch of a given padding always has the same shapes and addresses.
struct Padding {
  int32_t sequences = 0;
  int32_t columns = 0;  // of the block table
};

// Fills one host image of all tensors and uploads it at once. The batch is valid until the next
// `build`; a runner that looks one step ahead takes two builders in turn.
class BatchBuilder {
 public:
  BatchBuilder(Backend& backend, const BatchLimits& limits);
  const Batch& build(std::span<const Slice> slices, const Padding& padding = {});

 private:
  std::span<int32_t> take(Tensor& tensor, Shape shape);
  void fill_tokens(std::span<const Slice> slices, int64_t padding);
  void fill_adapters(std::span<const Slice> slices);
  void fill_sequences(std::span<const Slice> slices, const Padding& padding);

  Backend& backend_;
  const BatchLimits limits_;
  std::vector<int32_t> host_;
  std::vector<int32_t> bounds_;  // host_kv_lengths of a padded batch
  Buffer device_;
  size_t used_ = 0;  // elements
  Batch batch_;
};

}  // namespace mica
