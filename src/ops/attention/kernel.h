// What attention/cpu.cpp hands to the kernel compiled per instruction set (attention/kernel.cpp).
#pragma once

#include <cstdint>

namespace mica::kernels {

constexpr int64_t kRowTile = 32;  // rows (query token, head of the group) of one job
constexpr int64_t kKeyTile = 64;  // positions handled together, at multiples of kKeyTile
// Softmax states are kept per range of this many positions, at multiples of it, and merged in
// order: the same arithmetic whether one thread walks all ranges or several share them.
constexpr int64_t kSplit = 512;
constexpr int64_t kPad = 32;  // padded head size: a multiple of this

enum class CacheType : uint8_t { kF32, kBF16, kF16 };

// A quantized cache (KvScheme); the type of the call is that of scales and biases then.
struct CacheCodes {
  int bits = 0;  // 8 or 4; 0: not quantized
  int group_shift = 0;
  int64_t groups = 0;  // of a vector
  int64_t code_bytes = 0, vector_bytes = 0;
};

// One call of the operation.
struct AttentionCall {
  const float* q;  // [T, H, Dh]
  float* out;      // [T, H, Dh]
  const void* keys;
  const void* values;  // [blocks, G, block_size, Dh]
  CacheType type;
  CacheCodes codes;
  int64_t heads, kv_heads, head_dim, block_size;
  float scale, softcap;
  int64_t window;
  const float* sinks;  // [H] or null
};

// Rows [row_begin, row_end) of one kv head of one sequence over the ranges [split_begin,
// split_end); row r is query token r / (H / G) and head kv_head * (H / G) + r % (H / G).
struct AttentionJob {
  const int32_t* blocks;     // block table of the sequence
  const int32_t* positions;  // of the sequence's query tokens
  int64_t first_token;       // batch row of the sequence's first query token
  int64_t kv_head;
  int64_t row_begin, row_end;
  int64_t split_begin, split_end;
  float* partial;  // null: write `out`; else the state goes here, state_floats(head_dim) floats
};

constexpr int64_t padded(int64_t head_dim) {
  return (head_dim + kPad - 1) / kPad * kPad;
}
// A softmax state of kRowTile rows: maximum, sum, weighted values.
constexpr int64_t state_floats(int64_t head_dim) {
  return kRowTile * (2 + padded(head_dim));
}
// Scales and biases of a tile of keys or of values: groups have 16 elements at least.
constexpr int64_t step_floats(int64_t head_dim) {
  return kKeyTile * 2 * (padded(head_dim) / 16);
}
// Scratch of one thread: q, scores, two states, a tile of keys and one of values.
constexpr int64_t scratch_floats(int64_t head_dim) {
  return kRowTile * (padded(head_dim) + kKeyTile) + 2 * state_floats(head_dim) +
         2 * (kKeyTile * (padded(head_dim) + 16) + step_floats(head_dim));
}

#define MICA_DECLARE_ATTENTION(isa)                                                              \
  namespace isa {                                                                                \
  void attend(const AttentionCall& call, const AttentionJob& job, float* scratch);               \
  /* Merges the partial states [0, count) of one row tile in order and writes `out`. */          \
  void merge_partials(const AttentionCall& call, const AttentionJob& job, const float* partials, \
                      int64_t count, float* scratch);                                            \
  }
MICA_DECLARE_ATTENTION(portable)
MICA_DECLARE_ATTENTION(avx2)
MICA_DECLARE_ATTENTION(avx512)
#undef MICA_DECLARE_ATTENTION

}  // namespace mica::kernels
