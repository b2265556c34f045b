#include "bench/metrics/engine_figures.h"

#include <simdjson.h>

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "bench/metrics/prometheus_page.h"

namespace mica {
namespace {

using Number = std::optional<double> EngineFigures::*;
using Time = std::optional<TimeTotal> EngineFigures::*;

struct NamedNumber {
  Number field;
  const char* label;
  const char* unit;
};
struct NamedTime {
  Time field;
  const char* label;
};

constexpr NamedNumber kCounters[] = {
    {&EngineFigures::requests, "requests", ""},
    {&EngineFigures::prompt_tokens, "prompt tokens", "tok"},
    {&EngineFigures::computed_tokens, "computed tokens", "tok"},
    {&EngineFigures::generated_tokens, "generated tokens", "tok"},
    {&EngineFigures::cache_queries, "cache queries", "tok"},
    {&EngineFigures::cache_hits, "cache hits", "tok"},
    {&EngineFigures::preemptions, "preemptions", ""},
    {&EngineFigures::draft_tokens, "draft tokens", "tok"},
    {&EngineFigures::accepted_tokens, "accepted tokens", "tok"},
};
constexpr NamedTime kTimes[] = {
    {&EngineFigures::first_token, "first token"}, {&EngineFigures::inter_token, "inter token"},
    {&EngineFigures::end_to_end, "end to end"},   {&EngineFigures::queue, "queue"},
    {&EngineFigures::prefill, "prefill"},         {&EngineFigures::decode, "decode"},
};

// Names of one figure over the versions of an engine: the first that is there counts. Python's
// client library adds "_total" to counters.
class Reader {
 public:
  explicit Reader(const PrometheusPage& page) : page_(page) {}
  using Names = std::initializer_list<const char*>;

  void counter(Number field, Names names) {
    for (const std::string name : names) {
      auto found = page_.sum(name + "_total");
      if (!found) found = page_.sum(name);
      if (put(field, found)) return;
    }
  }
  void moment(Number field, Names names) {
    for (const char* name : names)
      if (put(field, page_.sum(name))) return;
  }
  void fullest(Number field, Names names) {
    for (const char* name : names)
      if (put(field, page_.largest(name))) return;
  }
  void histogram(Time field, Names names) {
    for (const std::string name : names) {
      const auto sum = page_.sum(name + "_sum"), count = page_.sum(name + "_count");
      if (!sum || !count) continue;
      figures.*field = TimeTotal{*sum, *count};
      ++found;
      return;
    }
  }
  void seconds(Time field, const char* name) {
    const auto sum = page_.sum(name);
    if (!sum) return;
    figures.*field = TimeTotal{*sum, 0};
    ++found;
  }

  EngineFigures figures;
  int found = 0;

