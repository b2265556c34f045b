// Reads server-sent events (WHATWG HTML, 9.2.6) from bytes that come in any portions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mica {

struct SseEvent {
  std::string_view type;  // of the field `event`; "error" for llama.cpp's field of that name; or ""
  std::string_view data;  // the lines of `data`, joined by newlines
};

//   parser.feed(bytes);
//   while (const auto event = parser.next()) …
// Comments, ids, retries and unknown fields are skipped. Deviations from the standard: a field
// `error` is data of type "error", and last() gives an event whose blank line never came.
class SseParser {
 public:
  // max_event: bytes of one event, comments included.
  explicit SseParser(size_t max_event = size_t{16} << 20) : max_event_(max_event) {}

  void feed(std::string_view bytes);
  // Valid until the next call of anything here. nullopt: more bytes are needed.
  std::optional<SseEvent> next();
  // After the last byte: the event that the end left open, if it has data.
  std::optional<SseEvent> last();

  // An event went over the limit; nothing comes any more.
  bool too_large() const { return too_large_; }
  bool pending() const { return seen_ || begin_ < buffer_.size(); }  // an event has begun

 private:
  bool take_line(std::string_view& line);
  void field(std::string_view line);
  std::optional<SseEvent> dispatch();

  const size_t max_event_;
  std::string buffer_;
  size_t begin_ = 0;  // of the line that is read
  size_t scan_ = 0;   // up to here it has no end
  size_t bytes_ = 0;  // of the event so far
  std::string type_, data_, given_type_, given_data_;
  bool first_line_ = true, after_return_ = false, seen_ = false, has_data_ = false;
  bool too_large_ = false;
};

}  // namespace mica
