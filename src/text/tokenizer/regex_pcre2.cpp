// The PCRE2 engine, and the choice between the engines.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <mutex>

#include "base/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kDepthLimit = 100'000;

// Writes a tree as a PCRE2 pattern in which every set is a list of code points.
class Writer {
 public:
  std::string out;

  void write(const RegexNode& node) {
    switch (node.kind) {
      case RegexNode::kEmpty: return;
      case RegexNode::kSet: return write_set(node.set);
      case RegexNode::kConcat:
        for (const RegexNode& child : node.children) write(child);
        return;
      case RegexNode::kAlternate: return write_group("(?:", node, ")");
      case RegexNode::kAtomic: return write_group("(?>", node, ")");
      case RegexNode::kCapture: return write_group("(", node, ")");
      case RegexNode::kLook:
        out += node.behind ? "(?<" : "(?";
        return write_group(node.negated ? "!" : "=", node, ")");
      case RegexNode::kRepeat:
        write_group("(?:", node, ")");
        out += fmt::format("{{{},", node.min);
        if (node.max != RegexNode::kNoLimit) out += fmt::format("{}", node.max);
        out += node.mode == RegexNode::kGreedy ? "}" : node.mode == RegexNode::kLazy ? "}?" : "}+";
        return;
      case RegexNode::kBackReference: out += fmt::format("\\g{{{}}}", node.min); return;
      case RegexNode::kLineStart: out += "(?m:^)"; return;
      case RegexNode::kLineEnd: out += "(?m:$)"; return;
      case RegexNode::kTextStart: out += "\\A"; return;
      case RegexNode::kTextEnd: out += "\\z"; return;
      case RegexNode::kTextEndNewline: out += "\\Z"; return;
      case RegexNode::kKeep: out += "\\K"; return;
      case RegexNode::kWordBoundary: return write_boundary(node.negated);
    }
  }

 private:
  void write_group(const char* open, const RegexNode& node, const char* close) {
    out += open;
    for (size_t i = 0; i < node.children.size(); i++) {
      if (i) out += '|';
      write(node.children[i]);
    }
    out += close;
  }

  void write_set(const RangeSet& set) {
    // Surrogates can't occur in valid UTF-8, and PCRE2 refuses them.
    RangeSet legal = set - RangeSet({{0xD800, 0xDFFF}});
    if (legal.empty()) {
      out += "(?!)";
      return;
    }
    out += '[';
    for (auto [low, high] : legal.ranges()) {
      out += fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(low));
      if (high > low) out += fmt::format("-\\x{{{:x}}}", static_cast<uint32_t>(high));
    }
    out += ']';
  }

  void write_boundary(bool negated) {
    Writer word;
    word.write_set(*property_set("word"));
    const std::string& w = word.out;
    out += negated ? fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", w)
                   : fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", w);
  }
};

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

class Pcre2Engine : public RegexEngine {
 public:
  Pcre2Engine(const std::string& pattern, uint32_t options, std::string_view shown) {
    pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              options | PCRE2_UTF, &error, &offset, context));
    pcre2_compile_context_free(context);
    if (!code_) {
      PCRE2_UCHAR message[256] = {};
      pcre2_get_error_message(error, message, sizeof message);
      throw Error(ErrorKind::kCheckpoint,
                  "[tokenizer] regular expression '{}': expected a pattern in Oniguruma's or "
                  "PCRE2's syntax, found an error near offset {}: {}",
                  shown, offset, reinterpret_cast<const char*>(message));
    }
    jit_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
    context_.reset(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(context_.get(), kMatchLimit);
    pcre2_set_depth_limit(context_.get(), kDepthLimit);
  }

  std::optional<Match> search(std::string_view text, size_t from) const override {
    std::unique_ptr<pcre2_match_data, FreeMatch> data = take_data();
    auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK;
    int rc =
        pcre2_match(code_.get(), subject, text.size(), from, kOptions, data.get(), context_.get());
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
      rc = pcre2_match(code_.get(), subject, text.size(), from, kOptions | PCRE2_NO_JIT, data.get(),
                       context_.get());
    std::optional<Match> match;
    if (rc > 0) {
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
      match = Match{bounds[0], bounds[1]};
    }
    std::lock_guard lock(mutex_);
    spare_.push_back(std::move(data));
    return match;
  }

 private:
  std::unique_ptr<pcre2_match_data, FreeMatch> take_data() const {
    std::lock_guard lock(mutex_);
    if (spare_.empty())
      return std::unique_ptr<pcre2_match_data, FreeMatch>(
          pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    std::unique_ptr<pcre2_match_data, FreeMatch> data = std::move(spare_.back());
    spare_.pop_back();
    return data;
  }

  std::unique_ptr<pcre2_code, FreeCode> code_;
  std::unique_ptr<pcre2_match_context, FreeContext> context_;
  bool jit_ = false;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<pcre2_match_data, FreeMatch>> spare_;
};

}  // namespace

std::unique_ptr<RegexEngine> make_pcre2_engine(const RegexNode* node, std::string_view pattern) {
  if (!node)
    return std::make_unique<Pcre2Engine>(std::string(pattern), PCRE2_UCP | PCRE2_MULTILINE,
                                         pattern);
  Writer writer;
  writer.write(*node);
  return std::make_unique<Pcre2Engine>(writer.out, 0, pattern);
}

Regex::Regex(std::string_view pattern, RegexChoice choice) {
  std::string reason;
  const std::optional<RegexNode> node = parse_regex(pattern, reason);
  if (node && choice == RegexChoice::kBest) engine_ = make_set_engine(*node);
  if (engine_) return;
  is_pcre2_ = true;
  engine_ = make_pcre2_engine(node ? &*node : nullptr, pattern);
}

std::string Regex::escape(std::string_view literal) {
  std::string out;
  for (char c : literal) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~/ ").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

size_t Regex::next_char(std::string_view text, size_t at) {
  return at < text.size() ? at + utf8_length(text[at]) : at + 1;
}

}  // namespace mica::tok
