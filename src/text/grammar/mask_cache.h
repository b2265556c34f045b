// Which tokens a position allows, remembered by what decides it. A rule's automaton alone decides
// most tokens; those that run over the rule's end are decided by the caller's state, and so on
// outwards. A Context is one such chain of states (innermost first) with the tokens it settles, so
// that strings, numbers and words share their masks wherever they stand. The split into tokens that
// do and don't depend on the context is XGrammar's (arXiv:2411.15100), the walk over a token trie
// with a lazily determinized automaton that of Outlines (arXiv:2307.09702) and llguidance. States
// that look alike for the next TokenTrie::kNear bytes, as those of a counted repetition do at most
// counts, share what they decide about tokens of that length.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/grammar/stepper.h"
#include "text/grammar/vocabulary.h"

namespace mica::grammar {

class MaskCache {
 public:
  MaskCache(const Program& program, std::shared_ptr<const TokenVocabulary> vocabulary);
  // Adds the allowed tokens to `allowed`. Thread-safe.
  void mask(const Column& column, std::span<uint32_t> allowed);
  size_t memory() const;

 private:
  // A column in a frame that stands for any caller: `accepting` says that the rule may be complete.
  struct Local {
    struct Range {
      uint8_t lo, hi;
      uint32_t to;
    };
    ColumnPtr column;
    std::vector<Range> few;                            // transitions, while there are few
    std::unique_ptr<std::array<uint32_t, 256>> table;  // then all; kUnknown where not yet taken
    uint32_t plain_next = kUnknown;                    // see plain_step
    int32_t pressure = 0;                              // see Stepper
    bool accepting = false;
  };
  struct Context {
    std::vector<uint32_t> dense;  // a mask, or
    std::vector<int32_t> sparse;  // a few ids
    std::vector<uint32_t> exits;  // trie nodes at which the rule is complete
    int32_t pressure = 0;         // in a frame deeper than kMaxDepth less this it does not hold
    std::unordered_map<uint32_t, std::unique_ptr<Context>> outer;  // by the local of the return
  };
  struct StatesHash {
    size_t operator()(const std::vector<uint32_t>& states) const;
  };
  struct ColumnHash {
    size_t operator()(const ColumnPtr& column) const;
  };
  struct ColumnEqual {
    bool operator()(const ColumnPtr& a, const ColumnPtr& b) const;
  };
  using StateMap = std::unordered_map<std::vector<uint32_t>, uint32_t, StatesHash>;
  static constexpr uint32_t kDead = 0, kUnknown = UINT32_MAX;

  uint32_t local(Column column, int32_t pressure);
  uint32_t next(uint32_t local, uint8_t byte);
  uint32_t take(uint32_t local, uint8_t byte);
  uint32_t local_of(
      const std::vector<uint32_t>& states);  // of states in one frame, and their calls
  uint32_t plain_step(uint32_t local);
  uint32_t find_plain_step(uint32_t local);
  int plain_depth(uint32_t local);

  void fill(Context& context, uint32_t start, std::span<const uint32_t> entries);
  void fill_whole(Context& context, uint32_t start, const std::vector<uint32_t>& states);
  std::vector<uint32_t> surroundings(const std::vector<uint32_t>& states) const;
  void add_near(Context& context, const Context& alike);
  void walk(Context& context, uint32_t start, uint32_t entry, int plain, bool far = false);
  void store(Context& context);
  struct Seen;
  void add_outer(const Frame& frame, Context& context, std::span<uint32_t> allowed, Seen& seen);
  void slow_mask(const Column& column, std::span<uint32_t> allowed);
  void trim();
  size_t local_memory() const { return local_bytes_ + frames_.size() * 96; }

  const Program& program_;
  const std::shared_ptr<const TokenVocabulary> vocabulary_;
  const TokenTrie& trie_;
  mutable std::mutex mutex_;
  FrameTable frames_;
  Stepper local_stepper_, stepper_;
  FramePtr any_caller_;
  std::vector<Local> locals_;
  std::unordered_map<ColumnPtr, uint32_t, ColumnHash, ColumnEqual> local_ids_;
  StateMap state_locals_;
  std::unordered_map<uint32_t, std::unique_ptr<Context>> contexts_;              // by local
  std::unordered_map<std::vector<uint32_t>, const Context*, StatesHash> alike_;  // by surroundings
  std::vector<uint32_t> scratch_;  // a mask that is being made
  std::vector<uint32_t> path_;     // locals by depth, of a walk
  std::vector<uint32_t> group_;
  size_t context_bytes_ = 0, local_bytes_ = 0;
};

}  // namespace mica::grammar
