// Failures of engines that have a known meaning: lines of a log, what they mean, what helps. The
// data is config/known_failures.yaml, embedded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace mica {

struct KnownFailure {
  std::string id;                     // "cuda_out_of_memory"
  std::vector<std::string> backends;  // names of descriptors; empty: all
  // One of these is found in a line. Case does not count; '*' stands for any text.
  std::vector<std::string> patterns;
  std::string meaning, advice;
  ErrorKind kind = ErrorKind::kBackend;
};

// In the order of the file: what comes first is preferred when several were seen.
const std::vector<KnownFailure>& known_failures();
// Throws Error (kUsage) with the line of the file.
std::vector<KnownFailure> parse_known_failures(const std::string& yaml, const std::string& file);

bool matches(const KnownFailure& failure, std::string_view line);

struct RecognisedFailure {
  const KnownFailure* failure = nullptr;
  std::string line;  // the first that showed it
};

// Fed with every line of a log.
class FailureWatch {
 public:
  explicit FailureWatch(const std::string& backend,
                        const std::vector<KnownFailure>& failures = known_failures());
  void look(std::string_view line);
  std::optional<RecognisedFailure> best() const;
  // Lines of this kind say that kernels or graphs are being compiled.
  static bool is_compiling(std::string_view line);

 private:
  std::vector<const KnownFailure*> candidates_;
  std::vector<std::string> lines_;  // of the candidates; empty: not seen
};

}  // namespace mica
