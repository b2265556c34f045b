// Errors that the user or the outside caused, and checks of the programmer's own assumptions.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace mica {

// What an error means to the caller of the program; `exit_status` maps it to a process exit status
// and the server maps it to an HTTP status.
enum class ErrorKind {
  kUsage,        // a flag, a request field or a value the caller chose           exit 2
  kDevice,       // the asked device can't be used: reason and remedy in the text  exit 3
  kCheckpoint,   // a file of a checkpoint is missing, malformed or unsupported    exit 4
  kBackend,      // an engine started by Mica did not start or died                exit 5
  kMeasurement,  // a measurement is invalid                                       exit 6
  kNetwork,      // the hub or another server did not answer as it should          exit 4
  kOutOfMemory,  // this request or model does not fit                             exit 3
  kInternal,     // a fault of Mica                                                exit 1
};

int exit_status(ErrorKind kind);
const char* name(ErrorKind kind);

// Thrown where the cause lies outside, caught in two places: the server's route wrapper and `main`.
// The message names the place, what was expected, what was found and a guess at the cause:
//   [safetensors] model.safetensors: tensor 'lm_head.weight': expected 2 dimensions, file has 3
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  template <typename... Args>
  Error(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args)
      : Error(kind, fmt::format(format, std::forward<Args>(args)...)) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

namespace internal {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
}  // namespace internal

}  // namespace mica

// A programmer's mistake, never reachable from user input: prints the place and aborts.
#define MICA_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      ::mica::internal::check_failed(__FILE__, __LINE__, #condition, std::string()); \
  } while (0)

// The same with a message in fmt's syntax.
#define MICA_CHECK_MSG(condition, ...)                                                          \
  do {                                                                                          \
    if (!(condition)) [[unlikely]]                                                              \
      ::mica::internal::check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (0)
