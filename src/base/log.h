// The one sink for log lines: standard error, "[info] text" or a JSON object a line. Nothing below
// cli/ prints otherwise.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace mica {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Lines below this level are dropped. Default kInfo. Thread-safe.
void set_log_level(LogLevel level);
LogLevel log_level();

enum class LogFormat { kText, kJson };
void set_log_format(LogFormat format);  // default kText

// Writes one line, thread-safe, whole. fields: further members of a JSON line, such as
// "\"status\":200"; not shown in text.
void log_line(LogLevel level, const std::string& message, const std::string& fields = "");

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::kDebug)
    log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace mica
