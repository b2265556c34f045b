// Mistral's calls: [TOOL_CALLS] and a JSON list, or NAME[ARGS]{…}, with [CALL_ID] in between.
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

class MistralCalls : public CallParser {
 public:
  explicit MistralCalls(const ToolTypes& types) : types_(&types) {}

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kStart:
        if (is_space(c)) return CallStatus::kMore;
        if (c != '[' && c != '{') {
          state_ = State::kName;
          return name(c, sink);
        }
        list_ = make_json_calls("", false, *types_);
        state_ = State::kList;
        [[fallthrough]];
      case State::kList: {
        const CallStatus status = list_->feed(c, sink);
        return status == CallStatus::kFailed ? failed(list_->problem()) : status;
      }
      case State::kName: return name(c, sink);
      case State::kMarker: return marker(c, sink);
      case State::kId: return id(c, sink);
      case State::kArguments: return arguments(c, sink);
    }
    return CallStatus::kMore;
  }

  bool finish(bool complete, CallSink& sink) override {
    if (list_) return list_->finish(complete, sink);
    if (state_ != State::kArguments || !complete || !object_.close(sink)) return false;
    sink.warn("its end is missing");
    sink.end();
    return true;
  }

 private:
  enum class State : uint8_t { kStart, kList, kName, kMarker, kId, kArguments };

  CallStatus name(char c, CallSink& sink) {
    if (c == '[') {
      state_ = State::kMarker;
      return marker(c, sink);
    }
    if (c == '{') {
      const CallStatus status = begin(sink);
      return status == CallStatus::kMore ? arguments(c, sink) : status;
    }
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '_' || c == '-' || c == '.' || c == ':' || c == '/' || is_space(c);
    if (!word && static_cast<unsigned char>(c) < 0x80) return failed("no name where a call begins");
    if (!is_space(c) && !name_.empty() && is_space(name_.back())) {
      return failed("a name with a space in it");
    }
    name_ += c;
    return CallStatus::kMore;
  }

  CallStatus marker(char c, CallSink& sink) {
    constexpr std::string_view kMarkers[] = {"[ARGS]", "[CALL_ID]"};
    switch (expect_.feed(c, kMarkers)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return failed("no [ARGS] behind a name");
      case Expect::Status::kFound: break;
    }
    if (expect_.found() == 0) return begin(sink);
    state_ = State::kId;
    return CallStatus::kMore;
  }

  CallStatus id(char c, CallSink& sink) {
    id_ += c;
    if (!id_.ends_with("[ARGS]")) return CallStatus::kMore;
    id_.resize(id_.size() - 6);
    return begin(sink);
  }

  CallStatus begin(CallSink& sink) {
    while (!name_.empty() && is_space(name_.back())) name_.pop_back();
    if (name_.empty()) return failed("a call without a name");
    sink.begin(name_, id_);
    state_ = State::kArguments;
    return CallStatus::kMore;
  }

  CallStatus arguments(char c, CallSink& sink) {
    const CallStatus status = object_.feed(c, sink);
    if (status == CallStatus::kFailed) return failed(object_.problem());
    if (status == CallStatus::kDone) sink.end();
    return status;
  }

  const ToolTypes* types_;
  State state_ = State::kStart;
  std::unique_ptr<CallParser> list_;
  Expect expect_;
  std::string name_, id_;
  ObjectArguments object_;
};

}  // namespace

std::unique_ptr<CallParser> make_mistral_calls(const ToolTypes& types) {
  return std::make_unique<MistralCalls>(types);
}

}  // namespace mica::answer
