// Whether an answer is one: a broken engine is fast, too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mica {

enum class OutputFault {
  kEmpty,     // no text at all
  kRepeats,   // it ends in a piece that comes again and again
  kGarbage,   // characters that stand for bytes that are no text
  kScript,    // most of it is in a script that the prompt has nothing of
  kLanguage,  // it is in another language than the one that was to be expected
  kNoAnswer,  // it ends within its reasoning
};
// "empty", "repeats", "garbage", "script", "language", "no_answer"
const char* name(OutputFault fault);

struct OutputFinding {
  OutputFault fault;
  std::string evidence;  // "'the the ' 41 times, 70 % of the answer"
};

struct OutputText {
  std::string_view prompt, reasoning, answer;
  std::string_view finish_reason;
  // Of the answer, as language.h has it ("zh"); empty = any. A prompt may ask for a translation.
  std::string_view language;
};

// All that is wrong; empty = nothing was found. An answer of random weights is often none of
// these: this finds what is broken, not what is wrong.
std::vector<OutputFinding> find_faults(const OutputText& text);

// The repeated end of a text: `count` times `unit` (the last may be cut), `bytes` in all. A count
// below 2 = nothing repeats.
struct Repetition {
  std::string unit;
  double count = 0;
  size_t bytes = 0;
};
Repetition repeated_end(std::string_view text);

}  // namespace mica
