// Finds stop strings in a text that arrives in pieces, over the borders of tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mica {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Text that can't be part of a stop string any more. Once a stop string is complete: what was
  // before it, then nothing.
  std::string add(std::string_view piece);
  // The end of the text: what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }
  // The stop string that was complete first; "" before.
  const std::string& found() const { return found_; }

 private:
  size_t held_back() const;  // longest end of `pending_` that begins a stop string, bytes

  std::vector<std::string> stops_;
  std::string pending_, found_;
  bool stopped_ = false;
};

}  // namespace mica
