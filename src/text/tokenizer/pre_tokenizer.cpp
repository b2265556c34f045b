#include "text/tokenizer/pre_tokenizer.h"

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/unicode_data.h"

namespace mica::tok {
namespace {

constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Part of a piece: a match of the pattern or what lies between matches.
struct Part {
  size_t begin, end;
  bool match;
};

// Joins neighbours as the behavior asks; the parts may be empty.
void join_parts(std::vector<Part>& parts, SplitBehavior behavior) {
  std::vector<Part> out;
  bool previous = false;
  const auto add = [&](const Part& part, bool joins) {
    if (joins && !out.empty()) {
      out.back().begin = std::min(out.back().begin, part.begin);
      out.back().end = std::max(out.back().end, part.end);
    } else {
      out.push_back(part);
    }
    previous = part.match;
  };
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (size_t i = parts.size(); i-- > 0;) add(parts[i], parts[i].match && !previous);
    parts.assign(out.rbegin(), out.rend());
    return;
  }
  const bool contiguous = behavior == SplitBehavior::kContiguous;
  for (const Part& part : parts)
    add(part, contiguous ? part.match == previous : part.match && !previous);
  parts = std::move(out);
}

// Splits each piece by the matches that each_match(text, visit(begin, end)) finds in it.
template <typename EachMatch>
void split_pieces(PieceList& list, SplitBehavior behavior, bool invert, EachMatch each_match) {
  std::vector<Piece> out;
  out.reserve(list.pieces.size() + list.text.size() / 4);
  std::vector<Part> parts;
  const bool direct = behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved;
  for (const Piece& piece : list.pieces) {
    const auto keep = [&](size_t begin, size_t end, bool match) {
      if (begin == end || (match && behavior == SplitBehavior::kRemoved)) return;
      out.push_back(
          {piece.begin + static_cast<uint32_t>(begin), piece.begin + static_cast<uint32_t>(end)});
    };
    const auto add = [&](size_t begin, size_t end, bool match) {
      match ^= invert;
      if (direct)
        keep(begin, end, match);
      else
        parts.push_back({begin, end, match});
    };
    const std::string_view text = list[piece];
    size_t done = 0;
    parts.clear();
    each_match(text, [&](size_t begin, size_t end) {
      if (done != begin) add(done, begin, false);
      add(begin, end, true);
      done = end;
    });
    if (done != text.size()) add(done, text.size(), false);
    if (direct) continue;
    join_parts(parts, behavior);
    for (const Part& part : parts) keep(part.begin, part.end, false);
  }
  list.pieces = std::move(out);
}

template <typename Test>
void split_chars(PieceList& list, SplitBehavior behavior, Test test) {
  split_pieces(list, behavior, false, [&test](std::string_view text, auto visit) {
    for (size_t at = 0; at < text.size();) {
      uint32_t length;
      if (test(decode_utf8(text.data() + at, length))) visit(at, at + length);
      at += length;
    }
  });
}

// Gives each piece a new text: write(piece, out) appends it and returns whether to keep the order.
template <typename Write>
void rewrite_pieces(PieceList& list, Write write) {
  std::string out;
  out.reserve(list.text.size() + list.pieces.size() * 2);
  size_t zero = 0;
  for (Piece& piece : list.pieces) {
    const auto begin = static_cast<uint32_t>(out.size());
    const bool front = piece.begin < list.zero_length;
    const size_t first = write(piece, out);
    if (front) zero = begin + first;
    piece = {begin, static_cast<uint32_t>(out.size())};
  }
  list.owned = std::move(out);
  list.text = list.owned;
  list.zero_length = zero;
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) regex_ = std::make_unique<Regex>(kGpt2Pattern);
  }
  bool set_raw_bytes() override { return raw_ = true; }

  void apply(PieceList& list) const override {
    if (add_prefix_space_ && lacks_space(list)) {
      rewrite_pieces(list, [&list](const Piece& piece, std::string& out) -> size_t {
        const std::string_view text = list[piece];
        const bool add = !text.starts_with(' ');
        if (add) out += ' ';
        out.append(text);
        return utf8_length(text[0]) + (add ? 1 : 0);
      });
    }
    if (regex_)
      split_pieces(list, SplitBehavior::kIsolated, false,
                   [this](std::string_view text, auto visit) { regex_->each_match(text, visit); });
    if (raw_) return;
    rewrite_pieces(list, [&list](const Piece& piece, std::string& out) -> size_t {
      ByteAlphabet::get().append_chars(out, list[piece]);
      return 1;
    });
  }

 private:
  static bool lacks_space(const PieceList& list) {
    for (const Piece& piece : list.pieces)
      if (list.text[piece.begin] != ' ') return true;
    return false;
  }
  bool add_prefix_space_, raw_ = false;
  std::unique_ptr<Regex> regex_;
};

