#include "bench/statistics/checks.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

constexpr int64_t kUnknown = RequestSample::kUnknown;

using Records = std::vector<const RequestSample*>;

class Checks {
 public:
  Checks(std::span<const RequestSample> all, const RunSummary& summary, const CheckOptions& options)
      : summary_(summary), options_(options) {
    for (const RequestSample& record : all)
      if (!record.warmup && record.ok()) finished_.push_back(&record);
  }

  std::vector<Mark> run() {
    failures();
    if (finished_.empty()) return std::move(marks_);
    prefill();
    cached();
    lengths();
    token_counts();
    empty_answers();
    sending();
    steadiness();
    return std::move(marks_);
  }

 private:
  template <typename... Args>
  void mark(Severity severity, const char* code, fmt::format_string<Args...> text, Args&&... args) {
    marks_.push_back({severity, code, fmt::format(text, std::forward<Args>(args)...)});
  }

  template <typename Condition>
  Records where(Condition condition) const {
    Records out;
    std::copy_if(finished_.begin(), finished_.end(), std::back_inserter(out),
                 [&](const RequestSample* record) { return condition(*record); });
    return out;
  }

  void failures();
  void prefill();
  void cached();
  void lengths();
  void token_counts();
  void empty_answers();
  void sending();
  void steadiness();

  Records finished_;
  const RunSummary& summary_;
  const CheckOptions& options_;
  std::vector<Mark> marks_;
};

void Checks::failures() {
  if (summary_.requests == 0) {
    mark(Severity::kInvalid, "nothing_measured", "no request was measured");
    return;
  }
  const int64_t failed = summary_.requests - summary_.finished;
  if (failed == 0) return;
  std::string kinds;
  for (const auto& [status, count] : summary_.statuses)
    if (status != name(RequestStatus::kOk))
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, status);
  mark(summary_.finished == 0 ? Severity::kInvalid : Severity::kWarning, "failed_requests",
       "{} of {} requests did not finish: {}", failed, summary_.requests, kinds);
}

// A whole prompt faster than anything here computes was not computed.
void Checks::prefill() {
  const RequestSample* worst = nullptr;
  double fastest = options_.max_prefill_rate;
  int64_t count = 0;
  for (const RequestSample* record : finished_) {
    // A cache that was asked for, by an engine that does not say what it had.
    if (!options_.cold && record->cached_tokens == kUnknown) continue;
    const double rate = value_of("prefill_rate", *record).value_or(0);
    count += rate > options_.max_prefill_rate;
    if (rate <= fastest) continue;
    fastest = rate;
    worst = record;
  }
  if (!worst) return;
  const int64_t computed = worst->prompt_tokens - std::max<int64_t>(worst->cached_tokens, 0);
  mark(
      Severity::kInvalid, "impossible_prefill",
      "{} of {} requests have an impossible prefill rate: request {} has {} uncached prompt tokens "
      "and its first token after {:.3g} ms, {:.3g} tokens/s where at most {:.3g} are possible "
      "({}); "
      "most likely its prompt was in a cache",
      count, finished_.size(), worst->id, computed, 1e3 * *value_of("ttft", *worst), fastest,
      options_.max_prefill_rate, options_.max_prefill_from);
}

void Checks::cached() {
  if (!options_.cold) return;
  const Records hits = where([](const RequestSample& r) { return r.cached_tokens > 0; });
  if (hits.empty()) return;
  const double share = summary_.prompt_tokens > 0 ? static_cast<double>(summary_.cached_tokens) /
                                                        static_cast<double>(summary_.prompt_tokens)
                                                  : 1;
  // A chat template's head is the same in all prompts.
  mark(share > 0.05 ? Severity::kInvalid : Severity::kNote, "cached_in_cold_run",
       "{} of {} requests of a cold run had cached prompt tokens, {} tokens together, {:.1f} % of "
       "all",
       hits.size(), finished_.size(), summary_.cached_tokens, 100 * share);
}

void Checks::lengths() {
  const Records input = where([](const RequestSample& r) {
    return r.wanted_input != kUnknown && r.prompt_tokens != kUnknown &&
           r.wanted_input != r.prompt_tokens;
  });
  if (!input.empty())
    mark(Severity::kWarning, "input_length",
         "{} of {} prompts have another length than asked for: request {} has {} tokens, not {}",
         input.size(), finished_.size(), input[0]->id, input[0]->prompt_tokens,
         input[0]->wanted_input);
  const bool exact = options_.exact_output;
  const Records output = where([&](const RequestSample& r) {
    if (r.wanted_output == kUnknown) return false;
    return exact ? r.output_tokens() != r.wanted_output : r.output_tokens() > r.wanted_output;
  });
  if (!output.empty())
    mark(exact ? Severity::kInvalid : Severity::kWarning, "output_length",
         "{} of {} answers have another length than asked for: request {} has {} tokens, not {}{}",
         output.size(), finished_.size(), output[0]->id, output[0]->output_tokens(),
         exact ? "" : "at most ", output[0]->wanted_output);
  const Records shorter = where([&](const RequestSample& r) {
    return !exact && r.wanted_output != kUnknown && r.output_tokens() < r.wanted_output;
  });
  if (!shorter.empty())
    mark(Severity::kWarning, "output_shorter",
         "{} of {} answers ended by themselves before the tokens that were asked for: request {} "
         "has "
         "{} of {}; engines that can be told the length do more work",
         shorter.size(), finished_.size(), shorter[0]->id, shorter[0]->output_tokens(),
         shorter[0]->wanted_output);
  const Distribution* tokens = summary_.figure("output_tokens");
  if (!exact && tokens && tokens->variation > 0.1)
    mark(Severity::kWarning, "output_lengths_vary",
         "answers have {:.0f} to {:.0f} tokens: end-to-end times and throughput depend on what was "
         "answered",
         tokens->min, tokens->max);
}

