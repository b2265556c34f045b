#include "text/answer/answer_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mix.h"
#include "text/answer/call_parser.h"

namespace mica {
namespace {

using answer::CallStatus;
using Kind = AnswerPart::Kind;

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kMaxWarning = 1000;

enum class Role : uint8_t {
  kOpen,   // of reasoning
  kClose,  // of reasoning
  kBegin,  // of calls, or of a harmony message's header
  kEnd,    // of a harmony message
  kStray,  // means nothing where text is
};

bool is_alphanumeric(std::string_view text) {
  for (char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return false;
  }
  return true;
}

std::string random_text(uint64_t seed, size_t length) {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    text += kLetters[random_word(seed, i) % kLetters.size()];
  }
  return text;
}

}  // namespace

// Text is scanned for markers; from a marker that begins a call on each byte goes to a parser of
// calls, and is kept until the call is whole.
struct AnswerParser::Impl : answer::CallSink {
  enum class State : uint8_t { kContent, kReasoning, kCall };

  Impl(AnswerStyle style_in, AnswerParserOptions options_in);

  // Text.
  void run(bool final);
  bool scan(bool final);
  bool try_bare();
  void marker(std::string_view text);
  void put(std::string_view piece);
  void emit(std::string_view piece);
  std::string boundary();

  // Calls.
  void begin_call(std::string_view marker);
  void begin_header();
  void call_byte();
  void leave_call(State next);
  void rescan();
  void fail(std::string_view why);
  void end_of_text(bool complete);
  void begin(std::string_view name, std::string_view id) override;
  void arguments(std::string_view json) override;
  void end() override;
  void warn(std::string_view what) override;
  std::string make_id(std::string_view name, std::string_view given) const;
  void add_part(AnswerPart part);
  void add_warning(std::string text);
  bool in_content() const { return state == State::kContent; }

  AnswerStyle style;
  AnswerParserOptions options;
  ToolTypes types;
  answer::CallMarkers calls;
  ReasoningMarkers reasoning;
  MarkerSet markers;
  bool harmony = false, plain = false;  // plain: nothing but special tokens is looked for

  State state = State::kContent;
  std::string buffer;  // text not yet handled, from `at` on
  size_t at = 0;
  std::string space;   // at the end of the text so far, given once text follows
  std::string gap[2];  // before the next text of content and reasoning, behind a block between
  bool seen[2] = {};   // there was such text
  bool strip = false;  // leading white space is layout
  bool content_begun = false;  // since the start, the last call or reasoning
  bool after_failure = false;  // the end marker that comes belongs to a broken call

  std::unique_ptr<answer::CallParser> call;
  std::string raw;  // since the call's begin, or the last whole call
  std::string saved_gap;
  bool saved_strip = false;
  bool bare = false;  // the call began without a marker
  bool open = false, suppressed = false;
  std::string call_name;
  int32_t next_index = 0, whole = 0;
  std::vector<AnswerPart> held;  // of the call, where whole calls are asked for

  std::vector<AnswerPart> parts;
  std::string warning;
};

AnswerParser::Impl::Impl(AnswerStyle style_in, AnswerParserOptions options_in)
    : style(style_in), options(std::move(options_in)), types(options.tools) {
  harmony = style.reasoning == ReasoningStyle::kHarmony || style.tools == ToolStyle::kHarmony;
  if (harmony) {
    options.parse_tools &= style.tools == ToolStyle::kHarmony;
    calls = answer::call_markers(ToolStyle::kHarmony);
  } else {
    reasoning = reasoning_markers(style.reasoning);
    if (options.parse_tools) calls = answer::call_markers(style.tools);
  }
  std::vector<std::string> all;
  for (const auto* list : {&calls.begin, &calls.stray})
    all.insert(all.end(), list->begin(), list->end());
  for (std::string_view text : {reasoning.open, reasoning.close}) all.emplace_back(text);
  if (style.reasoning == ReasoningStyle::kGemma) all.emplace_back("<|channel>");
  if (harmony) all.insert(all.end(), {"<|end|>", "<|call|>", "<|return|>"});
  markers = MarkerSet(std::move(all));
  plain = markers.empty() && calls.bare == '\0';
  if (options.starts_in_reasoning && style.reasoning != ReasoningStyle::kNone) {
    state = State::kReasoning;
    strip = true;
  } else if (harmony) {
    begin_header();
  }
}

void AnswerParser::Impl::run(bool final) {
  while (at < buffer.size()) {
    if (state == State::kCall) {
      call_byte();
    } else if (!scan(final)) {
      break;
    }
  }
  buffer.erase(0, at);
  at = 0;
}

