// Decode steps as recordings: a step of single tokens is padded to one of a few shapes, and each
// shape is recorded once. A device starts a recording in one call instead of hundreds.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <utility>

#include "engine/batch_builder.h"
#include "model/model.h"

namespace mica {

class DecodeGraphs {
 public:
  // `limits` as of the builder whose batches are recorded.
  DecodeGraphs(Backend& backend, Model& model, const BatchLimits& limits);

  // Whether the step is one of single tokens, all of which sample: no prompts, no drafts.
  static bool serves(std::span<const Slice> slices);
  // The shape that a step is padded to.
  Padding padding_for(std::span<const Slice> slices) const;
  // The logits of a batch with that padding, rows of padding included. A shape's first step runs
  // as usual, since kernels may allocate then; its second is recorded.
  Tensor run(const Batch& batch, const Padding& padding, KvCache& cache, Arena& arena);

  size_t recorded() const;

 private:
  struct Shape {
    std::unique_ptr<Recording> recording;
    Tensor logits;
  };
  Backend& backend_;
  Model& model_;
  const BatchLimits limits_;
  std::map<std::pair<int32_t, int32_t>, Shape> shapes_;  // by sequences, columns
};

}  // namespace mica