void Checks::token_counts() {
  const Records guessed = where([](const RequestSample& r) {
    return r.completion_tokens == kUnknown && r.counted_output == kUnknown;
  });
  if (!guessed.empty())
    mark(Severity::kWarning, "tokens_guessed",
         "{} of {} answers came without a count of tokens: one for each chunk is assumed",
         guessed.size(), finished_.size());
  // The end of sequence and special tokens have no text. Behind an end that is ignored there may be
  // nothing else, and texts that the tokenizer would cut in another way.
  const double tolerance = options_.exact_output ? 0.3 : 0.02;
  const Records differ = where([&](const RequestSample& r) {
    if (r.completion_tokens == kUnknown || r.counted_output == kUnknown) return false;
    if (options_.exact_output && r.counted_output < r.completion_tokens) return false;
    return std::abs(static_cast<double>(r.completion_tokens - r.counted_output)) >
           2 + tolerance * static_cast<double>(r.completion_tokens);
  });
  if (!differ.empty())
    mark(Severity::kWarning, "usage_differs",
         "{} of {} answers have another number of tokens than their usage says: request {} has {} "
         "by the tokenizer, {} by its usage",
         differ.size(), finished_.size(), differ[0]->id, differ[0]->counted_output,
         differ[0]->completion_tokens);
  const Records at_once = where([](const RequestSample& r) {
    return r.output_tokens() > 1 && r.first_token != RequestSample::kNever && !value_of("tpot", r);
  });
  if (!at_once.empty())
    mark(Severity::kNote, "decode_not_told",
         "{} of {} answers brought all their tokens in one or two chunks: their TPOT and decode "
         "rate can't be told",
         at_once.size(), finished_.size());
  const Distribution* per_chunk = summary_.figure("tokens_per_chunk");
  if (per_chunk && per_chunk->median > 1.5)
    mark(Severity::kNote, "tokens_bundled",
         "a chunk holds {:.2f} tokens (median): ITL is the gap between chunks, not tokens",
         per_chunk->median);
}

void Checks::empty_answers() {
  const Records empty = where([](const RequestSample& r) {
    return r.answer.empty() && r.reasoning.empty() && r.tool_calls.empty() &&
           r.first_token == RequestSample::kNever;
  });
  if (!empty.empty())
    mark(Severity::kWarning, "empty_answers", "{} of {} answers are empty, such as request {}",
         empty.size(), finished_.size(), empty[0]->id);
}

void Checks::sending() {
  if (!options_.open_loop) return;
  const Distribution* delay = summary_.figure("delay");
  constexpr double kLate = 0.010;  // seconds; gaps between requests are seldom below 100 ms
  if (delay && delay->p95 > kLate)
    mark(Severity::kWarning, "sent_late",
         "requests were sent later than due, {:.0f} ms at p95: the client was busy or held back by "
         "the limit of open requests, and the load was below the wanted one",
         1e3 * delay->p95);
}

void Checks::steadiness() {
  for (const char* metric : {"ttft", "tpot", "e2e"}) {
    const Distribution* figure = summary_.figure(metric);
    if (!figure) continue;
    const char* title = find_request_metric(metric)->title;
    if (figure->drift && figure->drift->flagged)
      mark(Severity::kWarning, "drift", "{} drifts by {:+.1f} % over the run (p = {:.2g})", title,
           100 * figure->drift->change, figure->drift->p);
    if (!figure->outliers.empty())
      mark(Severity::kNote, "outliers", "{} has {} outliers among {} values", title,
           figure->outliers.size(), figure->count);
  }
  if (finished_.size() < 100)
    mark(Severity::kNote, "few_requests",
         "{} requests finished: p99 {} the largest value, more or less", finished_.size(),
         finished_.size() < 20 ? "and p95 are" : "is");
}

}  // namespace

const char* name(Severity severity) {
  switch (severity) {
    case Severity::kNote: return "note";
    case Severity::kWarning: return "warning";
    case Severity::kInvalid: return "invalid";
  }
  MICA_CHECK(false);
}

double plausible_prefill_rate(double parameters, double operations) {
  return parameters > 0 ? operations / (2 * parameters) : 0;
}

std::vector<Mark> check_run(std::span<const RequestSample> records, const RunSummary& summary,
                            const CheckOptions& options) {
  return Checks(records, summary, options).run();
}

}  // namespace mica
