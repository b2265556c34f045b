// The small backtracking matcher. An instruction consumes characters of one set, or branches, or
// looks; loops run over single sets only, so a program has no cycles and the recursion is at most
// as deep as the program is long.
#include <algorithm>
#include <array>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr size_t kMaxInstructions = 4000;
constexpr uint32_t kMaxUnroll = 8;
// Steps of one attempt; a pattern that needs more is pathological and counts as no match.
constexpr uint64_t kMaxSteps = uint64_t{1} << 32;

struct Instruction {
  enum Op {
    kMatch,
    kSet,
    kAlternate,
    kLook,
    kAtomic,
    kLineStart,
    kLineEnd,
    kTextStart,
    kTextEnd,
    kTextEndNewline,
    kWordBoundary,
  };
  Op op = kMatch;
  RegexNode::Mode mode = RegexNode::kGreedy;
  bool negated = false;
  uint32_t set = 0, min = 1, max = 1;
  uint32_t next = 0;
  std::vector<uint32_t> targets;  // branches of kAlternate; the body of kLook and kAtomic
};

struct TooComplex {};

class Compiler {
 public:
  std::vector<Instruction> program;
  std::vector<RangeSet> sets;

  uint32_t add(Instruction instruction) {
    if (program.size() >= kMaxInstructions) throw TooComplex();
    program.push_back(std::move(instruction));
    return static_cast<uint32_t>(program.size() - 1);
  }
  uint32_t match() { return add(Instruction()); }

  // Code for `node` that goes on at `next`; returns where it begins.
  uint32_t compile(const RegexNode& node, uint32_t next) {
    Instruction it;
    it.next = next;
    it.negated = node.negated;
    switch (node.kind) {
      case RegexNode::kEmpty: return next;
      case RegexNode::kSet: return add_set(node.set, 1, 1, RegexNode::kGreedy, next);
      case RegexNode::kConcat:
        for (auto child = node.children.rbegin(); child != node.children.rend(); ++child)
          next = compile(*child, next);
        return next;
      case RegexNode::kCapture: return compile(node.children[0], next);
      case RegexNode::kAlternate: return compile_alternate(node, next);
      case RegexNode::kRepeat: return compile_repeat(node, next);
      case RegexNode::kAtomic:
        it.op = Instruction::kAtomic;
        it.targets = {compile(node.children[0], match())};
        return add(std::move(it));
      case RegexNode::kLook:
        if (node.behind) throw TooComplex();
        it.op = Instruction::kLook;
        it.targets = {compile(node.children[0], match())};
        return add(std::move(it));
      case RegexNode::kLineStart: return add_anchor(Instruction::kLineStart, it);
      case RegexNode::kLineEnd: return add_anchor(Instruction::kLineEnd, it);
      case RegexNode::kTextStart: return add_anchor(Instruction::kTextStart, it);
      case RegexNode::kTextEnd: return add_anchor(Instruction::kTextEnd, it);
      case RegexNode::kTextEndNewline: return add_anchor(Instruction::kTextEndNewline, it);
      case RegexNode::kWordBoundary:
        it.set = set_index(*property_set("word"));
        return add_anchor(Instruction::kWordBoundary, it);
      case RegexNode::kBackReference:
      case RegexNode::kKeep: break;
    }
    throw TooComplex();
  }

 private:
  uint32_t add_anchor(Instruction::Op op, Instruction it) {
    it.op = op;
    return add(std::move(it));
  }

  uint32_t set_index(const RangeSet& set) {
    auto found = std::find(sets.begin(), sets.end(), set);
    if (found == sets.end()) found = sets.insert(sets.end(), set);
    return static_cast<uint32_t>(found - sets.begin());
  }

  uint32_t add_set(const RangeSet& set, uint32_t min, uint32_t max, RegexNode::Mode mode,
                   uint32_t next) {
    Instruction it;
    it.op = Instruction::kSet;
    it.set = set_index(set);
    it.min = min, it.max = max, it.mode = mode, it.next = next;
    return add(std::move(it));
  }

  uint32_t compile_alternate(const RegexNode& node, uint32_t next) {
    if (std::optional<RangeSet> set = as_set(node))
      return add_set(*set, 1, 1, RegexNode::kGreedy, next);
    Instruction it;
    it.op = Instruction::kAlternate;
    for (const RegexNode& child : node.children) it.targets.push_back(compile(child, next));
    return add(std::move(it));
  }