 private:
  bool put(Number field, std::optional<double> value) {
    if (!value) return false;
    figures.*field = value;
    ++found;
    return true;
  }
  const PrometheusPage& page_;
};

using F = EngineFigures;

void vllm_names(Reader& r) {
  r.histogram(&F::first_token, {"vllm:time_to_first_token_seconds"});
  r.histogram(&F::inter_token,
              {"vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"});
  r.histogram(&F::end_to_end, {"vllm:e2e_request_latency_seconds"});
  r.histogram(&F::queue, {"vllm:request_queue_time_seconds"});
  r.histogram(&F::prefill, {"vllm:request_prefill_time_seconds"});
  r.histogram(&F::decode, {"vllm:request_decode_time_seconds"});
  r.counter(&F::requests, {"vllm:request_success"});
  r.counter(&F::prompt_tokens, {"vllm:prompt_tokens"});
  r.counter(&F::generated_tokens, {"vllm:generation_tokens"});
  r.counter(&F::cache_queries, {"vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries"});
  r.counter(&F::cache_hits, {"vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits"});
  r.counter(&F::preemptions, {"vllm:num_preemptions"});
  r.counter(&F::draft_tokens, {"vllm:spec_decode_num_draft_tokens"});
  r.counter(&F::accepted_tokens, {"vllm:spec_decode_num_accepted_tokens"});
  r.moment(&F::running, {"vllm:num_requests_running"});
  r.moment(&F::waiting, {"vllm:num_requests_waiting"});
  r.fullest(&F::cache_used, {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"});
}

void sglang_names(Reader& r) {
  r.histogram(&F::first_token, {"sglang:time_to_first_token_seconds"});
  r.histogram(&F::inter_token,
              {"sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"});
  r.histogram(&F::end_to_end, {"sglang:e2e_request_latency_seconds"});
  r.histogram(&F::queue, {"sglang:queue_time_seconds"});
  r.counter(&F::requests, {"sglang:num_requests"});
  r.counter(&F::prompt_tokens, {"sglang:prompt_tokens"});
  r.counter(&F::generated_tokens, {"sglang:generation_tokens"});
  r.counter(&F::cache_hits, {"sglang:cached_tokens"});
  r.counter(&F::preemptions, {"sglang:num_retracted_requests"});
  r.moment(&F::running, {"sglang:num_running_reqs"});
  r.moment(&F::waiting, {"sglang:num_queue_reqs"});
  r.fullest(&F::cache_used, {"sglang:token_usage"});
  r.figures.cache_queries = r.figures.cache_hits ? r.figures.prompt_tokens : std::nullopt;
}

void llamacpp_names(Reader& r) {
  r.counter(&F::computed_tokens, {"llamacpp:prompt_tokens"});
  r.counter(&F::generated_tokens, {"llamacpp:tokens_predicted"});
  r.seconds(&F::prefill, "llamacpp:prompt_seconds_total");
  r.seconds(&F::decode, "llamacpp:tokens_predicted_seconds_total");
  r.counter(&F::draft_tokens, {"llamacpp:spec_decode_num_draft_tokens"});
  r.counter(&F::accepted_tokens, {"llamacpp:spec_decode_num_accepted_tokens"});
  r.moment(&F::running, {"llamacpp:requests_processing"});
  r.moment(&F::waiting, {"llamacpp:requests_deferred"});
}

void trtllm_names(Reader& r) {
  r.histogram(&F::first_token, {"trtllm_time_to_first_token_seconds"});
  r.histogram(&F::inter_token, {"trtllm_time_per_output_token_seconds"});
  r.histogram(&F::end_to_end, {"trtllm_e2e_request_latency_seconds"});
  r.histogram(&F::queue, {"trtllm_request_queue_time_seconds"});
  r.histogram(&F::prefill, {"trtllm_request_prefill_time_seconds"});
  r.histogram(&F::decode, {"trtllm_request_decode_time_seconds"});
  r.counter(&F::requests, {"trtllm_request_success"});
  r.counter(&F::prompt_tokens, {"trtllm_prompt_tokens"});
  r.counter(&F::generated_tokens, {"trtllm_generation_tokens"});
  r.moment(&F::running, {"trtllm_num_requests_running"});
  r.moment(&F::waiting, {"trtllm_num_requests_waiting"});
  r.fullest(&F::cache_used, {"trtllm_kv_cache_utilization"});
}

double number_at(const simdjson::dom::object& object, std::string_view key) {
  double value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

// One step of TensorRT-LLM: the tokens add up, the rest is what the last one says.
void add_step(const simdjson::dom::object& step, EngineFigures& out) {
  simdjson::dom::object part;
  if (step["inflightBatchingStats"].get(part) == simdjson::SUCCESS) {
    out.computed_tokens = out.computed_tokens.value_or(0) + number_at(part, "numCtxTokens");
    out.generated_tokens = out.generated_tokens.value_or(0) + number_at(part, "numGenRequests");
  }
  out.running = number_at(step, "numActiveRequests");
  out.waiting = number_at(step, "numQueuedRequests");
  if (step["kvCacheStats"].get(part) != simdjson::SUCCESS) return;
  const double tokens = number_at(part, "tokensPerBlock");
  const double reused = number_at(part, "reusedBlocks"), missed = number_at(part, "missedBlocks");
  out.cache_hits = reused * tokens;
  out.cache_queries = (reused + missed) * tokens;
  const double blocks = number_at(part, "maxNumBlocks");
  if (blocks > 0) out.cache_used = number_at(part, "usedNumBlocks") / blocks;
}

EngineFigures read_steps(std::string_view page) {
  simdjson::dom::parser parser;
  simdjson::dom::array steps;
  const auto error = parser.parse(page.data(), page.size()).get(steps);
  if (error != simdjson::SUCCESS)
    throw Error(ErrorKind::kMeasurement, "[metrics] trtllm: expected a JSON list of steps: {}",
                simdjson::error_message(error));
  EngineFigures out;
  out.drained = true;
  for (const simdjson::dom::element step : steps) {
    simdjson::dom::object object;
    if (step.get(object) == simdjson::SUCCESS) add_step(object, out);
  }
  return out;
}

std::string underscored(std::string label) {
  std::replace(label.begin(), label.end(), ' ', '_');
  return label;
}

void subtract(const char* label, std::optional<double>& value, std::optional<double> before,
              std::vector<std::string>& went_back) {
  if (!value) return;
  // A counter that was not there yet was 0: Python's clients show some after their first event.
  *value -= before.value_or(0);
  if (*value >= 0) return;
  went_back.push_back(label);
  value.reset();
}

}  // namespace

EngineFigures read_figures(std::string_view dialect, std::string_view text) {
  if (dialect == "trtllm" && text.substr(0, text.find_first_not_of(" \n") + 1).ends_with('['))
    return read_steps(text);
  const PrometheusPage page = parse_prometheus(text);
  Reader reader(page);
  if (dialect == "vllm" || dialect == "mica") {
    vllm_names(reader);
  } else if (dialect == "sglang") {
    sglang_names(reader);
  } else if (dialect == "llamacpp") {
    llamacpp_names(reader);
  } else if (dialect == "trtllm") {
    trtllm_names(reader);
  } else {
    throw Error(ErrorKind::kUsage,
                "[metrics] dialect: expected vllm, mica, sglang, llamacpp or trtllm, found '{}'",
                dialect);
  }
  if (reader.found == 0)
    throw Error(ErrorKind::kMeasurement,
                "[metrics] expected {}'s names, found {} samples and none of them; perhaps it was "
                "started without its metrics",
                dialect, page.samples.size());
  return reader.figures;
}

std::vector<NamedFigure> told_figures(const EngineFigures& figures) {
  std::vector<NamedFigure> out;
  for (const NamedNumber& counter : kCounters)
    if (const auto& value = figures.*counter.field)
      out.push_back({underscored(counter.label), counter.unit, *value});
  for (const NamedTime& time : kTimes) {
    const auto& total = figures.*time.field;
    if (!total) continue;
    const std::string name = underscored(time.label);
    if (const auto mean = total->mean())
      out.push_back({name + "_mean", "s", *mean});
    else if (total->sum > 0)
      out.push_back({name + "_sum", "s", total->sum});
  }
  if (figures.cache_used) out.push_back({"cache_used", "share", *figures.cache_used});
  return out;
}

FigureDifference difference(const EngineFigures& before, const EngineFigures& after) {
  FigureDifference out{after, {}};
  for (const NamedNumber& counter : kCounters) {
    const bool fresh = after.drained && (counter.field == &EngineFigures::computed_tokens ||
                                         counter.field == &EngineFigures::generated_tokens);
    if (!fresh)
      subtract(counter.label, out.figures.*counter.field, before.*counter.field, out.went_back);
  }
  for (const NamedTime& time : kTimes) {
    auto& total = out.figures.*time.field;
    if (!total) continue;
    const TimeTotal old = (before.*time.field).value_or(TimeTotal());
    total->sum -= old.sum;
    total->count -= old.count;
    if (total->sum >= 0 && total->count >= 0) continue;
    out.went_back.push_back(time.label);
    total.reset();
  }
  return out;
}

}  // namespace mica
