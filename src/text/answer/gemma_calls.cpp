// Gemma's calls: call:NAME{key:value,…}, in the markers of Gemma 4 and of FunctionGemma.
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

class GemmaCalls : public CallParser {
 public:
  GemmaCalls(std::string_view end, std::string_view quote) : end_(end), quote_(quote) {}

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kCall: return call(c);
      case State::kName: return name(c, sink);
      case State::kArguments: return arguments(c, sink);
      case State::kEnd: return end(c);
    }
    return CallStatus::kMore;
  }

  bool finish(bool complete, CallSink& sink) override {
    if (state_ == State::kEnd || state_ == State::kCall) return calls_ > 0;
    if (state_ != State::kArguments || !complete || !object_->close(sink)) return false;
    sink.warn("its end is missing");
    sink.end();
    return true;
  }

 private:
  enum class State : uint8_t { kCall, kName, kArguments, kEnd };

  CallStatus call(char c) {
    switch (expect_.feed(c, std::initializer_list<std::string_view>{"call:"})) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return failed("no call: where a call should be");
      case Expect::Status::kFound: break;
    }
    name_.clear();
    state_ = State::kName;
    return CallStatus::kMore;
  }

  CallStatus name(char c, CallSink& sink) {
    if (c != '{') {
      if (c == '<' || c == '}' || c == '\n') return failed("a call without arguments");
      name_ += c;
      return CallStatus::kMore;
    }
    while (!name_.empty() && is_space(name_.back())) name_.pop_back();
    name_.erase(0, name_.find_first_not_of(' '));
    if (name_.empty()) return failed("a call without a name");
    sink.begin(name_, "");
    object_.emplace(ValueReader::Notation::kGemma, quote_);
    state_ = State::kArguments;
    return arguments(c, sink);
  }

  CallStatus arguments(char c, CallSink& sink) {
    const CallStatus status = object_->feed(c, sink);
    if (status == CallStatus::kFailed) return failed(object_->problem());
    if (status == CallStatus::kMore) return status;
    sink.end();
    ++calls_;
    state_ = State::kEnd;
    return CallStatus::kMore;
  }

  CallStatus end(char c) {
    switch (expect_.feed(c, std::initializer_list<std::string_view>{end_})) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kFound: return CallStatus::kDone;
      case Expect::Status::kNo: break;
    }
    return CallStatus::kNotMine;
  }

  std::string_view end_, quote_;
  State state_ = State::kCall;
  Expect expect_;
  std::string name_;
  std::optional<ObjectArguments> object_;
  int calls_ = 0;
};

}  // namespace

std::unique_ptr<CallParser> make_gemma_calls(bool function_gemma) {
  if (function_gemma) return std::make_unique<GemmaCalls>("<end_function_call>", "<escape>");
  return std::make_unique<GemmaCalls>("<tool_call|>", "<|\"|>");
}

}  // namespace mica::answer