  // The set when `node` always matches exactly one character.
  static std::optional<RangeSet> as_set(const RegexNode& node) {
    if (node.kind == RegexNode::kSet) return node.set;
    if (node.kind == RegexNode::kCapture) return as_set(node.children[0]);
    if (node.kind != RegexNode::kAlternate) return std::nullopt;
    RangeSet all;
    for (const RegexNode& child : node.children) {
      std::optional<RangeSet> set = as_set(child);
      if (!set) return std::nullopt;
      all = all | *set;
    }
    return all;
  }

  uint32_t compile_repeat(const RegexNode& node, uint32_t next) {
    const RegexNode* child = &node.children[0];
    if (std::optional<RangeSet> set = as_set(*child))
      return add_set(*set, node.min, node.max, node.mode, next);
    // (S{a,b})+ with a <= 1 takes the same texts in the same order as S+.
    if (child->kind == RegexNode::kRepeat && child->mode == RegexNode::kGreedy &&
        node.mode == RegexNode::kGreedy && child->min == 1 && node.min <= 1 &&
        node.max == RegexNode::kNoLimit) {
      if (std::optional<RangeSet> set = as_set(child->children[0]))
        return add_set(*set, node.min, RegexNode::kNoLimit, node.mode, next);
    }
    if (node.max > kMaxUnroll) throw TooComplex();
    if (node.mode == RegexNode::kPossessive) {
      RegexNode greedy = node;
      greedy.mode = RegexNode::kGreedy;
      RegexNode atomic;
      atomic.kind = RegexNode::kAtomic;
      atomic.children.push_back(std::move(greedy));
      return compile(atomic, next);
    }
    uint32_t at = next;
    for (uint32_t i = node.max; i-- > 0;) {
      uint32_t body = compile(*child, at);
      if (i < node.min) {
        at = body;
        continue;
      }
      Instruction it;
      it.op = Instruction::kAlternate;
      it.targets = {body, next};
      if (node.mode == RegexNode::kLazy) std::swap(it.targets[0], it.targets[1]);
      at = add(std::move(it));
    }
    return at;
  }
};

class SetEngine : public RegexEngine {
 public:
  explicit SetEngine(Compiler compiler, uint32_t start)
      : program_(std::move(compiler.program)), start_(start) {
    for (const RangeSet& set : compiler.sets) sets_.emplace_back(set);
    prepare_first(compiler.sets);
  }

  std::optional<Match> search(std::string_view text, size_t from) const override {
    Run run{text.data(), text.size()};
    for (size_t at = from; at <= text.size();) {
      const uint8_t byte = at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
      uint64_t branches = at == text.size() ? ~uint64_t{0}
                          : byte < 128      ? first_[byte]
                                            : first_other_;
      if (branches != 0 && attempt(run, at, branches)) return Match{at, run.end};
      if (at == text.size()) break;
      at += utf8_length(text[at]);
    }
    return std::nullopt;
  }

 private:
  struct Run {
    const char* text;
    size_t size;
    size_t end = 0;
    uint64_t steps = 0;
  };

  bool attempt(Run& run, size_t at, uint64_t branches) const {
    if (branch_starts_.empty()) return match(run, start_, at);
    for (; branches != 0; branches &= branches - 1) {
      auto i = static_cast<size_t>(__builtin_ctzll(branches));
      if (i >= branch_starts_.size()) return false;
      if (match(run, branch_starts_[i], at)) return true;
    }
    return false;
  }

  bool match(Run& run, uint32_t pc, size_t at) const {
    for (;;) {
      if (++run.steps > kMaxSteps) return false;
      const Instruction& it = program_[pc];
      switch (it.op) {
        case Instruction::kMatch: run.end = at; return true;
        case Instruction::kSet:
          if (it.max == 1 && it.min == 1) {
            if (!step(run, sets_[it.set], at)) return false;
          } else if (it.mode == RegexNode::kLazy) {
            return match_lazy(run, it, at);
          } else {
            size_t least = at;
            if (!consume(run, it, at, least)) return false;
            if (it.mode == RegexNode::kGreedy && program_[it.next].op != Instruction::kMatch)
              return back_off(run, it, at, least);
          }
          break;
        case Instruction::kAlternate:
          for (size_t i = 0; i + 1 < it.targets.size(); i++)
            if (match(run, it.targets[i], at)) return true;
          pc = it.targets.back();
          continue;
        case Instruction::kLook:
          if (match(run, it.targets[0], at) == it.negated) return false;
          break;
        case Instruction::kAtomic:
          if (!match(run, it.targets[0], at)) return false;
          at = run.end;
          break;
        default:
          if (!holds(run, it, at)) return false;
      }
      pc = it.next;
    }
  }

