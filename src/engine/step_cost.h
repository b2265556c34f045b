// What steps cost on this machine, learned from those that ran.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mica {

// What a step held.
struct StepWork {
  int32_t decoding = 0;  // sequences with one known token to go
  int32_t drafts = 0;    // guesses behind those tokens
  int32_t prefill = 0;   // prompt tokens
};

// seconds = plain(decoding) + drafts * per_draft + prefill * per_prefill. Running means: prefill
// costs rise with the context and fall with larger chunks, so the last steps count most, and a rise
// counts more than a fall.
class StepCost {
 public:
  explicit StepCost(int32_t max_sequences) : plain_(static_cast<size_t>(max_sequences) + 1) {}

  void observe(const StepWork& work, double seconds);
  // A step of so many single tokens, or of the nearest number that ran; 0 = none ran.
  double plain(int32_t decoding) const;
  double per_draft() const { return per_draft_; }      // 0 = not known
  double per_prefill() const { return per_prefill_; }  // 0 = not known
  // Prompt tokens that fit into a step of `seconds` beside this work; 0 = not known, or none.
  int32_t prefill_within(double seconds, const StepWork& work) const;

 private:
  std::vector<double> plain_;  // by sequences
  double per_draft_ = 0, per_prefill_ = 0;
};

}  // namespace mica
