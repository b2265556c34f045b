// Calls in sections of special tokens: Kimi K2, DeepSeek V3 and V3.1.
#include "text/answer/json_call.h"

namespace mica::answer {
namespace {

using Texts = std::vector<std::string_view>;

struct Section {
  std::string_view open, separator, close;
  Texts ends;  // of the whole section
  bool kimi;   // functions.NAME:INDEX before the separator
};

const Section kKimi = {"<|tool_call_begin|>",
                       "<|tool_call_argument_begin|>",
                       "<|tool_call_end|>",
                       {"<|tool_calls_section_end|>", "<|tool_call_section_end|>"},
                       true};
const Section kDeepSeek = {"<｜tool▁call▁begin｜>",
                           "<｜tool▁sep｜>",
                           "<｜tool▁call▁end｜>",
                           {"<｜tool▁calls▁end｜>"},
                           false};

class SectionCalls : public CallParser {
 public:
  SectionCalls(const Section& section, bool inside) : section_(section) {
    between_ = section.ends;
    between_.insert(between_.begin(), section.open);
    if (inside) state_ = State::kHead;
  }

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kBetween: return between(c);
      case State::kHead: return head(c, sink);
      case State::kLine: return line(c, sink);
      case State::kArguments: return arguments(c, sink);
      case State::kClose: return close(c);
    }
    return CallStatus::kMore;
  }

  bool finish(bool complete, CallSink& sink) override {
    if (state_ == State::kBetween || state_ == State::kClose) return calls_ > 0;
    if (state_ != State::kArguments || !complete || !object_.close(sink)) return false;
    sink.warn("its end is missing");
    sink.end();
    return true;
  }

 private:
  enum class State : uint8_t {
    kBetween,
    kHead,  // up to the separator
    kLine,  // DeepSeek V3: the name and a code fence behind the separator
    kArguments,
    kClose,
  };

  CallStatus not_mine(std::string_view why) {
    return calls_ > 0 ? CallStatus::kNotMine : failed(why);
  }

  CallStatus between(char c) {
    switch (expect_.feed(c, between_)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return not_mine("no call in a section of calls");
      case Expect::Status::kFound: break;
    }
    if (expect_.found() > 0) return CallStatus::kDone;
    head_.clear();
    state_ = State::kHead;
    return CallStatus::kMore;
  }

  CallStatus head(char c, CallSink& sink) {
    head_ += c;
    if (!head_.ends_with(section_.separator)) {
      return head_.ends_with(section_.close) ? failed("a call without arguments")
                                             : CallStatus::kMore;
    }
    head_.resize(head_.size() - section_.separator.size());
    const size_t from = head_.find_first_not_of(" \t\r\n");
    if (from == std::string::npos) return failed("a call without a name");
    head_ = head_.substr(from, head_.find_last_not_of(" \t\r\n") - from + 1);
    object_ = ObjectArguments();
    if (!section_.kimi && head_ == "function") {
      head_.clear();
      state_ = State::kLine;
      return CallStatus::kMore;
    }
    state_ = State::kArguments;
    return section_.kimi ? begin_kimi(sink) : begin(head_, "", sink);
  }

  CallStatus begin_kimi(CallSink& sink) {
    std::string_view name = head_;
    if (name.starts_with("functions.")) name.remove_prefix(10);
    const size_t colon = name.rfind(':');
    bool numbered = colon != std::string_view::npos && colon + 1 < name.size();
    for (size_t i = colon + 1; numbered && i < name.size(); ++i) {
      numbered = name[i] >= '0' && name[i] <= '9';
    }
    if (numbered) name = name.substr(0, colon);
    return begin(name, numbered ? std::string_view(head_) : "", sink);
  }

  CallStatus begin(std::string_view name, std::string_view id, CallSink& sink) {
    if (name.empty()) return failed("a call without a name");
    sink.begin(name, id);
    return CallStatus::kMore;
  }

  // NAME, a line break, ```json and a line break; the fence may be missing.
  CallStatus line(char c, CallSink& sink) {
    if (c != '{') {
      head_ += c;
      return head_.ends_with(section_.close) ? failed("a call without arguments")
                                             : CallStatus::kMore;
    }
    const size_t from = head_.find_first_not_of(" \t\r\n");
    if (from == std::string::npos) return failed("a call without a name");
    const size_t to = head_.find_first_of(" \t\r\n`", from);
    state_ = State::kArguments;
    const CallStatus status = begin(
        std::string_view(head_).substr(from, to == std::string::npos ? to : to - from), "", sink);
    return status == CallStatus::kMore ? arguments(c, sink) : status;
  }

  CallStatus arguments(char c, CallSink& sink) {
    // A call that closes at once has no arguments.
    if (!object_.begun() && (c == '<' || expect_.begun())) {
      const Expect::Status status = expect_.feed(c, Texts{section_.close});
      if (status == Expect::Status::kMore) return CallStatus::kMore;
      if (status == Expect::Status::kNo) return failed("arguments are no object");
      sink.arguments("{}");
      end_call(sink);
      state_ = State::kBetween;
      return CallStatus::kMore;
    }
    const CallStatus status = object_.feed(c, sink);
    if (status == CallStatus::kFailed) return failed(object_.problem());
    if (status == CallStatus::kDone) end_call(sink);
    return CallStatus::kMore;
  }

  void end_call(CallSink& sink) {
    sink.end();
    ++calls_;
    state_ = State::kClose;
  }

  CallStatus close(char c) {
    if (c == '`' && !expect_.begun()) return CallStatus::kMore;
    switch (expect_.feed(c, Texts{section_.close})) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return not_mine("");
      case Expect::Status::kFound: break;
    }
    state_ = State::kBetween;
    return CallStatus::kMore;
  }

  const Section& section_;
  State state_ = State::kBetween;
  Texts between_;
  Expect expect_;
  std::string head_;
  ObjectArguments object_;
  int calls_ = 0;
};

}  // namespace

std::unique_ptr<CallParser> make_section_calls(ToolStyle style, bool inside) {
  return std::make_unique<SectionCalls>(style == ToolStyle::kKimi ? kKimi : kDeepSeek, inside);
}

}  // namespace mica::answer
