// Regular expressions of tokenizer files: Oniguruma's Ruby-like syntax with its Unicode tables.
// Two engines behind one interface: a small backtracking matcher over character sets, which runs
// every pattern of the known tokenizers, and PCRE2 (JIT) for what it does not know
// (back references, look-behind, loops over groups).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer/char_set.h"

namespace mica::tok {

struct Match {
  size_t begin, end;
};

// One search of a compiled pattern. Thread-safe.
class RegexEngine {
 public:
  virtual ~RegexEngine() = default;
  // Leftmost match that begins at `from` or later; `text` is valid UTF-8.
  virtual std::optional<Match> search(std::string_view text, size_t from) const = 0;
};

enum class RegexChoice { kBest, kPcre2 };

class Regex {
 public:
  // Throws Error(kCheckpoint) for a pattern that neither engine understands.
  explicit Regex(std::string_view pattern, RegexChoice choice = RegexChoice::kBest);
  static std::string escape(std::string_view literal);

  // Calls visit(begin, end) for each match from left to right. An empty match right behind the
  // match before it is skipped.
  template <typename Visit>
  void each_match(std::string_view text, Visit visit) const {
    size_t from = 0;
    std::optional<size_t> last_end;
    while (from <= text.size()) {
      std::optional<Match> m = engine_->search(text, from);
      if (!m) return;
      if (m->begin == m->end && last_end == m->end) {
        from = next_char(text, from);
        continue;
      }
      from = m->end;
      last_end = m->end;
      visit(m->begin, m->end);
    }
  }
  bool is_pcre2() const { return is_pcre2_; }

 private:
  static size_t next_char(std::string_view text, size_t at);
  std::unique_ptr<RegexEngine> engine_;
  bool is_pcre2_ = false;
};

// ---- The parts of a compiled pattern, for the two engines and their tests.

struct RegexNode {
  enum Kind {
    kEmpty,
    kSet,             // one character of `set`
    kConcat,          // children in order
    kAlternate,       // first child that leads to a match
    kRepeat,          // children[0], min to max times
    kAtomic,          // (?>…)
    kCapture,         // (…), seen by back references only
    kLook,            // (?=…) (?!…) (?<=…) (?<!…)
    kBackReference,   // \min
    kLineStart,       // ^
    kLineEnd,         // $
    kTextStart,       // \A
    kTextEnd,         // \z
    kTextEndNewline,  // \Z
    kWordBoundary,    // \b, negated \B
    kKeep,            // \K
  };
  enum Mode { kGreedy, kLazy, kPossessive };
  static constexpr uint32_t kNoLimit = ~uint32_t{0};

  Kind kind = kEmpty;
  RangeSet set;
  std::vector<RegexNode> children;
  uint32_t min = 0, max = 0;
  Mode mode = kGreedy;
  bool negated = false, behind = false;
};

// nullopt for a pattern outside the known syntax; `reason` says why.
std::optional<RegexNode> parse_regex(std::string_view pattern, std::string& reason);
// nullptr when the pattern needs PCRE2.
std::unique_ptr<RegexEngine> make_set_engine(const RegexNode& node);
// `node` nullptr: the pattern goes to PCRE2 as it stands. Throws Error(kCheckpoint).
std::unique_ptr<RegexEngine> make_pcre2_engine(const RegexNode* node, std::string_view pattern);

}  // namespace mica::tok
