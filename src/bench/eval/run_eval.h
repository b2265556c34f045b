// Asks the questions that a file has no answer to yet, several at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/client/client.h"
#include "bench/eval/eval_file.h"
#include "bench/eval/question.h"
#include "bench/plan/plan.h"

namespace mica {

// Who is asked: a server that runs, however it was started.
struct EvalTarget {
  std::string url;
  PlanDialect dialect;
  std::string model;  // field `model`
};

struct EvalOptions {
  int32_t concurrency = 16;                                 // requests in flight
  int64_t max_tokens = 8192;                                // of an answer with its reasoning
  std::vector<std::pair<std::string, std::string>> fields;  // name and JSON value, of each request
  std::optional<int64_t> seed;
  int64_t limit = 0;          // the first so many questions; 0 = all
  bool retry_failed = false;  // asks those again whose request failed in an earlier run
  RequestDeadlines deadlines;
};

struct EvalProgress {
  int64_t questions = 0;  // that shall be asked in all
  int64_t ended = 0;      // of these, with those of earlier runs
  int64_t correct = 0, truncated = 0, failed = 0;
};

struct EvalRun {
  // By question in the set's order; none where it was not asked.
  std::vector<std::optional<EvalRecord>> records;
  int64_t asked = 0;                  // in this run
  double seconds = 0;                 // of this run
  bool stopped = false;               // by Client::stop()
  std::vector<std::string> left_out;  // fields that the dialect has none for
};

// Answers of earlier runs are judged anew. `progress` comes after each question. Throws
// Error(kBackend) when so many requests in a row failed that nothing more can be expected; their
// failures are not written, and a later run asks them again.
EvalRun run_eval(Client& client, const EvalTarget& target, const QuestionSet& set,
                 const EvalOptions& options, EvalFile& file,
                 const std::function<void(const EvalProgress&)>& progress = {});

}  // namespace mica