class Split : public PreTokenizer {
 public:
  Split(std::string pattern, bool is_regex, SplitBehavior behavior, bool invert)
      : behavior_(behavior), invert_(invert) {
    if (is_regex || pattern.empty())
      regex_ = std::make_unique<Regex>(pattern);
    else
      literal_ = std::move(pattern);
  }
  void apply(PieceList& list) const override {
    if (regex_)
      return split_pieces(list, behavior_, invert_, [this](std::string_view text, auto visit) {
        regex_->each_match(text, visit);
      });
    split_pieces(list, behavior_, invert_, [this](std::string_view text, auto visit) {
      for (size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos;
           at += literal_.size())
        visit(at, at + literal_.size());
    });
  }

 private:
  std::unique_ptr<Regex> regex_;
  std::string literal_;
  SplitBehavior behavior_;
  bool invert_;
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split)
      : mark_(to_utf8(replacement)), scheme_(scheme), split_(split) {}

  void apply(PieceList& list) const override {
    rewrite_pieces(list, [&](const Piece& piece, std::string& out) -> size_t {
      const std::string_view text = list[piece];
      const bool marked = text[0] == ' ' || text.starts_with(mark_);
      const bool wanted = scheme_ == PrependScheme::kAlways ||
                          (scheme_ == PrependScheme::kFirst && piece.begin < list.zero_length);
      if (wanted && !marked) out += mark_;
      for (char c : text) {
        if (c == ' ')
          out += mark_;
        else
          out += c;
      }
      return 1;
    });
    if (!split_) return;
    std::vector<Piece> out;  // a new piece at each mark
    for (const Piece& piece : list.pieces) {
      uint32_t begin = piece.begin;
      for (size_t at = begin + 1; (at = list.text.find(mark_, at)) < piece.end; at++) {
        out.push_back({begin, static_cast<uint32_t>(at)});
        begin = static_cast<uint32_t>(at);
      }
      out.push_back({begin, piece.end});
    }
    list.pieces = std::move(out);
  }

 private:
  std::string mark_;
  PrependScheme scheme_;
  bool split_;
};

// Splits by a test of single characters.
template <bool (*kTest)(char32_t)>
class CharSplit : public PreTokenizer {
 public:
  explicit CharSplit(SplitBehavior behavior) : behavior_(behavior) {}
  void apply(PieceList& list) const override { split_chars(list, behavior_, kTest); }

 private:
  SplitBehavior behavior_;
};

class CharDelimiter : public PreTokenizer {
 public:
  explicit CharDelimiter(char32_t delimiter) : delimiter_(delimiter) {}
  void apply(PieceList& list) const override {
    split_chars(list, SplitBehavior::kRemoved, [this](char32_t c) { return c == delimiter_; });
  }

 private:
  char32_t delimiter_;
};

// Runs of word characters and runs of everything else, without white space.
class Whitespace : public PreTokenizer {
 public:
  void apply(PieceList& list) const override {
    split_pieces(list, SplitBehavior::kRemoved, true, [](std::string_view text, auto visit) {
      const auto kind_at = [text](size_t at, uint32_t& length) {
        const char32_t c = decode_utf8(text.data() + at, length);
        return is_rust_word(c) ? 1 : is_whitespace(c) ? 0 : 2;
      };
      for (size_t at = 0; at < text.size();) {
        uint32_t length;
        const size_t begin = at;
        const int kind = kind_at(at, length);
        for (at += length; at < text.size() && kind_at(at, length) == kind; at += length) {
        }
        if (kind != 0) visit(begin, at);
      }
    });
  }
};

