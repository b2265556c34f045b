// Inside of the answer parser: one parser of calls per style, byte by byte, so that the cutting of
// the text can't matter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer_style.h"
#include "text/answer/tool_types.h"
#include "text/answer/value_reader.h"

namespace mica::answer {

// Where a parser puts what it has read of a call.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void begin(std::string_view name, std::string_view id) = 0;  // id "": one is made
  virtual void arguments(std::string_view json) = 0;                   // a piece
  virtual void end() = 0;
  virtual void warn(std::string_view what) = 0;
};

enum class CallStatus : uint8_t {
  kMore,
  kDone,       // the calls ended with this byte
  kNotMine,    // what came since the last whole call is text after all, or the next call's begin
  kFailed,     // malformed: problem() says why
  kContent,    // harmony: the header ended, and a message for the user follows
  kReasoning,  // harmony: the header of a thought ended
};

class CallParser {
 public:
  virtual ~CallParser() = default;
  virtual CallStatus feed(char c, CallSink& sink) = 0;
  // The text is over. Closes a call whose arguments came to their own end and, if the model
  // `complete`d its answer, one whose values are all whole. false: a call is cut.
  virtual bool finish(bool complete, CallSink& sink) = 0;
  const std::string& problem() const { return problem_; }

 protected:
  CallStatus failed(std::string_view why) {
    problem_ = why;
    return CallStatus::kFailed;
  }

 private:
  std::string problem_;
};

// What a style's calls begin with, and what is left of them when a call is broken.
struct CallMarkers {
  std::vector<std::string_view> begin, stray;
  bool end_reasoning = false;  // a begin marker ends a reasoning block, too
  char bare = '\0';            // a call may begin with this byte at the start of the content
};
const CallMarkers& call_markers(ToolStyle style);

// `begin`: the marker that was read, or "" before the byte CallMarkers::bare.
std::unique_ptr<CallParser> make_call_parser(ToolStyle style, std::string_view begin,
                                             const ToolTypes& types);

// The families.
std::unique_ptr<CallParser> make_json_calls(std::string_view end, bool bare,
                                            const ToolTypes& types);
std::unique_ptr<CallParser> make_tag_calls(ToolStyle style, std::string_view begin,
                                           const ToolTypes& types);
std::unique_ptr<CallParser> make_section_calls(ToolStyle style, bool inside);
std::unique_ptr<CallParser> make_mistral_calls(const ToolTypes& types);
std::unique_ptr<CallParser> make_gemma_calls(bool function_gemma);
enum class PythonForm : uint8_t { kMarked, kBare, kMethod };  // [f()] in markers, bare; f.call()
std::unique_ptr<CallParser> make_python_calls(PythonForm form, const ToolTypes& types);
std::unique_ptr<CallParser> make_harmony_message(bool parse_tools);

// Which of some texts comes next, byte by byte.
class Expect {
 public:
  enum class Status : uint8_t { kMore, kFound, kNo };
  // Leading white space is skipped.
  template <typename Texts>
  Status feed(char c, const Texts& texts) {
    if (seen_.empty() && is_space(c)) return Status::kMore;
    seen_ += c;
    bool more = false;
    int index = 0;
    for (std::string_view text : texts) {
      if (text == seen_) {
        found_ = index;
        seen_.clear();
        return Status::kFound;
      }
      more |= text.starts_with(seen_);
      ++index;
    }
    return more ? Status::kMore : Status::kNo;
  }
  int found() const { return found_; }
  bool begun() const { return !seen_.empty(); }
  void clear() { seen_.clear(); }

 private:
  std::string seen_;
  int found_ = 0;
};

}  // namespace mica::answer
