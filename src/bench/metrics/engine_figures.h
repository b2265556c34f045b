// What an engine counts and times itself, from its page of metrics: the same figures for every
// engine, to set beside what the client measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// Of a histogram or of a pair of counters: seconds.
struct TimeTotal {
  double sum = 0;
  double count = 0;  // 0: it is not told of how many
  std::optional<double> mean() const {
    return count > 0 ? std::optional<double>(sum / count) : std::nullopt;
  }
};

// Sums over all label sets (engines, ranks, models). Absent = the page has no such figure.
struct EngineFigures {
  std::optional<TimeTotal> first_token;  // from a request's arrival, by request
  std::optional<TimeTotal> inter_token;  // by token
  std::optional<TimeTotal> end_to_end, queue, prefill, decode;  // by request

  std::optional<double> requests;         // that ended well
  std::optional<double> prompt_tokens;    // cached ones included
  std::optional<double> computed_tokens;  // of prompts: without those found in the cache
  std::optional<double> generated_tokens;
  std::optional<double> cache_queries, cache_hits;  // tokens
  std::optional<double> preemptions;
  std::optional<double> draft_tokens, accepted_tokens;  // of speculation

  // At the moment of the reading.
  std::optional<double> running, waiting;  // requests
  std::optional<double> cache_used;        // share of the fullest, 0 to 1

  // TensorRT-LLM's JSON: computed and generated tokens are those since the last reading.
  bool drained = false;
};

// dialect: "vllm", "mica", "sglang", "llamacpp" (Prometheus), "trtllm" (its JSON or its
// Prometheus page, told by the bytes). Throws Error(kMeasurement): a page that can't be read, or
// without one figure of this dialect; kUsage: another dialect.
EngineFigures read_figures(std::string_view dialect, std::string_view page);

// Those that are told, flat: "generated_tokens" in tok, "first_token_mean" and "prefill_sum" in s,
// "cache_used" as a share.
struct NamedFigure {
  std::string name;
  const char* unit;
  double value = 0;
};
std::vector<NamedFigure> told_figures(const EngineFigures& figures);

struct FigureDifference {
  EngineFigures figures;               // of what happened in between; moments are those of `after`
  std::vector<std::string> went_back;  // counters that fell: the engine was started anew
};
FigureDifference difference(const EngineFigures& before, const EngineFigures& after);

}  // namespace mica