// Text up to the next marker and what that means; false when more text must come first.
bool AnswerParser::Impl::scan(bool final) {
  if (in_content() && calls.bare != '\0' && !content_begun && try_bare()) return true;
  const MarkerSet* special = options.special_tokens.get();
  const std::string_view text = buffer;
  for (size_t i = at; i < text.size(); ++i) {
    const bool may_be_special = special != nullptr && special->begins(text[i]);
    if (!may_be_special && !markers.begins(text[i])) continue;
    const MarkerSet::Match mine = markers.match(text.substr(i), final);
    const auto other = may_be_special ? special->match(text.substr(i), final) : MarkerSet::Match{};
    const bool wait = mine.kind == MarkerSet::Match::Kind::kPartial ||
                      other.kind == MarkerSet::Match::Kind::kPartial;
    const size_t bytes = std::max(mine.bytes, other.bytes);
    if (!wait && bytes == 0) continue;
    put(text.substr(at, i - at));
    at = i;
    if (wait) return false;
    at += bytes;
    if (mine.bytes == bytes) marker(std::string(text.substr(i, bytes)));
    return true;
  }
  put(text.substr(at));
  at = text.size();
  return false;
}

// A call without a marker begins with the first byte of the content that is no white space.
bool AnswerParser::Impl::try_bare() {
  const size_t first = buffer.find_first_not_of(kSpace, at);
  if (first == std::string::npos || buffer[first] != calls.bare) return false;
  put(std::string_view(buffer).substr(at, first - at));
  at = first;
  begin_call("");
  return true;
}

void AnswerParser::Impl::marker(std::string_view text) {
  auto is_in = [&](const std::vector<std::string_view>& list) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  if (text == reasoning.open) {
    if (!in_content()) return;
    boundary();
    state = State::kReasoning;
  } else if (text == reasoning.close) {
    if (in_content()) {
      add_warning("a reasoning block ended that had not begun");
      if (!seen[0]) strip = true;
      return;
    }
    boundary();
    state = State::kContent;
    content_begun = false;
  } else if (is_in(calls.begin)) {
    if (!in_content() && !calls.end_reasoning) return put(text);
    begin_call(text);
  } else if (harmony && !is_in(calls.stray)) {
    if (after_failure) put(text);
    after_failure = false;
    boundary();
    begin_header();
  } else if (!in_content() || after_failure) {
    put(text);
    after_failure = false;
  }
}

// Text of the content or of a thought. White space at its end waits for what follows.
void AnswerParser::Impl::put(std::string_view piece) {
  if (plain) return emit(piece);
  if (strip) {
    piece.remove_prefix(std::min(piece.find_first_not_of(kSpace), piece.size()));
    if (piece.empty()) return;
    strip = false;
  }
  const size_t last = piece.find_last_not_of(kSpace);
  if (last == std::string_view::npos) {
    space += piece;
    return;
  }
  if (in_content()) content_begun = true;
  emit(space + std::string(piece.substr(0, last + 1)));
  space = piece.substr(last + 1);
}

void AnswerParser::Impl::emit(std::string_view piece) {
  if (piece.empty()) return;
  const size_t k = in_content() ? 0 : 1;
  seen[k] = true;
  add_part(
      {.kind = k == 0 ? Kind::kContent : Kind::kReasoning, .text = gap[k] + std::string(piece)});
  gap[k].clear();
}

// Content or a thought ends here. Returns the white space that is dropped.
std::string AnswerParser::Impl::boundary() {
  const size_t k = in_content() ? 0 : 1;
  if (seen[k] && gap[k].empty()) gap[k] = space.empty() ? "\n" : space;
  strip = true;
  return std::exchange(space, "");
}

void AnswerParser::Impl::begin_call(std::string_view marker) {
  if (!in_content()) {
    boundary();
    state = State::kContent;
  }
  saved_gap = gap[0];
  saved_strip = strip;
  raw = boundary() + std::string(marker);
  bare = marker.empty();
  after_failure = false;
  state = State::kCall;
  if (!harmony) {
    call = answer::make_call_parser(style.tools, marker, types);
    return;
  }
  call = answer::make_harmony_message(options.parse_tools);
  for (char c : marker) call->feed(c, *this);
}

void AnswerParser::Impl::begin_header() {
  call = answer::make_harmony_message(options.parse_tools);
  state = State::kCall;
  raw.clear();
  saved_gap = gap[0];
  saved_strip = strip;
  bare = true;
}

void AnswerParser::Impl::call_byte() {
  const char c = buffer[at++];
  raw += c;
  switch (call->feed(c, *this)) {
    case CallStatus::kMore: return;
    case CallStatus::kDone:
      leave_call(State::kContent);
      if (harmony) begin_header();
      return;
    case CallStatus::kNotMine: return rescan();
    case CallStatus::kFailed: return fail(call->problem());
    case CallStatus::kContent: return leave_call(State::kContent);
    case CallStatus::kReasoning: return leave_call(State::kReasoning);
  }
}

void AnswerParser::Impl::leave_call(State next) {
  call.reset();
  raw.clear();
  state = next;
}

