// Lists of JSON calls: Hermes, Llama 3, Mistral's older form.
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

class JsonCalls : public CallParser {
 public:
  // `end`: the marker behind the calls, "" where there is none.
  JsonCalls(std::string_view end, bool bare, const ToolTypes& types)
      : end_(end), bare_(bare), types_(&types) {}

  CallStatus feed(char c, CallSink& sink) override {
    if (call_) return in_call(c, sink);
    if (is_space(c) && !marker_.begun()) return CallStatus::kMore;
    if (!marker_.begun()) {
      if (c == '{' && (calls_ == 0 || separated_ || !list_)) {
        call_.emplace(bare_, *types_);
        return in_call(c, sink);
      }
      if (c == '[' && calls_ == 0 && !list_ && !bare_) {
        list_ = true;
        return CallStatus::kMore;
      }
      if (c == ']' && list_) {
        list_ = false;
        return end_.empty() ? CallStatus::kDone : CallStatus::kMore;
      }
      if ((c == ',' || c == ';') && calls_ > 0 && !separated_) {
        separated_ = true;
        return CallStatus::kMore;
      }
      if (c == '}' && calls_ > 0) return CallStatus::kMore;  // one bracket too many
    }
    return end_byte(c);
  }

  bool finish(bool complete, CallSink& sink) override {
    return call_ ? call_->finish(complete, sink) : calls_ > 0;
  }

 private:
  CallStatus in_call(char c, CallSink& sink) {
    const CallStatus status = call_->feed(c, sink);
    if (status == CallStatus::kFailed) return failed(call_->problem());
    if (status == CallStatus::kDone) {
      call_.reset();
      ++calls_;
      separated_ = false;
      return CallStatus::kMore;
    }
    return status;
  }

  CallStatus end_byte(char c) {
    if (!end_.empty()) {
      switch (marker_.feed(c, std::initializer_list<std::string_view>{end_})) {
        case Expect::Status::kMore: return CallStatus::kMore;
        case Expect::Status::kFound: return CallStatus::kDone;
        case Expect::Status::kNo: break;
      }
    }
    return calls_ > 0 ? CallStatus::kNotMine : failed("no JSON object where a call should be");
  }

  std::string_view end_;
  bool bare_;
  const ToolTypes* types_;
  std::optional<JsonCall> call_;
  Expect marker_;
  int calls_ = 0;
  bool list_ = false, separated_ = false;
};

}  // namespace

std::unique_ptr<CallParser> make_json_calls(std::string_view end, bool bare,
                                            const ToolTypes& types) {
  return std::make_unique<JsonCalls>(end, bare, types);
}

}  // namespace mica::answer
