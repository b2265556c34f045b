// What every operation of one step shares: the ragged batch and the paged key/value cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace mica {

class AdapterSet;  // opaque here

// The tokens of all sequences of a step, concatenated: sequence s owns rows
// [query_start[s], query_start[s + 1]). T tokens, S sequences, R rows whose logits are wanted.
// Tensors are i32 in the backend's memory; the spans are host copies for planning. A recorded step
// has sequences for padding, which no result comes from: one token with slot -1, whose key and
// value are not stored, and kv_length 0, for which attention gives zeros. Its host_kv_lengths are
// bounds.
struct Batch {
  Tensor token_ids;    // [T]
  Tensor positions;    // [T] position of the token in its sequence, from 0
  Tensor slots;        // [T] where its key and value go: block * block_size + offset in the block
  Tensor query_start;  // [S + 1]
  Tensor kv_lengths;   // [S] tokens of the sequence in the cache after this step
  Tensor block_table;  // [S, max_blocks] the sequence's blocks in order; unused entries are 0
  Tensor logit_rows;   // [R] rows of the batch, ascending; R = 0 for a mere piece of a prompt
  Tensor state_slots;  // [S] slot of the recurrent state (hybrid models), empty otherwise
  // Where at least one sequence has an adapter (model/adapters.h): the slot of each token's, [T,
  // 1], 0 = none. Else null and empty.
  const AdapterSet* adapters = nullptr;
  Tensor adapter_ids;
  std::span<const int32_t> host_query_start;
  std::span<const int32_t> host_kv_lengths;

  int64_t tokens() const { return token_ids.shape[0]; }
  int64_t sequences() const { return kv_lengths.shape[0]; }
};

// What one layer keeps of the past. The engine owns the memory, the model states the need.
struct CacheSpec {
  enum class Kind : uint8_t { kPaged, kSlot } kind = Kind::kPaged;
  int64_t kv_heads = 0;  // kPaged
  int64_t head_dim = 0;  // kPaged
  DType dtype = DType::kBF16;
  int64_t window = 0;      // kPaged: positions a query sees, itself included; 0 = all
  int64_t slot_bytes = 0;  // kSlot: state of one sequence (convolution tail, recurrent matrix)
};

// Keys and values of one attention layer: [blocks, kv_heads, block_size, head_dim] each. Of a kSlot
// layer `keys` is u8 [slots, slot_bytes] and `values` empty; a sequence whose first row in the
// batch has position 0 starts from a state of zeros, whatever the slot holds.
struct KvLayer {
  Tensor keys;
  Tensor values;
};

struct KvCache {
  int32_t block_size = 0;  // tokens per block
  int32_t blocks = 0;
  std::vector<KvLayer> layers;  // in the order of Model::cache_layers
};

}  // namespace mica
