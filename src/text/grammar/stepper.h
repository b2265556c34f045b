// Follows a Program byte by byte: a column holds every automaton state that the text so far may be
// in, each with the calls around it. Calls made at one position are shared and keep a set of
// returns, as in Earley's parser and graph-structured stacks (Earley 1970; Tomita 1986; Scott and
// Johnstone, GLL, 2010), so that ambiguity costs polynomial, not exponential, space. Columns and
// frames never change: keeping one is a pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "text/grammar/program.h"

namespace mica::grammar {

struct Frame;
using FramePtr = std::shared_ptr<const Frame>;

// One call of a rule, and where it goes on afterwards.
struct Frame {
  struct Return {
    uint32_t state;
    FramePtr frame;
  };
  std::vector<Return> returns;
  bool ends = false;  // the text may end when the rule is complete
  int32_t depth = 0;
};

struct Column {
  struct Item {
    uint32_t state;
    FramePtr frame;
  };
  std::vector<Item> items;  // states with bytes to read, sorted by frame; no two are equal
  bool accepting = false;   // the text may end here
  int32_t depth = 0;        // the largest of a frame

  bool dead() const { return items.empty() && !accepting; }
};
using ColumnPtr = std::shared_ptr<const Column>;

// One pointer for equal frames, so that columns can be compared; made for frames that live in it.
class FrameTable {
 public:
  FramePtr unique(Frame frame);
  size_t size() const { return size_; }
  void clear();

 private:
  std::unordered_multimap<uint64_t, FramePtr> frames_;
  size_t size_ = 0;
};

// More states and returns than this at one position is an error: the grammar is too ambiguous.
constexpr size_t kMaxItems = 4096;

// Scratch memory of one thread.
class Stepper {
 public:
  explicit Stepper(const Program& program, FrameTable* table = nullptr);

  // Where the root rule begins in `frame`; also where `states` of a rule go on in it.
  Column start(const FramePtr& frame, const std::vector<uint32_t>& states);
  // Behind one byte; dead() when it is not allowed. Throws Error(kUsage) over kMaxItems.
  Column step(const Column& column, uint8_t byte);
  // The depth, nesting still needed included, up to which the last call went or wanted to go.
  int32_t pressure() const { return pressure_; }

 private:
  // A frame, or one that is being made at this position.
  struct FrameRef {
    const FramePtr* frame = nullptr;
    uint32_t pending = 0;
    bool operator==(const FrameRef& o) const {
      return frame ? o.frame && frame->get() == o.frame->get() : !o.frame && pending == o.pending;
    }
  };
  struct ItemRef {
    uint32_t state;
    FrameRef frame;
  };
  struct Pending {
    uint32_t rule;
    int32_t depth;
    std::vector<ItemRef> returns;
    std::vector<FrameRef> tails;  // whose returns are also returns of this one
    FramePtr made;
  };
  void reset();
  void add(uint32_t state, FrameRef frame);
  bool seen(uint32_t state, FrameRef frame);
  void close();
  void pop(const Frame& frame);
  void call(const ItemRef& item, const CallEdge& edge);
  uint32_t pending_for(uint32_t rule, int32_t depth);
  int32_t depth(FrameRef frame) const;
  Column finish();
  void make_frame(Pending& pending);
  const FramePtr& resolve(FrameRef frame) const {
    return frame.frame ? *frame.frame : pending_[frame.pending].made;
  }
  [[noreturn]] void too_many() const;

  const Program& program_;
  FrameTable* table_;
  std::vector<ItemRef> items_;  // of the new position, in the order found
  std::vector<Pending> pending_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> index_;  // over many items_: by hash
  bool accepting_ = false;
  int32_t pressure_ = 0;
  size_t returns_ = 0;
};

}  // namespace mica::grammar
