// Sampling on the GPU: what the host uploads, what the kernels leave for each other, and the
// kernels' order. Nothing here is read by the host before the results, so that a later step may
// start from the token on the device.
//
// A row's logits are cut into chunks of kChunk, one block each; the last block of a row to finish
// ends the row's part of a kernel. Chunks depend on the vocabulary alone, sums are integers: a row
// has the same bits in any batch and under any schedule.
//
//   survey     every row         edits, mask, highest logit, log-sum-exp; ends rows of temperature
//   0 histogram  rows with search  counts and masses of bins by distance from the highest logit
//   refine     rows with search  the exact cut of top_p, min_p, top_k; the alternatives
//   exclude    rows with XTC     what it removes; with top_k, histogram and refine follow again
//   draw       rows that draw    the token
//
// Each reads the logits once: 4 V bytes a row and kernel, 0.6 MB for 151936 logits, mostly from L2,
// a microsecond or less; the start of a kernel costs more. Temperature 0 takes one kernel,
// temperature alone or with min_p two, top_p and top_k four, XTC five or seven.
#pragma once

#include "ops/cuda/runtime.h"
#include "ops/cuda/target.h"
#include "ops/sample/sample.h"

namespace mica::MICA_GPU::sampling {

inline constexpr int kBlock = 256;     // threads, at most
inline constexpr int kPerThread = 16;  // logits of a chunk
inline constexpr int kChunk = kBlock * kPerThread;
inline constexpr int kMaxVocabulary = 1 << 19;  // below it sums of weights fit 64 bits
inline constexpr int kMaxTop = 128;             // alternatives of a row
inline constexpr int kBins = 2048;
inline constexpr int kListed = 512;  // logits around a cut that are compared one with another

// One change of a logit. A row's edits are sorted by token; those of one token keep their order.
struct Edit {
  int32_t token;
  int32_t repetition;  // 0: l + value, 1: l < 0 ? l * value : l / value
  float value;
};

// One row as the host asks for it; filters are off in rows of temperature 0.
struct RowParams {
  int32_t first_edit, edits;        // in Batch::edits
  int32_t first_special, specials;  // in Batch::specials: exempt from XTC, distinct
  int32_t masked, first_word;       // on or off; in Batch::masks
  float temperature;                // 0: the likeliest token
  float top_p;                      // 0: off
  int32_t min_p;                    // on or off
  int32_t keep;                     // tokens that min_p leaves, at least 1
  int32_t top_k;                    // 0: off
  int32_t xtc;                      // happens or not
  float xtc_threshold;
  int32_t top;     // alternatives to return
  int32_t search;  // needs histogram and refine
  int32_t given;   // the result whatever is likeliest, at temperature 0; -1: none
  double log_min_p;
  double random;  // in [0, 1)
};

// Logits are ordered by 64 bits that rise from the first in sampling order to the last: the logit's
// bits so that higher ones come first, then the id. A cut is the last order kept.
using Order = uint64_t;
inline constexpr Order kEverything = ~Order{0};

// The running counts or masses that a search looks for.
enum Target { kTopP, kTopK, kKeep, kAlternatives, kTargets };

// Where a target is reached.
struct Place {
  int32_t bin;    // kBins: not sought, or never reached
  uint64_t rest;  // of the target, within the bin
};

// What a row's kernels leave for the next ones. Zero at first.
struct RowState {
  uint32_t tickets[8];  // blocks that finished, of each kernel
  uint32_t listed[2];   // of each search
  float highest;        // logit
  float top;            // highest logit to draw
  double log_sum;       // of exp(logit - highest)
  Order argmax;
  Order min_p;  // cut
  // The search.
  int32_t bin;  // in which the cut lies, kBins: none
  Place places[kTargets];
  uint64_t mass_above;  // of the bins before
  Order cut;
  // XTC: drawn are the orders from `start` to `cut`, and special tokens up to `special_cut`.
  Order xtc_bound;  // the last order above XTC's threshold, if it occurs
  Order start, special_cut;
  int64_t ranks_left;  // of top_k, from `start` on
};

// What one chunk leaves for the last block.
struct Partial {
  Order order;
  uint64_t sum;
};

struct Histogram {
  uint64_t mass[kBins];
  uint32_t count[kBins];
};

struct Batch {
  float* logits;  // [rows, vocabulary]
  int32_t rows, vocabulary;
  int32_t chunks;          // of a row
  int32_t threads;         // of a block
  int32_t results_stride;  // 1 + alternatives
  // Uploaded.
  RowState* states;         // [rows]
  const RowParams* params;  // [rows]
  const Edit* edits;
  const int32_t* specials;
  const uint32_t* masks;  // of rows with one: bit t % 32 of word t / 32
  // Of undefined content before.
  Partial* partials;      // [rows, chunks]
  Histogram* histograms;  // [rows]; these and lists only where a row searches
  Order* lists;           // [rows, kListed]
  TokenLogprob* results;  // [rows, results_stride]: the token, its alternatives
};

// Which kernels any row needs.
struct Plan {
  bool search = false, xtc = false, xtc_top_k = false, draw = false;
};

void survey(gpu::Stream& stream, const Batch& batch);
// search: 0 for all filters, 1 for top_k after XTC.
void histogram(gpu::Stream& stream, const Batch& batch, int search);
void refine(gpu::Stream& stream, const Batch& batch, int search);
void exclude(gpu::Stream& stream, const Batch& batch);
void draw(gpu::Stream& stream, const Batch& batch);

// All of them, between the upload and the results.
void sample_on_device(gpu::Stream& stream, const Batch& batch, const Plan& plan);

}  // namespace mica::MICA_GPU::sampling
