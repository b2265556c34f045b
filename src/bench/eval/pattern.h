// Regular expressions of users over texts of models: PCRE2, with a limit of steps.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace mica {

class Pattern {
 public:
  // UTF-8 and Unicode classes. Throws Error(kUsage): no pattern, with the place in it.
  Pattern(const std::string& text, bool ignore_case);
  ~Pattern();
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  enum class Result { kFound, kNotFound, kTooLong };  // kTooLong: given up at a limit
  Result search(std::string_view text) const;
  const std::string& text() const { return text_; }

 private:
  struct Code;
  std::string text_;
  std::unique_ptr<Code> code_;
};

}  // namespace mica
