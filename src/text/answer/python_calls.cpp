// Calls in Python's notation: LFM2's [f(a=1, b="x"), g()], and Llama 3's f.call(a=1).
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

constexpr std::string_view kEnd = "<|tool_call_end|>";

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

class PythonCalls : public CallParser {
 public:
  PythonCalls(PythonForm form, const ToolTypes& types) : form_(form), types_(&types) {
    if (form == PythonForm::kMethod) state_ = State::kName;
  }

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kStart: return start(c, sink);
      case State::kJson: {
        const CallStatus status = json_->feed(c, sink);
        return status == CallStatus::kFailed ? failed(json_->problem()) : status;
      }
      case State::kName: return name(c, sink);
      case State::kKey: return key(c, sink);
      case State::kValue: return value(c, sink);
      case State::kNext: return next(c, sink);
      case State::kBetween: return between(c);
      case State::kEnd: break;
    }
    switch (expect_.feed(c, std::initializer_list<std::string_view>{kEnd})) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kFound: return CallStatus::kDone;
      case Expect::Status::kNo: break;
    }
    return not_mine("no end behind the calls");
  }

  bool finish(bool complete, CallSink& sink) override {
    switch (state_) {
      case State::kStart:
      case State::kEnd:
      case State::kBetween: return calls_ > 0;
      case State::kJson: return json_->finish(complete, sink);
      case State::kName: return calls_ > 0 && word_.empty();
      case State::kKey: return word_.empty() && complete && close(sink);
      case State::kNext: return complete && close(sink);
      case State::kValue: {
        std::string out;
        if (!complete || !value_begun_ || !reader_->close(out)) return false;
        sink.arguments(out);
        return close(sink);
      }
    }
    return false;
  }

 private:
  enum class State : uint8_t {
    kStart,
    kJson,
    kName,
    kKey,  // a keyword or the end of the call
    kValue,
    kNext,     // behind a value
    kBetween,  // behind a call
    kEnd,      // behind the list
  };

  CallStatus not_mine(std::string_view why) {
    return calls_ > 0 || (form_ == PythonForm::kBare && !begun_) ? CallStatus::kNotMine
                                                                 : failed(why);
  }

  bool close(CallSink& sink) {
    sink.warn("its end is missing");
    sink.arguments(keys_ == 0 ? "{}" : "}");
    sink.end();
    return true;
  }

  CallStatus start(char c, CallSink& sink) {
    if (is_space(c)) return CallStatus::kMore;
    if (c == '[' && !list_) {
      list_ = true;
      return CallStatus::kMore;
    }
    if (c == '{' && form_ == PythonForm::kMarked) {
      json_ = make_json_calls(kEnd, false, *types_);
      state_ = State::kJson;
      if (list_) json_->feed('[', sink);
      return feed(c, sink);
    }
    state_ = State::kName;
    return name(c, sink);
  }

  CallStatus name(char c, CallSink& sink) {
    if (is_word(c)) {
      word_ += c;
      return CallStatus::kMore;
    }
    if (is_space(c) && word_.empty()) return CallStatus::kMore;
    if (c != '(' || word_.empty()) return not_mine("no name where a call begins");
    std::string_view name = word_;
    if (form_ == PythonForm::kMethod) {
      constexpr std::string_view kMethod = ".call";
      if (!name.ends_with(kMethod) || name == kMethod) return failed("code that is no call");
      name.remove_suffix(kMethod.size());
    }
    if (form_ == PythonForm::kBare && types_->any() && !types_->known(name)) {
      return not_mine("no tool of that name");
    }
    sink.begin(name, "");
    begun_ = true;
    word_.clear();
    keys_ = 0;
    state_ = State::kKey;
    return CallStatus::kMore;
  }

  CallStatus key(char c, CallSink& sink) {
    if (is_space(c)) return CallStatus::kMore;
    if (c == ')' && word_.empty()) return end_call(sink);
    if (c != '=') {
      word_ += c;
      return is_word(c) ? CallStatus::kMore : failed("an argument without a name");
    }
    if (word_.empty()) return failed("an argument without a name");
    sink.arguments((keys_++ == 0 ? "{" : ", ") + json_string(word_) + ": ");
    word_.clear();
    reader_.emplace(ValueReader::Notation::kPython);
    value_begun_ = false;
    state_ = State::kValue;
    return CallStatus::kMore;
  }

  CallStatus value(char c, CallSink& sink) {
    if (is_space(c) && !value_begun_) return CallStatus::kMore;
    value_begun_ = true;
    std::string out;
    const ValueReader::Status status = reader_->feed(c, out);
    sink.arguments(out);
    if (status == ValueReader::Status::kMore) return CallStatus::kMore;
    if (status == ValueReader::Status::kFailed) return failed(reader_->problem());
    state_ = State::kNext;
    return status == ValueReader::Status::kDone ? CallStatus::kMore : next(c, sink);
  }

  CallStatus next(char c, CallSink& sink) {
    if (is_space(c)) return CallStatus::kMore;
    if (c == ')') return end_call(sink);
    if (c != ',') return failed("no comma or bracket behind an argument");
    state_ = State::kKey;
    return CallStatus::kMore;
  }

  CallStatus end_call(CallSink& sink) {
    sink.arguments(keys_ == 0 ? "{}" : "}");
    sink.end();
    ++calls_;
    begun_ = false;
    if (form_ == PythonForm::kMethod) return CallStatus::kDone;
    state_ = State::kBetween;
    return CallStatus::kMore;
  }

  CallStatus between(char c) {
    if (is_space(c)) return CallStatus::kMore;
    if (c == ',' || c == ';') {
      state_ = State::kName;
      return CallStatus::kMore;
    }
    if (c == ']' && list_) {
      if (form_ == PythonForm::kBare) return CallStatus::kDone;
      state_ = State::kEnd;
      return CallStatus::kMore;
    }
    state_ = State::kEnd;
    return c == '<' && form_ == PythonForm::kMarked
               ? (expect_.feed(c, std::initializer_list<std::string_view>{kEnd}), CallStatus::kMore)
               : not_mine("");
  }

  PythonForm form_;
  const ToolTypes* types_;
  State state_ = State::kStart;
  std::unique_ptr<CallParser> json_;
  std::optional<ValueReader> reader_;
  Expect expect_;
  std::string word_;
  bool list_ = false, begun_ = false, value_begun_ = false;
  int keys_ = 0, calls_ = 0;
};

}  // namespace

std::unique_ptr<CallParser> make_python_calls(PythonForm form, const ToolTypes& types) {
  return std::make_unique<PythonCalls>(form, types);
}

}  // namespace mica::answer
