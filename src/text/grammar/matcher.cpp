#include <algorithm>
#include <bit>

#include "base/error.h"
#include "text/grammar/compiled.h"
#include "text/grammar/grammar.h"

namespace mica {
namespace {

constexpr size_t kMaxForced = 4096;  // bytes

}  // namespace

// One accepted token; the texts of matchers that were copied share what they have in common.
struct GrammarMatcher::Step {
  std::shared_ptr<const Step> previous;
  grammar::Column column;
  int32_t tokens = 0;
  bool ended = false;

  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  // A long text is released step by step, not by recursion.
  ~Step() {
    std::shared_ptr<const Step> next = std::move(previous);
    while (next && next.use_count() == 1)
      next = std::move(const_cast<Step&>(*next).previous);
  }
};

GrammarMatcher::GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar)
    : grammar_(std::move(grammar)) {
  const grammar::Program& program = grammar_->program;
  grammar::Frame text;
  text.ends = true;
  const grammar::FramePtr frame = std::make_shared<const grammar::Frame>(std::move(text));
  auto step = std::make_shared<Step>();
  step->column = grammar::Stepper(program).start(frame, {program.rule(program.root()).start});
  last_ = std::move(step);
}

GrammarMatcher::GrammarMatcher(const GrammarMatcher&) = default;
GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;
GrammarMatcher::~GrammarMatcher() = default;

GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher other) noexcept {
  std::swap(grammar_, other.grammar_);
  std::swap(last_, other.last_);
  return *this;
}

bool GrammarMatcher::accept(int32_t token) {
  if (token < 0 || token >= grammar_->vocabulary->size() || last_->ended) return false;
  if (!grammar_->vocabulary->is_end(token)) {
    const std::string& text = grammar_->vocabulary->impl().text[static_cast<size_t>(token)];
    return !text.empty() && accept_text(text);
  }
  if (!last_->column.accepting) return false;
  auto step = std::make_shared<Step>();
  step->column.accepting = true;
  step->ended = true;
  step->tokens = last_->tokens + 1;
  step->previous = last_;
  last_ = std::move(step);
  return true;
}

bool GrammarMatcher::accept_text(std::string_view bytes) {
  if (last_->ended) return false;
  grammar::Stepper stepper(grammar_->program);
  auto step = std::make_shared<Step>();
  step->column = last_->column;
  for (const char byte : bytes) {
    step->column = stepper.step(step->column, static_cast<uint8_t>(byte));
    if (step->column.dead()) return false;
  }
  step->tokens = last_->tokens + 1;
  step->previous = last_;
  last_ = std::move(step);
  return true;
}

void GrammarMatcher::mask(std::span<uint32_t> allowed) {
  MICA_CHECK(allowed.size() == grammar_->vocabulary->mask_words());
  std::fill(allowed.begin(), allowed.end(), 0u);
  if (!last_->ended) grammar_->masks.mask(last_->column, allowed);
  if (last_->column.accepting)
    for (const int32_t id : grammar_->vocabulary->end_ids())
      allowed[static_cast<size_t>(id) / 32] |= 1u << id % 32;
  if (std::any_of(allowed.begin(), allowed.end(), [](uint32_t word) { return word != 0; })) return;
  throw Error(ErrorKind::kUsage,
              "[grammar] no token is possible after {} tokens: {}", last_->tokens,
              must_end() || last_->ended
                  ? "the text is complete and the vocabulary has no end token"
                  : "the vocabulary lacks the bytes that the grammar needs here");
}

bool GrammarMatcher::can_end() const { return last_->column.accepting; }
bool GrammarMatcher::ended() const { return last_->ended; }
bool GrammarMatcher::must_end() const { return last_->column.items.empty(); }
int32_t GrammarMatcher::tokens_accepted() const { return last_->tokens; }

void GrammarMatcher::rollback(int32_t tokens) {
  MICA_CHECK_MSG(tokens >= 0 && tokens <= last_->tokens, "rollback of {} of {} tokens", tokens,
                 last_->tokens);
  for (; tokens > 0; tokens--) last_ = std::shared_ptr<const Step>(last_->previous);
}

std::string GrammarMatcher::forced() const {
  const grammar::Program& program = grammar_->program;
  grammar::Stepper stepper(program);
  grammar::Column column = last_->column;
  std::string out;
  size_t whole = 0;  // up to the last end of a character
  while (!column.accepting && out.size() < kMaxForced) {
    int byte = -1;
    for (const grammar::Column::Item& item : column.items)
      for (const grammar::ByteEdge& edge : program.bytes(program.state(item.state)))
        byte = edge.lo == edge.hi && (byte < 0 || byte == edge.lo) ? edge.lo : 256;
    if (byte < 0 || byte >= static_cast<uint8_t>(grammar::kTokenEnd)) break;
    grammar::Column next = stepper.step(column, static_cast<uint8_t>(byte));
    column = std::move(next);
    if (out.size() > whole ? std::countl_one(static_cast<uint8_t>(out[whole])) ==
                                 static_cast<int>(out.size() + 1 - whole)
                           : byte < 0x80) {
      out.push_back(static_cast<char>(byte));
      whole = out.size();
    } else {
      out.push_back(static_cast<char>(byte));
    }
  }
  return out.substr(0, whole);
}

}  // namespace mica
