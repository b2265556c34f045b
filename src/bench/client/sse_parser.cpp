#include "bench/client/sse_parser.h"

namespace mica {

void SseParser::feed(std::string_view bytes) {
  if (too_large_) return;
  buffer_.erase(0, begin_);
  scan_ -= begin_;
  begin_ = 0;
  buffer_ += bytes;
}

// A line ends with \n, \r\n or \r. The \n of an \r\n may come with the next bytes.
bool SseParser::take_line(std::string_view& line) {
  if (after_return_ && begin_ < buffer_.size()) {
    if (buffer_[begin_] == '\n') scan_ = ++begin_;
    after_return_ = false;
  }
  const size_t end = buffer_.find_first_of("\r\n", scan_);
  if (end == std::string::npos) {
    scan_ = buffer_.size();
    too_large_ |= bytes_ + (buffer_.size() - begin_) > max_event_;
    return false;
  }
  line = std::string_view(buffer_).substr(begin_, end - begin_);
  after_return_ = buffer_[end] == '\r';
  begin_ = scan_ = end + 1;
  bytes_ += line.size();
  too_large_ |= bytes_ > max_event_;
  return !too_large_;
}

void SseParser::field(std::string_view line) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (first_line_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  first_line_ = false;
  const size_t colon = line.find(':');
  if (line.empty() || colon == 0) return;  // a comment
  seen_ = true;
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "event") {
    type_ = value;
  } else if (name == "data" || name == "error") {
    if (name == "error") type_ = name;
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
}

std::optional<SseEvent> SseParser::dispatch() {
  const bool has_data = has_data_;
  given_type_.swap(type_);
  given_data_.swap(data_);
  type_.clear();
  data_.clear();
  bytes_ = 0;
  seen_ = has_data_ = false;
  if (!has_data) return std::nullopt;
  return SseEvent{given_type_, given_data_};
}

std::optional<SseEvent> SseParser::next() {
  std::string_view line;
  while (!too_large_ && take_line(line)) {
    if (!line.empty()) {
      field(line);
    } else if (auto event = dispatch()) {
      return event;
    }
  }
  return std::nullopt;
}

std::optional<SseEvent> SseParser::last() {
  if (too_large_) return std::nullopt;
  field(std::string_view(buffer_).substr(begin_));
  begin_ = scan_ = buffer_.size();
  return dispatch();
}

}  // namespace mica
