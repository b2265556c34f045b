// Calls in tags: Qwen3-Coder, MiniMax, GLM, LongCat. What begins with <tool_call> is told apart by
// its first byte: models write JSON where tags were asked for, and the other way round.
#include <optional>

#include "text/answer/json_call.h"
#include "text/answer/marker_set.h"

namespace mica::answer {
namespace {

using Texts = std::vector<std::string_view>;

struct Tags {
  std::string_view call_open, call_open_end, call_close;  // none where the name is plain text
  std::string_view key_open, key_close;                   // around a parameter's name
  std::string_view value_open, value_close;               // value_open "": right behind key_close
  std::string_view end;
  bool padded;  // a line break around each value is layout
};

constexpr Tags kQwen = {"<function=",   ">", "</function>", "<parameter=", ">", "", "</parameter>",
                        "</tool_call>", true};
constexpr Tags kMiniMax = {
    "<invoke name=\"",      "\">", "</invoke>", "<parameter name=\"", "\">", "", "</parameter>",
    "</minimax:tool_call>", false};
constexpr Tags kGlm = {
    "", "", "", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>", false};
constexpr Tags kLongcat = {"",
                           "",
                           "",
                           "<longcat_arg_key>",
                           "</longcat_arg_key>",
                           "<longcat_arg_value>",
                           "</longcat_arg_value>",
                           "</longcat_tool_call>",
                           false};

// Text up to a closing tag; `feed` appends what surely belongs to it.
class TagText {
 public:
  TagText(std::string_view close, bool padded) : at_start_(padded) {
    std::vector<std::string> ends = {std::string(close)};
    if (padded) ends.push_back("\n" + std::string(close));
    ends_ = MarkerSet(std::move(ends));
  }
  bool feed(char c, std::string& out) {  // true: the tag was read
    if (at_start_ && c == '\n') {
      at_start_ = false;
      return false;
    }
    at_start_ = false;
    held_ += c;
    while (!held_.empty()) {
      const MarkerSet::Match match = ends_.match(held_, false);
      if (match.kind == MarkerSet::Match::Kind::kFound) return true;
      if (match.kind == MarkerSet::Match::Kind::kPartial) return false;
      out += held_[0];
      held_.erase(0, 1);
    }
    return false;
  }

 private:
  MarkerSet ends_;
  std::string held_;
  bool at_start_;
};

class TagCalls : public CallParser {
 public:
  TagCalls(const Tags& tags, bool in_name, const ToolTypes& types) : tags_(tags), types_(&types) {
    if (in_name || tags.call_open.empty()) {
      state_ = State::kName;
    } else {
      between_ = {tags.call_open};
    }
  }

  CallStatus feed(char c, CallSink& sink) override {
    switch (state_) {
      case State::kBetween: return between(c);
      case State::kName: return tags_.call_open.empty() ? plain_name(c, sink) : tag_name(c, sink);
      case State::kInside: return inside(c, sink);
      case State::kKey: return key(c, sink);
      case State::kAfterKey:
        switch (expect_.feed(c, Texts{tags_.value_open})) {
          case Expect::Status::kMore: return CallStatus::kMore;
          case Expect::Status::kFound: return begin_value(sink);
          case Expect::Status::kNo: return failed("an argument without a value");
        }
        break;
      case State::kValue: return value(c, sink);
      case State::kObject: return object(c, sink);
    }
    return CallStatus::kMore;
  }

  bool finish(bool complete, CallSink& sink) override {
    if (state_ == State::kBetween) return calls_ > 0;
    if (state_ == State::kObject && complete && object_->close(sink)) {
      sink.warn("its end is missing");
      sink.end();
      return true;
    }
    if (state_ != State::kInside || !complete || expect_.begun()) return false;
    sink.warn("its end is missing");
    end_call(sink);
    return true;
  }

 private:
  enum class State : uint8_t { kBetween, kName, kInside, kKey, kAfterKey, kValue, kObject };

  CallStatus between(char c) {
    switch (expect_.feed(c, between_)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kFound:
        if (expect_.found() == 1) return CallStatus::kDone;
        if (expect_.found() == 2) {
          between_.pop_back();
          return CallStatus::kMore;
        }
        name_.clear();
        state_ = State::kName;
        return CallStatus::kMore;
      case Expect::Status::kNo: break;
    }
    return calls_ > 0 ? CallStatus::kNotMine : failed("no function where a call should be");
  }

  CallStatus tag_name(char c, CallSink& sink) {
    name_ += c;
    if (!name_.ends_with(tags_.call_open_end)) {
      return c == '<' || c == '\n' ? failed("a call without a name") : CallStatus::kMore;
    }
    name_.resize(name_.size() - tags_.call_open_end.size());
    return begin_call(sink);
  }

  CallStatus plain_name(char c, CallSink& sink) {
    if (name_.empty() && is_space(c)) return CallStatus::kMore;
    if (c != '<' && c != '\n') {
      const bool inner_space = !name_.empty() && is_space(name_.back()) && !is_space(c);
      name_ += c;
      return inner_space ? failed("a name with a space in it") : CallStatus::kMore;
    }
    const CallStatus status = begin_call(sink);
    return status == CallStatus::kMore ? inside(c, sink) : status;
  }

  CallStatus begin_call(CallSink& sink) {
    while (!name_.empty() && (is_space(name_.back()) || name_.back() == '"')) name_.pop_back();
    name_.erase(0, name_.find_first_not_of(" \""));
    if (name_.empty()) return failed("a call without a name");
    sink.begin(name_, "");
    parameters_ = 0;
    inside_ = {tags_.key_open, tags_.end};
    if (!tags_.call_close.empty()) inside_.push_back(tags_.call_close);
    state_ = State::kInside;
    return CallStatus::kMore;
  }

  CallStatus inside(char c, CallSink& sink) {
    if (c == '{' && parameters_ == 0 && !expect_.begun() && !tags_.call_open.empty()) {
      object_.emplace();
      state_ = State::kObject;
      return object(c, sink);
    }
    switch (expect_.feed(c, inside_)) {
      case Expect::Status::kMore: return CallStatus::kMore;
      case Expect::Status::kNo: return failed("neither an argument nor the end of the call");
      case Expect::Status::kFound: break;
    }
    if (expect_.found() == 0) {
      key_.clear();
      state_ = State::kKey;
      return CallStatus::kMore;
    }
    const bool ended = expect_.found() == 1;
    if (ended && !tags_.call_close.empty()) sink.warn("its end is missing");
    end_call(sink);
    return ended ? CallStatus::kDone : CallStatus::kMore;
  }

  CallStatus key(char c, CallSink& sink) {
    key_ += c;
    if (!key_.ends_with(tags_.key_close)) {
      return c == '\n' ? failed("an argument without a name") : CallStatus::kMore;
    }
    key_.resize(key_.size() - tags_.key_close.size());
    if (tags_.value_open.empty()) return begin_value(sink);
    state_ = State::kAfterKey;
    return CallStatus::kMore;
  }

  CallStatus begin_value(CallSink& sink) {
    std::string opening = parameters_++ == 0 ? "{" : ", ";
    opening += json_string(key_) + ": ";
    mask_ = types_->parameter(name_, key_);
    if (mask_ == kStringType) opening += '"';
    sink.arguments(opening);
    text_.emplace(tags_.value_close, tags_.padded);
    value_.clear();
    state_ = State::kValue;
    return CallStatus::kMore;
  }

  CallStatus value(char c, CallSink& sink) {
    std::string piece;
    const bool done = text_->feed(c, piece);
    if (mask_ == kStringType) {
      std::string escaped;
      append_escaped(escaped, piece);
      if (done) escaped += '"';
      sink.arguments(escaped);
    } else {
      value_ += piece;
    }
    if (!done) return CallStatus::kMore;
    if (mask_ != kStringType) {
      bool mended = false;
      sink.arguments(argument_json(value_, mask_, mended));
      if (mended) sink.warn("argument '" + key_ + "' is not of the type of its schema");
    }
    state_ = State::kInside;
    return CallStatus::kMore;
  }

  // The arguments as one JSON object between the tags of the call.
  CallStatus object(char c, CallSink& sink) {
    const CallStatus status = object_->feed(c, sink);
    if (status == CallStatus::kFailed) return failed(object_->problem());
    if (status == CallStatus::kMore) return status;
    sink.end();
    ++calls_;
    between_ = {tags_.call_open, tags_.end, tags_.call_close};
    state_ = State::kBetween;
    return CallStatus::kMore;
  }

  void end_call(CallSink& sink) {
    sink.arguments(parameters_ == 0 ? "{}" : "}");
    sink.end();
    ++calls_;
    between_ = {tags_.call_open, tags_.end};
    state_ = State::kBetween;
  }

  const Tags& tags_;
  const ToolTypes* types_;
  State state_ = State::kBetween;
  Texts between_, inside_;  // what may come there
  Expect expect_;
  std::string name_, key_, value_;
  std::optional<TagText> text_;
  std::optional<ObjectArguments> object_;
  TypeMask mask_ = kAnyType;
  int parameters_ = 0, calls_ = 0;
};

// Behind <tool_call>: JSON, <function=…> or a name.
class AnyTags : public CallParser {
 public:
  AnyTags(const Tags& plain, const ToolTypes& types) : plain_(plain), types_(&types) {}
  CallStatus feed(char c, CallSink& sink) override {
    if (!inner_) {
      if (is_space(c)) return CallStatus::kMore;
      if (c == '{' || c == '[') {
        inner_ = make_json_calls(plain_.end, false, *types_);
      } else if (c == '<' && &plain_ == &kGlm) {
        inner_ = std::make_unique<TagCalls>(kQwen, false, *types_);
      } else {
        inner_ = std::make_unique<TagCalls>(plain_, true, *types_);
      }
    }
    const CallStatus status = inner_->feed(c, sink);
    return status == CallStatus::kFailed ? failed(inner_->problem()) : status;
  }
  bool finish(bool complete, CallSink& sink) override {
    return inner_ && inner_->finish(complete, sink);
  }

 private:
  const Tags& plain_;
  const ToolTypes* types_;
  std::unique_ptr<CallParser> inner_;
};

}  // namespace

std::unique_ptr<CallParser> make_tag_calls(ToolStyle style, std::string_view begin,
                                           const ToolTypes& types) {
  if (style == ToolStyle::kMiniMax) return std::make_unique<TagCalls>(kMiniMax, false, types);
  if (style == ToolStyle::kLongcat) return std::make_unique<AnyTags>(kLongcat, types);
  if (begin == kQwen.call_open) return std::make_unique<TagCalls>(kQwen, true, types);
  return std::make_unique<AnyTags>(kGlm, types);
}

}  // namespace mica::answer
