// A message of GPT-OSS (harmony): its header tells channel and recipient, a call's body is JSON.
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

constexpr std::string_view kMessage = "<|message|>", kStart = "<|start|>";
constexpr std::string_view kEnds[] = {"<|call|>", "<|end|>", "<|return|>"};
constexpr size_t kMaxHeader = 1000;

class HarmonyMessage : public CallParser {
 public:
  explicit HarmonyMessage(bool parse_tools) : parse_tools_(parse_tools) {}

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kHeader: return header(c);
      case State::kBody: return body(c, sink);
      case State::kArguments: return arguments(c, sink);
      case State::kEnd: break;
    }
    switch (expect_.feed(c, kEnds)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kFound: return CallStatus::kDone;
      case Expect::Status::kNo: break;
    }
    return CallStatus::kNotMine;
  }

  bool finish(bool complete, CallSink& sink) override {
    switch (state_) {
      case State::kHeader: return header_.find('<') != std::string::npos || !plain();
      case State::kBody:
        // The marker that ends a call is a stop token: nothing more was to come.
        if (!complete || expect_.begun()) return false;
        end_empty(sink);
        return true;
      case State::kArguments:
        if (!complete || !object_.close(sink)) return false;
        sink.warn("its end is missing");
        sink.end();
        return true;
      case State::kEnd: return true;
    }
    return false;
  }

 private:
  enum class State : uint8_t { kHeader, kBody, kArguments, kEnd };

  // Whether the header so far is rather text of an answer.
  bool plain() const {
    const size_t from = header_.find_first_not_of(" \t\r\n");
    if (from == std::string::npos) return false;
    const std::string_view text = std::string_view(header_).substr(from);
    if (text[0] == '<') {
      return text.size() > 1 && text[1] != '|';
    }
    for (std::string_view word : {"assistant", "to="}) {
      if (word.starts_with(text) || text.starts_with(word)) return false;
    }
    return true;
  }

  CallStatus header(char c) {
    header_ += c;
    if (header_.ends_with(kMessage)) return decide();
    if (header_.ends_with(kStart)) {
      header_.clear();
      return CallStatus::kMore;
    }
    for (std::string_view end : kEnds) {
      if (header_.ends_with(end)) return CallStatus::kDone;  // a message without text
    }
    if (plain()) return CallStatus::kNotMine;
    return header_.size() > kMaxHeader ? failed("a message's header does not end")
                                       : CallStatus::kMore;
  }

  CallStatus decide() {
    constexpr std::string_view kTo = "to=", kChannel = "<|channel|>";
    const size_t to = header_.find(kTo);
    if (to != std::string::npos) {
      const size_t from = to + kTo.size();
      name_ = header_.substr(from, header_.find_first_of(" \t\r\n<", from) - from);
    }
    const bool called = !name_.empty() && name_ != "assistant" && name_ != "user" && name_ != "all";
    if (called && parse_tools_) {
      if (name_.starts_with("functions.")) name_.erase(0, 10);
      state_ = State::kBody;
      return name_.empty() ? failed("a call without a name") : CallStatus::kMore;
    }
    const size_t channel = header_.rfind(kChannel);
    std::string_view text = header_;
    if (channel != std::string::npos) text.remove_prefix(channel + kChannel.size());
    while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
    return text.starts_with("analysis") && !called ? CallStatus::kReasoning : CallStatus::kContent;
  }

  void end_empty(CallSink& sink) {
    sink.begin(name_, "");
    sink.arguments("{}");
    sink.end();
  }

  CallStatus body(char c, CallSink& sink) {
    if (c == '{' && !expect_.begun()) {
      sink.begin(name_, "");
      state_ = State::kArguments;
      return arguments(c, sink);
    }
    switch (expect_.feed(c, kEnds)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return failed("arguments are no object");
      case Expect::Status::kFound: break;
    }
    end_empty(sink);
    return CallStatus::kDone;
  }

  CallStatus arguments(char c, CallSink& sink) {
    const CallStatus status = object_.feed(c, sink);
    if (status == CallStatus::kFailed) return failed(object_.problem());
    if (status == CallStatus::kMore) return status;
    sink.end();
    state_ = State::kEnd;
    return CallStatus::kMore;
  }

  bool parse_tools_;
  State state_ = State::kHeader;
  std::string header_, name_;
  Expect expect_;
  ObjectArguments object_;
};

}  // namespace

std::unique_ptr<CallParser> make_harmony_message(bool parse_tools) {
  return std::make_unique<HarmonyMessage>(parse_tools);
}

}  // namespace mica::answer
