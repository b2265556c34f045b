// Inside of the answer parser: calls and arguments that are written as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/answer/call_parser.h"
#include "text/answer/value_reader.h"

namespace mica::answer {

// An object that is the arguments of a call, passed on as it is read.
class ObjectArguments {
 public:
  explicit ObjectArguments(ValueReader::Notation notation = ValueReader::Notation::kJson,
                           std::string_view quote = {})
      : reader_(notation, quote) {}
  // kMore, kDone or kFailed; white space before the object is skipped.
  CallStatus feed(char c, CallSink& sink);
  bool close(CallSink& sink);  // as ValueReader::close
  bool begun() const { return begun_; }
  const char* problem() const { return begun_ ? reader_.problem() : "arguments are no object"; }

 private:
  ValueReader reader_;
  bool begun_ = false;
};

// {"name": …, "arguments": {…}}, in any order, with "parameters" for "arguments", the arguments as
// a string, in an inner "function" object, or beside other members.
class JsonCall {
 public:
  // `bare`: the object may be an answer in JSON and no call; `types` tells the tools' names.
  JsonCall(bool bare, const ToolTypes& types) : bare_(bare), types_(&types) {}
  // From the opening bracket. kNotMine is given only where `bare`.
  CallStatus feed(char c, CallSink& sink);
  bool finish(bool complete, CallSink& sink);
  const std::string& problem() const { return problem_; }

 private:
  enum class State : uint8_t { kOpen, kKey, kColon, kValue, kMember, kArguments, kNext };
  enum class Member : uint8_t { kName, kArguments, kId, kFunction, kOther };

  CallStatus read_key(char c, CallSink& sink);
  CallStatus begin_value(char c, CallSink& sink);
  CallStatus read_member(char c, CallSink& sink);
  CallStatus member_done(CallSink& sink);
  CallStatus named(std::string name, CallSink& sink);
  CallStatus text_arguments(const std::string& text, CallSink& sink);
  CallStatus close_object(CallSink& sink);
  void arguments(std::string_view json, CallSink& sink);
  CallStatus failed(std::string_view why);

  bool bare_;
  const ToolTypes* types_;
  State state_ = State::kOpen;
  Member member_ = Member::kOther;
  bool begun_ = false;           // the sink knows the call
  bool arguments_done_ = false;  // whole
  int depth_ = 0;
  std::optional<ValueReader> reader_;
  std::string text_;   // of the member that is read
  std::string early_;  // arguments before the name
  std::string id_;
  std::string problem_;
};

}  // namespace mica::answer
