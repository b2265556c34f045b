// Whether a run's figures can be believed: what is impossible, unequal or unsteady in its records.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/client/record.h"
#include "bench/statistics/run_summary.h"

namespace mica {

enum class Severity {
  kNote,     // good to know
  kWarning,  // a figure may mislead
  kInvalid,  // the run does not show what it claims to
};
const char* name(Severity severity);  // "note", "warning", "invalid"

// One thing to know about a run. Codes are stable: "impossible_prefill".
struct Mark {
  Severity severity = Severity::kNote;
  std::string code;
  std::string text;  // a sentence with the evidence
  friend bool operator==(const Mark&, const Mark&) = default;
};

struct CheckOptions {
  bool cold = true;           // no prompt may be in a cache
  bool exact_output = false;  // every answer was to have wanted_output tokens, not at most those
  bool open_loop = false;     // requests had to be sent when due
  // Prompt tokens a second that nothing here can compute; see plausible_prefill_rate().
  double max_prefill_rate = 1e6;
  std::string max_prefill_from = "whatever the model";  // how that was computed
};

// The most prompt tokens a second for a model of `parameters` (that a token uses) on devices of
// `operations` a second together: two operations a parameter, nothing else.
double plausible_prefill_rate(double parameters, double operations);

std::vector<Mark> check_run(std::span<const RequestSample> records, const RunSummary& summary,
                            const CheckOptions& options);

}  // namespace mica