// What was read since the last whole call is text.
void AnswerParser::Impl::rescan() {
  call.reset();
  gap[0] = saved_gap;
  strip = saved_strip;
  content_begun = true;
  state = State::kContent;
  buffer.replace(0, at, raw);
  at = 0;
  raw.clear();
}

void AnswerParser::Impl::fail(std::string_view why) {
  const bool left_out = open && suppressed;
  if (!left_out) {
    add_warning(open
                    ? fmt::format("call '{}' is malformed and given as content: {}", call_name, why)
                    : fmt::format("a malformed call is given as content: {}", why));
  }
  held.clear();
  call.reset();
  open = false;
  gap[0] = saved_gap;
  strip = false;
  state = State::kContent;
  after_failure = !left_out;
  const std::string text = std::exchange(raw, "");
  if (!left_out) put(text);
}

void AnswerParser::Impl::end_of_text(bool complete) {
  run(true);
  while (state == State::kCall) {
    if (call->finish(complete, *this)) {
      call.reset();
      state = State::kContent;
    } else if (bare && !open) {
      rescan();
      run(true);
    } else {
      fail("the answer ends inside");
    }
  }
  if (!strip) emit(std::exchange(space, ""));
}

void AnswerParser::Impl::begin(std::string_view name, std::string_view id) {
  open = true;
  call_name = name;
  suppressed = !options.parallel_calls && whole > 0;
  if (suppressed) return;
  add_part({.kind = Kind::kToolBegin,
            .tool = next_index,
            .id = make_id(name, id),
            .name = std::string(name)});
  if (!options.whole_calls) ++next_index;
}

void AnswerParser::Impl::arguments(std::string_view json) {
  if (suppressed || json.empty()) return;
  const int32_t index = options.whole_calls ? next_index : next_index - 1;
  add_part({.kind = Kind::kToolArguments, .text = std::string(json), .tool = index});
}

void AnswerParser::Impl::end() {
  open = false;
  raw.clear();
  saved_gap = gap[0];
  saved_strip = true;
  content_begun = false;
  if (suppressed) return;
  const int32_t index = options.whole_calls ? next_index++ : next_index - 1;
  add_part({.kind = Kind::kToolEnd, .tool = index});
  ++whole;
  for (AnswerPart& part : held) parts.push_back(std::move(part));
  held.clear();
}

void AnswerParser::Impl::warn(std::string_view what) {
  if (!suppressed) add_warning(fmt::format("call '{}': {}", call_name, what));
}

// Ids as the models' templates want them back.
std::string AnswerParser::Impl::make_id(std::string_view name, std::string_view given) const {
  const uint64_t seed = mix64(options.id_seed) + static_cast<uint64_t>(next_index);
  if (style.tools == ToolStyle::kMistral) {
    return given.size() == 9 && is_alphanumeric(given) ? std::string(given)
                                                       : random_text(mix64(seed), 9);
  }
  if (style.tools == ToolStyle::kKimi) {
    return given.empty() ? fmt::format("functions.{}:{}", name, next_index) : std::string(given);
  }
  return "call_" + random_text(mix64(seed), 24);
}

// Pieces of one kind that follow each other are one part.
void AnswerParser::Impl::add_part(AnswerPart part) {
  const bool text = part.kind == Kind::kContent || part.kind == Kind::kReasoning;
  std::vector<AnswerPart>& list = text || !options.whole_calls ? parts : held;
  const bool joins = part.kind != Kind::kToolBegin && part.kind != Kind::kToolEnd;
  if (joins && !list.empty() && list.back().kind == part.kind && list.back().tool == part.tool) {
    list.back().text += part.text;
  } else {
    list.push_back(std::move(part));
  }
}

void AnswerParser::Impl::add_warning(std::string text) {
  if (warning.size() > kMaxWarning || warning.find(text) != std::string::npos) return;
  warning += (warning.empty() ? "" : "; ") + text;
}

AnswerParser::AnswerParser(AnswerStyle style, AnswerParserOptions options)
    : impl_(std::make_unique<Impl>(style, std::move(options))) {}
AnswerParser::AnswerParser(AnswerParser&&) noexcept = default;
AnswerParser& AnswerParser::operator=(AnswerParser&&) noexcept = default;
AnswerParser::~AnswerParser() = default;

std::vector<AnswerPart> AnswerParser::add(std::string_view text) {
  impl_->buffer += text;
  impl_->run(false);
  return std::exchange(impl_->parts, {});
}

std::vector<AnswerPart> AnswerParser::finish(bool complete) {
  impl_->end_of_text(complete);
  return std::exchange(impl_->parts, {});
}

const std::string& AnswerParser::warning() const {
  return impl_->warning;
}
bool AnswerParser::in_reasoning() const {
  return impl_->state == Impl::State::kReasoning;
}
int32_t AnswerParser::tools() const {
  return impl_->whole;
}

}  // namespace mica
