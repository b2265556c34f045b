// What a template raises while it is parsed or rendered; mica::Error is made of it at the border.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace mica::jinja {

// The Python exception that jinja2 would raise: some filters catch some of them.
enum class ErrorType {
  kSyntax,        // also unknown filters and tests: found when the template is compiled
  kType,          // TypeError
  kValue,         // ValueError
  kLookup,        // IndexError, KeyError
  kZeroDivision,  // ZeroDivisionError
  kOverflow,      // OverflowError
  kUndefined,     // an undefined value was used
  kSecurity,      // an attribute that the sandbox forbids was used
  kRaised,        // the template called raise_exception
  kRuntime,       // anything else
  kLimit,         // steps, memory, output size or nesting
};

class TemplateError : public std::runtime_error {
 public:
  TemplateError(ErrorType type, const std::string& message, int line = 0)
      : std::runtime_error(message), type(type), line(line) {}
  template <typename... Args>
  static TemplateError make(ErrorType type, fmt::format_string<Args...> format, Args&&... args) {
    return TemplateError(type, fmt::format(format, std::forward<Args>(args)...));
  }
  ErrorType type;
  int line;  // 1-based, 0 when not yet known
};

[[noreturn]] void raise(ErrorType type, const std::string& message);
template <typename... Args>
[[noreturn]] void raise(ErrorType type, fmt::format_string<Args...> format, Args&&... args) {
  raise(type, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace mica::jinja