  static bool step(const Run& run, const CharSet& set, size_t& at) {
    if (at == run.size) return false;
    const auto byte = static_cast<uint8_t>(run.text[at]);
    if (byte < 128) return set.ascii(byte) ? (at++, true) : false;
    uint32_t length;
    if (!set.contains(decode_utf8(run.text + at, length))) return false;
    at += length;
    return true;
  }

  // Takes as many as possible; `least` is the position behind the first `min` of them.
  bool consume(const Run& run, const Instruction& it, size_t& at, size_t& least) const {
    const CharSet& set = sets_[it.set];
    uint32_t count = 0;
    while (count < it.max && step(run, set, at))
      if (++count == it.min) least = at;
    return count >= it.min;
  }

  bool back_off(Run& run, const Instruction& it, size_t at, size_t least) const {
    for (;;) {
      if (match(run, it.next, at)) return true;
      if (at == least) return false;
      at = previous_char({run.text, run.size}, at);
    }
  }

  bool match_lazy(Run& run, const Instruction& it, size_t at) const {
    for (uint32_t count = 0;; count++) {
      if (count >= it.min && match(run, it.next, at)) return true;
      if (count == it.max || !step(run, sets_[it.set], at)) return false;
    }
  }

  bool holds(const Run& run, const Instruction& it, size_t at) const {
    const std::string_view text(run.text, run.size);
    switch (it.op) {
      case Instruction::kTextStart: return at == 0;
      case Instruction::kTextEnd: return at == run.size;
      case Instruction::kTextEndNewline:
        return at == run.size || (at + 1 == run.size && text[at] == '\n');
      case Instruction::kLineStart: return at == 0 || (text[at - 1] == '\n' && at != run.size);
      case Instruction::kLineEnd: return at == run.size || text[at] == '\n';
      default: {
        size_t before = at == 0 ? 0 : previous_char(text, at), after = at;
        bool left = at != 0 && step(run, sets_[it.set], before);
        bool right = step(run, sets_[it.set], after);
        return (left != right) != it.negated;
      }
    }
  }

  // The characters a match from `pc` can begin with; everything when it may be empty.
  RangeSet first(const std::vector<RangeSet>& sets, uint32_t pc) const {
    const Instruction& it = program_[pc];
    switch (it.op) {
      case Instruction::kMatch: return RangeSet::all();
      case Instruction::kSet:
        return it.min > 0 ? sets[it.set] : sets[it.set] | first(sets, it.next);
      case Instruction::kAlternate: {
        RangeSet all;
        for (uint32_t target : it.targets) all = all | first(sets, target);
        return all;
      }
      case Instruction::kAtomic: return first(sets, it.targets[0]);
      default: return first(sets, it.next);
    }
  }

  void prepare_first(const std::vector<RangeSet>& sets) {
    std::vector<uint32_t> starts = {start_};
    if (program_[start_].op == Instruction::kAlternate && program_[start_].targets.size() <= 64)
      branch_starts_ = starts = program_[start_].targets;
    for (size_t i = 0; i < starts.size(); i++) {
      const RangeSet set = first(sets, starts[i]);
      const uint64_t bit = uint64_t{1} << i;
      for (char32_t c = 0; c < 128; c++)
        if (set.contains(c)) first_[c] |= bit;
      if (!(set & RangeSet({{128, kMaxCodePoint}})).empty()) first_other_ |= bit;
    }
  }

  std::vector<Instruction> program_;
  std::vector<CharSet> sets_;
  uint32_t start_;
  std::vector<uint32_t> branch_starts_;  // of the alternation at the top, if there is one
  std::array<uint64_t, 128> first_{};    // by first byte: the branches worth trying
  uint64_t first_other_ = 0;             // the same for characters that are not ASCII
};

}  // namespace

std::unique_ptr<RegexEngine> make_set_engine(const RegexNode& node) {
  try {
    Compiler compiler;
    uint32_t start = compiler.compile(node, compiler.match());
    return std::make_unique<SetEngine>(std::move(compiler), start);
  } catch (const TooComplex&) {
    return nullptr;
  }
}

}  // namespace mica::tok
