#include "text/answer/json_call.h"

#include <nlohmann/json.hpp>

namespace mica::answer {
namespace {

using Status = ValueReader::Status;

// The text of a JSON string that a ValueReader wrote.
std::string unquoted(const std::string& json) {
  return nlohmann::json::parse(json).get<std::string>();
}

}  // namespace

CallStatus ObjectArguments::feed(char c, CallSink& sink) {
  if (!begun_) {
    if (is_space(c)) return CallStatus::kMore;
    if (c != '{') return CallStatus::kFailed;
    begun_ = true;
  }
  std::string out;
  const Status status = reader_.feed(c, out);
  sink.arguments(out);
  if (status == Status::kMore) return CallStatus::kMore;
  if (status != Status::kDone) return CallStatus::kFailed;
  if (reader_.mended()) sink.warn("the notation of its arguments was mended");
  return CallStatus::kDone;
}

bool ObjectArguments::close(CallSink& sink) {
  std::string out;
  if (!begun_ || !reader_.close(out)) return false;
  sink.arguments(out);
  return true;
}

CallStatus JsonCall::failed(std::string_view why) {
  problem_ = why;
  return bare_ && !begun_ ? CallStatus::kNotMine : CallStatus::kFailed;
}

CallStatus JsonCall::feed(char c, CallSink& sink) {
  switch (state_) {
    case State::kOpen:
      if (c != '{') return failed("a call that is no object");
      ++depth_;
      state_ = State::kKey;
      return CallStatus::kMore;
    case State::kKey: return read_key(c, sink);
    case State::kColon:
      if (is_space(c)) return CallStatus::kMore;
      if (c != ':') return failed("no colon behind a key");
      state_ = State::kValue;
      return CallStatus::kMore;
    case State::kValue: return begin_value(c, sink);
    case State::kMember:
    case State::kArguments: return read_member(c, sink);
    case State::kNext: break;
  }
  if (is_space(c)) return CallStatus::kMore;
  if (c == '}') return close_object(sink);
  if (c != ',') return failed("no comma or bracket behind a value");
  state_ = State::kKey;
  return CallStatus::kMore;
}

CallStatus JsonCall::read_key(char c, CallSink& sink) {
  if (!reader_) {
    if (is_space(c)) return CallStatus::kMore;
    if (c == '}') return close_object(sink);
    if (c != '"' && c != '\'') return failed("a key without quotes");
    reader_.emplace(ValueReader::Notation::kJson);
    text_.clear();
  }
  const Status status = reader_->feed(c, text_);
  if (status == Status::kMore) return CallStatus::kMore;
  if (status != Status::kDone) return failed(reader_->problem());
  reader_.reset();
  const std::string key = unquoted(text_);
  member_ = key == "name"                               ? Member::kName
            : key == "arguments" || key == "parameters" ? Member::kArguments
            : key == "id"                               ? Member::kId
            : key == "function"                         ? Member::kFunction
                                                        : Member::kOther;
  if (bare_ && !begun_ && member_ == Member::kOther && key != "type") {
    return failed("an object that is no call");
  }
  if (member_ == Member::kArguments && arguments_done_) return failed("arguments given twice");
  state_ = State::kColon;
  return CallStatus::kMore;
}

CallStatus JsonCall::begin_value(char c, CallSink& sink) {
  if (is_space(c)) return CallStatus::kMore;
  text_.clear();
  if (member_ == Member::kFunction && c == '{' && depth_ == 1) {
    ++depth_;
    state_ = State::kKey;
    return CallStatus::kMore;
  }
  if (member_ == Member::kFunction && c == '"') member_ = Member::kName;
  if (member_ == Member::kName && c != '"' && c != '\'') return failed("a name that is no text");
  state_ = State::kMember;
  if (member_ == Member::kArguments) {
    if (c == '{')
      state_ = State::kArguments;
    else if (c != '"' && c != 'n')
      return failed("arguments are no object");
  }
  reader_.emplace(ValueReader::Notation::kJson);
  return read_member(c, sink);
}

CallStatus JsonCall::read_member(char c, CallSink& sink) {
  std::string piece;
  const bool streams = state_ == State::kArguments;
  const Status status = reader_->feed(c, streams ? piece : text_);
  if (streams) arguments(piece, sink);
  if (status == Status::kMore) return CallStatus::kMore;
  if (status == Status::kFailed) return failed(reader_->problem());
  const CallStatus done = member_done(sink);
  if (done != CallStatus::kMore || status == Status::kDone) return done;
  return feed(c, sink);  // the byte behind a number or a word
}

CallStatus JsonCall::member_done(CallSink& sink) {
  const bool mended = reader_->mended();
  reader_.reset();
  const bool streamed = state_ == State::kArguments;
  state_ = State::kNext;
  if (streamed) {
    arguments_done_ = true;
    if (mended) sink.warn("the notation of its arguments was mended");
    return CallStatus::kMore;
  }
  switch (member_) {
    case Member::kName: return named(unquoted(text_), sink);
    case Member::kId:
      if (text_[0] == '"') id_ = unquoted(text_);
      return CallStatus::kMore;
    case Member::kArguments:
      if (text_ == "null") return text_arguments("{}", sink);
      return text_[0] == '"' ? text_arguments(unquoted(text_), sink)
                             : failed("arguments are no object");
    default: return CallStatus::kMore;
  }
}

CallStatus JsonCall::named(std::string name, CallSink& sink) {
  if (begun_) return failed("named twice");
  if (name.empty()) return failed("a call without a name");
  if (bare_ && types_->any() && !types_->known(name)) return failed("no tool of that name");
  begun_ = true;
  sink.begin(name, id_);
  if (!early_.empty()) sink.arguments(early_);
  return CallStatus::kMore;
}

// Arguments that came as the text of a JSON string.
CallStatus JsonCall::text_arguments(const std::string& text, CallSink& sink) {
  ValueReader reader(ValueReader::Notation::kJson);
  std::string out;
  Status status = Status::kMore;
  size_t i = text.find_first_not_of(" \t\r\n");
  if (i == std::string::npos || text[i] != '{') return failed("arguments are no object");
  for (; i < text.size() && status == Status::kMore; ++i) status = reader.feed(text[i], out);
  if (status != Status::kDone || text.find_first_not_of(" \t\r\n", i) != std::string::npos) {
    return failed("arguments are no object");
  }
  arguments(out, sink);
  arguments_done_ = true;
  return CallStatus::kMore;
}

void JsonCall::arguments(std::string_view json, CallSink& sink) {
  if (begun_) {
    sink.arguments(json);
  } else {
    early_ += json;
  }
}

CallStatus JsonCall::close_object(CallSink& sink) {
  state_ = State::kNext;
  if (--depth_ > 0) return CallStatus::kMore;
  if (!begun_) return failed("a call without a name");
  if (!arguments_done_) sink.arguments("{}");
  sink.end();
  return CallStatus::kDone;
}

bool JsonCall::finish(bool complete, CallSink& sink) {
  if (!begun_) return false;
  if (!arguments_done_) {
    std::string out;
    if (!complete || state_ != State::kArguments || !reader_->close(out)) return false;
    sink.arguments(out);
  }
  sink.warn("its end is missing");
  sink.end();
  return true;
}

}  // namespace mica::answer