class BertPreTokenizer : public PreTokenizer {
 public:
  void apply(PieceList& list) const override {
    split_chars(list, SplitBehavior::kRemoved, is_whitespace);
    split_chars(list, SplitBehavior::kIsolated, is_punctuation);
  }
};

// A piece begins where the script changes. Hiragana and Katakana count as Han; the blank and
// unknown characters as any script. What lies before the first known script is dropped, as in the
// reference.
class UnicodeScripts : public PreTokenizer {
 public:
  UnicodeScripts() {
    for (size_t i = 0; i < unicode_data::kScriptCount; i++) {
      const std::string_view name = unicode_data::kScriptNames[i];
      if (name == "han") han_ = static_cast<uint8_t>(i + 1);
      if (name == "hiragana") hiragana_ = static_cast<uint8_t>(i + 1);
      if (name == "katakana") katakana_ = static_cast<uint8_t>(i + 1);
    }
  }
  void apply(PieceList& list) const override {
    std::vector<Piece> out;
    for (const Piece& piece : list.pieces) {
      int last = -1;
      uint32_t begin = piece.end, length;
      for (uint32_t at = piece.begin; at < piece.end; at += length) {
        const int script = script_of(decode_utf8(list.text.data() + at, length));
        if (script == 0 || script == last) continue;
        if (begin < at) out.push_back({begin, at});
        begin = at;
        last = script;
      }
      if (begin < piece.end) out.push_back({begin, piece.end});
    }
    list.pieces = std::move(out);
  }

 private:
  int script_of(char32_t c) const {
    if (c == ' ') return 0;
    const uint8_t script = split_script(c);
    return c == 0x30FC || script == hiragana_ || script == katakana_ ? han_ : script;
  }
  uint8_t han_ = 0, hiragana_ = 0, katakana_ = 0;
};

class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(size_t chars) : chars_(chars) {}
  void apply(PieceList& list) const override {
    split_pieces(list, SplitBehavior::kIsolated, false, [this](std::string_view text, auto visit) {
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        for (size_t i = 0; i < chars_ && at < text.size(); i++) at += utf8_length(text[at]);
        visit(begin, at);
      }
    });
  }

 private:
  size_t chars_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<PreTokenizerPtr> parts) : parts_(std::move(parts)) {}
  void apply(PieceList& list) const override {
    for (const PreTokenizerPtr& part : parts_) part->apply(list);
  }
  bool set_raw_bytes() override { return !parts_.empty() && parts_.back()->set_raw_bytes(); }

 private:
  std::vector<PreTokenizerPtr> parts_;
};

}  // namespace

PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}
PreTokenizerPtr make_split(std::string pattern, bool is_regex, SplitBehavior behavior,
                           bool invert) {
  return std::make_unique<Split>(std::move(pattern), is_regex, behavior, invert);
}
PreTokenizerPtr make_metaspace(char32_t replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(replacement, scheme, split);
}
PreTokenizerPtr make_digits(bool individual) {
  return std::make_unique<CharSplit<is_numeric>>(individual ? SplitBehavior::kIsolated
                                                            : SplitBehavior::kContiguous);
}
PreTokenizerPtr make_punctuation(SplitBehavior behavior) {
  return std::make_unique<CharSplit<is_punctuation>>(behavior);
}
PreTokenizerPtr make_whitespace() {
  return std::make_unique<Whitespace>();
}
PreTokenizerPtr make_whitespace_split() {
  return std::make_unique<CharSplit<is_whitespace>>(SplitBehavior::kRemoved);
}
PreTokenizerPtr make_bert_pre_tokenizer() {
  return std::make_unique<BertPreTokenizer>();
}
PreTokenizerPtr make_unicode_scripts() {
  return std::make_unique<UnicodeScripts>();
}
PreTokenizerPtr make_char_delimiter(char32_t delimiter) {
  return std::make_unique<CharDelimiter>(delimiter);
}
PreTokenizerPtr make_fixed_length(size_t chars) {
  return std::make_unique<FixedLength>(chars);
}
PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> parts) {
  return std::make_unique<PreTokenizerSequence>(std::move(parts));
}

}  // namespace mica::tok
