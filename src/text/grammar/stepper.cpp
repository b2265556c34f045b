#include "text/grammar/stepper.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/mix.h"

namespace mica::grammar {
namespace {

constexpr size_t kLinear = 24;  // items that are searched one by one

uint64_t hash_of(const Frame& frame) {
  uint64_t hash = mix64(static_cast<uint64_t>(frame.depth) * 2 + frame.ends);
  for (const Frame::Return& r : frame.returns)
    hash = mix64(hash ^ r.state ^ reinterpret_cast<uintptr_t>(r.frame.get()) * 31);
  return hash;
}

bool same(const Frame& a, const Frame& b) {
  return a.depth == b.depth && a.ends == b.ends &&
         std::equal(a.returns.begin(), a.returns.end(), b.returns.begin(), b.returns.end(),
                    [](const Frame::Return& x, const Frame::Return& y) {
                      return x.state == y.state && x.frame == y.frame;
                    });
}

}  // namespace

FramePtr FrameTable::unique(Frame frame) {
  const uint64_t hash = hash_of(frame);
  const auto [begin, end] = frames_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (same(*it->second, frame)) return it->second;
  size_ += 1 + frame.returns.size();
  return frames_.emplace(hash, std::make_shared<const Frame>(std::move(frame)))->second;
}

void FrameTable::clear() {
  frames_.clear();
  size_ = 0;
}

Stepper::Stepper(const Program& program, FrameTable* table) : program_(program), table_(table) {}

void Stepper::reset() {
  items_.clear();
  pending_.clear();
  if (!index_.empty()) index_.clear();
  accepting_ = false;
  pressure_ = 0;
  returns_ = 0;
}

Column Stepper::start(const FramePtr& frame, const std::vector<uint32_t>& states) {
  reset();
  for (const uint32_t state : states) add(state, {&frame, 0});
  return finish();
}

Column Stepper::step(const Column& column, uint8_t byte) {
  reset();
  for (const Column::Item& item : column.items)
    for (const ByteEdge& edge : program_.bytes(program_.state(item.state))) {
      if (edge.lo > byte) break;
      if (byte <= edge.hi) add(edge.target, {&item.frame, 0});
    }
  return finish();
}

bool Stepper::seen(uint32_t state, FrameRef frame) {
  const auto equal = [&](const ItemRef& item) { return item.state == state && item.frame == frame; };
  if (items_.size() < kLinear) return std::any_of(items_.begin(), items_.end(), equal);
  const auto key = [](const ItemRef& item) {
    const uint64_t where = item.frame.frame ? reinterpret_cast<uintptr_t>(item.frame.frame->get())
                                            : item.frame.pending * 2 + 1;
    return mix64(where * 0x9e3779b97f4a7c15u ^ item.state);
  };
  if (index_.empty())
    for (uint32_t i = 0; i < items_.size(); i++) index_[key(items_[i])].push_back(i);
  auto& same_key = index_[key({state, frame})];
  for (const uint32_t i : same_key)
    if (equal(items_[i])) return true;
  same_key.push_back(static_cast<uint32_t>(items_.size()));
  return false;
}

int32_t Stepper::depth(FrameRef frame) const {
  return frame.frame ? (*frame.frame)->depth : pending_[frame.pending].depth;
}

// A state from which the rule can't complete within the depth is left out; what stays therefore
// always has a way to the end of the text.
void Stepper::add(uint32_t state, FrameRef frame) {
  const int32_t reach = depth(frame) + program_.state(state).need;
  pressure_ = std::max(pressure_, reach);
  if (reach > kMaxDepth || seen(state, frame)) return;
  if (items_.size() >= kMaxItems) too_many();
  items_.push_back({state, frame});
}

void Stepper::close() {
  for (size_t i = 0; i < items_.size(); i++) {
    const ItemRef item = items_[i];
    const State& state = program_.state(item.state);
    // A rule that completes where it began: call() has gone on behind it already.
    if (state.accepting && item.frame.frame) pop(**item.frame.frame);
    for (const CallEdge& edge : program_.calls(state)) call(item, edge);
  }
}

void Stepper::pop(const Frame& frame) {
  accepting_ |= frame.ends;
  for (const Frame::Return& r : frame.returns) add(r.state, {&r.frame, 0});
}

void Stepper::call(const ItemRef& item, const CallEdge& edge) {
  const ProgramRule& rule = program_.rule(edge.rule);
  const State& target = program_.state(edge.target);
  const int32_t around = depth(item.frame);
  const int32_t reach = around + std::max(target.need, 1 + program_.state(rule.start).need);
  pressure_ = std::max(pressure_, reach);
  if (reach > kMaxDepth) return;
  // When nothing but the return is left, the callee takes over the caller's returns, so that right
  // recursion does not nest.
  const bool tail = program_.is_return(target);
  const uint32_t pending = pending_for(edge.rule, tail ? around : around + 1);
  if (tail)
    pending_[pending].tails.push_back(item.frame);
  else
    pending_[pending].returns.push_back({edge.target, item.frame});
  if (++returns_ > kMaxItems) too_many();
  add(rule.start, {nullptr, pending});
  if (rule.nullable) add(edge.target, item.frame);
}

uint32_t Stepper::pending_for(uint32_t rule, int32_t depth) {
  for (uint32_t i = 0; i < pending_.size(); i++)
    if (pending_[i].rule == rule && pending_[i].depth == depth) return i;
  pending_.push_back({rule, depth, {}, {}, nullptr});
  return static_cast<uint32_t>(pending_.size() - 1);
}

void Stepper::make_frame(Pending& pending) {
  Frame frame;
  frame.depth = pending.depth;
  for (const ItemRef& item : pending.returns)
    frame.returns.push_back({item.state, resolve(item.frame)});
  for (const FrameRef& tail : pending.tails) {
    const Frame& around = *resolve(tail);
    frame.ends |= around.ends;
    frame.returns.insert(frame.returns.end(), around.returns.begin(), around.returns.end());
    returns_ += around.returns.size();
    if (returns_ > 4 * kMaxItems) too_many();
  }
  if (frame.returns.size() > 1) {
    const auto key = [](const Frame::Return& r) { return std::pair(r.frame.get(), r.state); };
    std::sort(frame.returns.begin(), frame.returns.end(),
              [&](const auto& a, const auto& b) { return key(a) < key(b); });
    frame.returns.erase(std::unique(frame.returns.begin(), frame.returns.end(),
                                    [&](const auto& a, const auto& b) { return key(a) == key(b); }),
                        frame.returns.end());
  }
  pending.made = table_ ? table_->unique(std::move(frame))
                        : std::make_shared<const Frame>(std::move(frame));
}

Column Stepper::finish() {
  close();
  if (!pending_.empty()) {
    // Callers before those that they call.
    std::vector<uint32_t> order(pending_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return program_.rule(pending_[a].rule).rank < program_.rule(pending_[b].rule).rank;
    });
    for (const uint32_t i : order) make_frame(pending_[i]);
  }
  Column out;
  out.accepting = accepting_;
  out.items.reserve(items_.size());
  for (const ItemRef& item : items_) {
    const State& state = program_.state(item.state);
    if (state.bytes_begin == state.bytes_end) continue;
    out.items.push_back({item.state, resolve(item.frame)});
    out.depth = std::max(out.depth, out.items.back().frame->depth);
  }
  const auto key = [](const Column::Item& item) { return std::pair(item.frame.get(), item.state); };
  if (out.items.size() > 1) {
    std::sort(out.items.begin(), out.items.end(),
              [&](const auto& a, const auto& b) { return key(a) < key(b); });
    out.items.erase(std::unique(out.items.begin(), out.items.end(),
                                [&](const auto& a, const auto& b) { return key(a) == key(b); }),
                    out.items.end());
  }
  return out;
}

void Stepper::too_many() const {
  throw Error(ErrorKind::kUsage,
              "[grammar] too ambiguous: more than {} ways to read the text at one place; remove "
              "rules that can match the same text in many ways",
              kMaxItems);
}

}  // namespace mica::grammar
