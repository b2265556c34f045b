#pragma once

#include "ops/backend.h"
#include "ops/batch.h"

namespace mica {

// Causal attention of the batch's queries over the paged cache (which holds this step's keys too).
// Query t of sequence s at position p sees positions (p - window, p]; head h reads kv head h * G /
// H. score = softcap(scale * q·k); with sinks the softmax has one more term exp(sink[h]) without
// value.
struct AttentionParams {
  Tensor q;    // [T, H, Dh]
  Tensor out;  // [T, H, Dh]
  KvLayer cache;
  int32_t block_size = 0;
  const Batch* batch = nullptr;  // query_start, kv_lengths, block_table, positions
  float scale = 1;
  int64_t window = 0;  // 0 = all
  float softcap = 0;   // 0 = none
  Tensor sinks;        // f32 [H] or empty
};

}  // namespace mica
