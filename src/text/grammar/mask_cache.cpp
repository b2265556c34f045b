#include "text/grammar/mask_cache.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/error.h"
#include "base/mix.h"

namespace mica::grammar {
namespace {

constexpr size_t kMaxLocalBytes = size_t{48} << 20, kMaxContextBytes = size_t{48} << 20;
constexpr size_t kFewTransitions = 6;
constexpr size_t kMaxSurroundings = 192;  // states; visiting them takes about 5 us

struct TooManyLocals {};
struct TooDeep {};

void set_bit(std::span<uint32_t> mask, int32_t id) {
  mask[static_cast<size_t>(id) / 32] |= 1u << id % 32;
}

}  // namespace

size_t MaskCache::StatesHash::operator()(const std::vector<uint32_t>& states) const {
  uint64_t hash = states.size();
  for (const uint32_t state : states) hash = mix64(hash ^ (state + 0x9e3779b97f4a7c15u));
  return hash;
}

size_t MaskCache::ColumnHash::operator()(const ColumnPtr& column) const {
  uint64_t hash = column->items.size() * 2 + column->accepting;
  for (const Column::Item& item : column->items)
    hash = mix64(hash ^ item.state ^ reinterpret_cast<uintptr_t>(item.frame.get()) * 31);
  return hash;
}

bool MaskCache::ColumnEqual::operator()(const ColumnPtr& a, const ColumnPtr& b) const {
  return a->accepting == b->accepting &&
         std::equal(a->items.begin(), a->items.end(), b->items.begin(), b->items.end(),
                    [](const Column::Item& x, const Column::Item& y) {
                      return x.state == y.state && x.frame == y.frame;
                    });
}

MaskCache::MaskCache(const Program& program, std::shared_ptr<const TokenVocabulary> vocabulary)
    : program_(program),
      vocabulary_(std::move(vocabulary)),
      trie_(vocabulary_->impl().trie),
      local_stepper_(program, &frames_),
      stepper_(program) {
  Frame any;
  any.ends = true;
  any_caller_ = std::make_shared<const Frame>(std::move(any));
  path_.resize(trie_.max_depth + 1);
  scratch_.assign(vocabulary_->mask_words(), 0);
  trim();
}

size_t MaskCache::memory() const {
  const std::lock_guard lock(mutex_);
  return context_bytes_ + local_memory() + scratch_.size() * 4;
}

// Everything goes at once when it has grown too large; it comes back as it is needed.
void MaskCache::trim() {
  if (!locals_.empty() && context_bytes_ < kMaxContextBytes && local_memory() < kMaxLocalBytes)
    return;
  alike_.clear();
  contexts_.clear();
  state_locals_.clear();
  local_ids_.clear();
  locals_.clear();
  frames_.clear();
  context_bytes_ = local_bytes_ = 0;
  local(Column(), 0);  // kDead
}

uint32_t MaskCache::local(Column column, int32_t pressure) {
  if (local_memory() > 4 * kMaxLocalBytes) throw TooManyLocals{};
  const auto id = static_cast<uint32_t>(locals_.size());
  auto pointer = std::make_shared<const Column>(std::move(column));
  const auto [it, fresh] = local_ids_.try_emplace(pointer, id);
  if (!fresh) return it->second;
  local_bytes_ += sizeof(Local) + 96 + pointer->items.size() * sizeof(Column::Item);
  locals_.emplace_back();
  locals_.back().accepting = pointer->accepting;
  locals_.back().pressure = pressure;
  locals_.back().column = std::move(pointer);
  return id;
}

inline uint32_t MaskCache::next(uint32_t id, uint8_t byte) {
  const Local& from = locals_[id];
  if (from.table) {
    const uint32_t known = (*from.table)[byte];
    if (known != kUnknown) return known;
  } else {
    for (const Local::Range& range : from.few)
      if (range.lo <= byte && byte <= range.hi) return range.to;
  }
  return take(id, byte);
}

// The bytes around one between which no edge begins or ends all lead to the same place.
uint32_t MaskCache::take(uint32_t id, uint8_t byte) {
  Local::Range range{0, 255, kDead};
  for (const Column::Item& item : locals_[id].column->items)
    for (const ByteEdge& edge : program_.bytes(program_.state(item.state))) {
      if (edge.lo > byte) {
        range.hi = std::min<uint8_t>(range.hi, static_cast<uint8_t>(edge.lo - 1));
        break;
      }
      if (edge.hi < byte) {
        range.lo = std::max<uint8_t>(range.lo, static_cast<uint8_t>(edge.hi + 1));
        continue;
      }
      range.lo = std::max(range.lo, edge.lo);
      range.hi = std::min(range.hi, edge.hi);
    }
  Column column = local_stepper_.step(*locals_[id].column, byte);
  range.to = local(std::move(column), local_stepper_.pressure());
  Local& from = locals_[id];
  if (!from.table && from.few.size() < kFewTransitions) {
    from.few.push_back(range);
    local_bytes_ += sizeof(range);
    return range.to;
  }
  if (!from.table) {
    from.table = std::make_unique<std::array<uint32_t, 256>>();
    from.table->fill(kUnknown);
    for (const Local::Range& r : from.few)
      std::fill(from.table->begin() + r.lo, from.table->begin() + r.hi + 1, r.to);
    local_bytes_ += sizeof(*from.table);
  }
  std::fill(from.table->begin() + range.lo, from.table->begin() + range.hi + 1, range.to);
  return range.to;
}

uint32_t MaskCache::local_of(const std::vector<uint32_t>& states) {
  const auto it = state_locals_.find(states);
  if (it != state_locals_.end()) return it->second;
  Column column = local_stepper_.start(any_caller_, states);
  return state_locals_[states] = local(std::move(column), local_stepper_.pressure());
}

// The one local behind every plain character, kDead when there is none.
uint32_t MaskCache::plain_step(uint32_t id) {
  if (locals_[id].plain_next == kUnknown) {
    const uint32_t to = find_plain_step(id);
    locals_[id].plain_next = to;
  }
  return locals_[id].plain_next;
}

uint32_t MaskCache::find_plain_step(uint32_t id) {
  const uint32_t to = next(id, ' ');
  if (to == kDead || locals_[to].accepting) return kDead;
  for (uint32_t byte = 0x21; byte < 0x80; byte++)
    if (byte != '"' && byte != '\\' && next(id, static_cast<uint8_t>(byte)) != to) return kDead;
  struct Lead {
    uint8_t lo, hi, second_lo, second_hi, length;
  };
  static constexpr Lead kLeads[] = {{0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
                                    {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
                                    {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  const auto follow = [&](std::vector<uint32_t>& from, uint32_t lo, uint32_t hi) {
    std::vector<uint32_t> out;
    for (const uint32_t l : from)
      for (uint32_t byte = lo; byte <= hi; byte++) {
        const uint32_t target = next(l, static_cast<uint8_t>(byte));
        if (std::find(out.begin(), out.end(), target) == out.end()) out.push_back(target);
      }
    from = std::move(out);
  };
  for (const Lead& lead : kLeads) {
    std::vector<uint32_t> at{id};
    follow(at, lead.lo, lead.hi);
    follow(at, lead.second_lo, lead.second_hi);
    for (int i = 2; i < lead.length; i++) follow(at, 0x80, 0xBF);
    if (at.size() != 1 || at[0] != to) return kDead;
  }
  return to;
}

// How many plain characters are certainly allowed in a row, up to kMaxPlain, without leaving the
// rule.
int MaskCache::plain_depth(uint32_t id) {
  for (int depth = 0; depth < kMaxPlain; depth++) {
    const uint32_t to = plain_step(id);
    if (to == kDead) return depth;
    if (to == id) return kMaxPlain;
    id = to;
  }
  return kMaxPlain;
}

// Tokens that run over the end of a rule, from the nodes where it ended.
void MaskCache::fill(Context& context, uint32_t start, std::span<const uint32_t> entries) {
  std::fill(scratch_.begin(), scratch_.end(), 0u);
  context.pressure = locals_[start].pressure;
  for (const uint32_t entry : entries) {
    if (locals_[start].accepting) context.exits.push_back(entry);
    walk(context, start, entry, 0);
  }
  store(context);
}

// All tokens, from where `states` of a rule, the local `start`, go on.
void MaskCache::fill_whole(Context& context, uint32_t start, const std::vector<uint32_t>& states) {
  std::fill(scratch_.begin(), scratch_.end(), 0u);
  const int plain = plain_depth(start);
  context.pressure = locals_[start].pressure;
  if (plain > 0) {
    const auto& mask = vocabulary_->impl().plain[static_cast<size_t>(plain - 1)];
    std::copy(mask.begin(), mask.end(), scratch_.begin());
    context.pressure = std::max(context.pressure, locals_[plain_step(start)].pressure);
  }
  std::vector<uint32_t> key = surroundings(states);
  const auto alike = alike_.find(key);
  if (!key.empty() && alike != alike_.end()) {
    add_near(context, *alike->second);
    walk(context, start, 0, plain, true);
  } else {
    walk(context, start, 0, plain);
  }
  store(context);
  if (key.empty() || alike != alike_.end()) return;
  context_bytes_ += 96 + 4 * key.size();
  alike_.emplace(std::move(key), &context);
}

// The automaton up to kNear bytes behind `states`, states numbered in the order in which they are
// met, called rules by their own numbers: equal for states that take the same texts of that length
// to the same ends. Empty where that can't be said: more than kMaxSurroundings states, or calls
// that may read nothing.
std::vector<uint32_t> MaskCache::surroundings(const std::vector<uint32_t>& states) const {
  std::vector<uint32_t> out{static_cast<uint32_t>(states.size())};
  std::vector<uint32_t> met;
  std::unordered_map<uint32_t, uint32_t> numbers;
  const auto number = [&](uint32_t state) {
    const auto [it, fresh] = numbers.try_emplace(state, static_cast<uint32_t>(numbers.size()));
    if (fresh) met.push_back(state);
    return it->second;
  };
  for (const uint32_t state : states) number(state);
  size_t at = 0;
  for (size_t depth = 0; depth <= TokenTrie::kNear; depth++)
    for (const size_t end = met.size(); at < end; at++) {
      const State& state = program_.state(met[at]);
      const std::span<const ByteEdge> bytes = program_.bytes(state);
      const std::span<const CallEdge> calls = program_.calls(state);
      out.push_back(static_cast<uint32_t>(state.need) << 1 | state.accepting);
      if (depth == TokenTrie::kNear) continue;
      out.push_back(static_cast<uint32_t>(bytes.size()));
      out.push_back(static_cast<uint32_t>(calls.size()));
      for (const ByteEdge& edge : bytes) {
        out.push_back(uint32_t{edge.lo} << 8 | edge.hi);
        out.push_back(number(edge.target));
      }
      for (const CallEdge& edge : calls) {
        if (program_.rule(edge.rule).nullable) return {};
        out.push_back(edge.rule);
        out.push_back(number(edge.target));
      }
      if (met.size() > kMaxSurroundings) return {};
    }
  return out;
}

// What is true of tokens of at most kNear bytes in a context with the same surroundings.
void MaskCache::add_near(Context& context, const Context& alike) {
  const std::vector<uint32_t>& near = vocabulary_->impl().near;
  for (size_t i = 0; i < alike.dense.size(); i++) scratch_[i] |= alike.dense[i] & near[i];
  for (const int32_t id : alike.sparse)
    if (near[static_cast<size_t>(id) / 32] >> id % 32 & 1) set_bit(scratch_, id);
  for (const uint32_t exit : alike.exits)
    if (trie_.nodes[exit].depth <= TokenTrie::kNear) context.exits.push_back(exit);
  context.pressure = std::max(context.pressure, alike.pressure);
}

// Tokens below `entry` that can be read from `start`; those of at most `plain` plain characters are
// there already, and with `far` so is all that tokens of at most kNear bytes decide.
void MaskCache::walk(Context& context, uint32_t start, uint32_t entry, int plain, bool far) {
  const TokenTrie::Node* nodes = trie_.nodes.data();
  const uint32_t end = nodes[entry].end, top = nodes[entry].depth;
  path_[top] = start;
  for (uint32_t i = entry + 1; i < end;) {
    const TokenTrie::Node& node = nodes[i];
    if (far && !node.far) {
      i = node.end;
      continue;
    }
    if (node.plain <= plain) {
      i = plain == kMaxPlain ? trie_.next_rest[i] : node.end;
      continue;
    }
    const uint32_t to = next(path_[node.depth - 1], node.byte);
    if (to == kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = to;
    for (uint32_t t = node.tokens; t < nodes[i + 1].tokens; t++) set_bit(scratch_, trie_.ids[t]);
    context.pressure = std::max(context.pressure, locals_[to].pressure);
    if (node.end > i + 1 && locals_[to].accepting && !(far && node.depth <= TokenTrie::kNear))
      context.exits.push_back(i);
    i++;
  }
}

void MaskCache::store(Context& context) {
  size_t count = 0;
  for (const uint32_t word : scratch_) count += static_cast<size_t>(std::popcount(word));
  if (count > scratch_.size()) {
    context.dense = scratch_;
  } else {
    context.sparse.reserve(count);
    for (size_t i = 0; i < scratch_.size(); i++)
      for (uint32_t word = scratch_[i]; word; word &= word - 1)
        context.sparse.push_back(static_cast<int32_t>(i * 32) + std::countr_zero(word));
  }
  context.exits.shrink_to_fit();
  context_bytes_ += sizeof(Context) + 64 +
                    4 * (context.dense.size() + context.sparse.size() + context.exits.size());
}

// Pairs of context and frame that were added already, so that shared frames are taken once.
struct MaskCache::Seen {
  std::set<std::pair<const Context*, const Frame*>> pairs;
};

namespace {

void add_tokens(std::span<uint32_t> allowed, const std::vector<uint32_t>& dense,
                const std::vector<int32_t>& sparse) {
  for (size_t i = 0; i < dense.size(); i++) allowed[i] |= dense[i];
  for (const int32_t id : sparse) set_bit(allowed, id);
}

}  // namespace

// Tokens that run over the end of the rule called in `frame`, as its returns decide.
void MaskCache::add_outer(const Frame& frame, Context& context, std::span<uint32_t> allowed,
                          Seen& seen) {
  if (context.exits.empty() || !seen.pairs.insert({&context, &frame}).second) return;
  for (size_t i = 0; i < frame.returns.size();) {
    const Frame* around = frame.returns[i].frame.get();
    std::vector<uint32_t> states;
    for (; i < frame.returns.size() && frame.returns[i].frame.get() == around; i++)
      states.push_back(frame.returns[i].state);
    const uint32_t start = local_of(states);
    auto& outer = context.outer[start];
    if (!outer) {
      auto fresh = std::make_unique<Context>();
      fill(*fresh, start, context.exits);
      outer = std::move(fresh);
    }
    if (around->depth + outer->pressure > kMaxDepth) throw TooDeep{};
    add_tokens(allowed, outer->dense, outer->sparse);
    add_outer(*around, *outer, allowed, seen);
  }
}

void MaskCache::mask(const Column& column, std::span<uint32_t> allowed) {
  const std::lock_guard lock(mutex_);
  trim();
  try {
    Seen seen;
    for (size_t i = 0; i < column.kernel.size();) {
      const Frame* frame = column.kernel[i].frame.get();
      group_.clear();
      for (; i < column.kernel.size() && column.kernel[i].frame.get() == frame; i++)
        group_.push_back(column.kernel[i].state);
      const uint32_t start = local_of(group_);
      auto& context = contexts_[start];
      if (!context) {
        auto fresh = std::make_unique<Context>();
        fill_whole(*fresh, start, group_);
        context = std::move(fresh);
      }
      if (frame->depth + context->pressure > kMaxDepth) throw TooDeep{};
      add_tokens(allowed, context->dense, context->sparse);
      add_outer(*frame, *context, allowed, seen);
    }
    return;
  } catch (const TooManyLocals&) {
  } catch (const TooDeep&) {  // contexts don't know the depth around them
  }
  slow_mask(column, allowed);
}

void MaskCache::slow_mask(const Column& column, std::span<uint32_t> allowed) {
  std::vector<Column> path(trie_.max_depth + 1);
  path[0] = column;
  for (uint32_t i = 1; i + 1 < trie_.nodes.size();) {
    const TokenTrie::Node& node = trie_.nodes[i];
    path[node.depth] = stepper_.step(path[node.depth - 1], node.byte);
    if (path[node.depth].dead()) {
      i = node.end;
      continue;
    }
    for (uint32_t t = node.tokens; t < trie_.nodes[i + 1].tokens; t++)
      set_bit(allowed, trie_.ids[t]);
    i++;
  }
}

}  // namespace mica::grammar
