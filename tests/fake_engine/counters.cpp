#include "fake_engine/counters.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace mica::fake {

using Json = nlohmann::ordered_json;

namespace {

class Page {
 public:
  Page(const Script& script, const std::vector<Counters>& engines)
      : script_(script), engines_(engines) {}

  using Number = std::function<double(const Counters&)>;
  using Histogram = std::function<const Times&(const Counters&)>;

  void value(const std::string& name, const char* type, const Number& of, const char* label = "") {
    head(name, type);
    for (size_t i = 0; i < engines_.size(); ++i)
      out_ += fmt::format("{}{} {}\n", name, labels(i, label), number(of(engines_[i])));
  }
  void histogram(const std::string& name, const Histogram& of) {
    head(name, "histogram");
    for (size_t i = 0; i < engines_.size(); ++i) {
      const Times& times = of(engines_[i]);
      for (size_t b = 0; b < Times::kBounds.size(); ++b)
        bucket(name, i, fmt::format("{}", Times::kBounds[b]), times.below[b]);
      bucket(name, i, "+Inf", times.count);
      out_ += fmt::format("{}_sum{} {}\n", name, labels(i, ""), number(times.sum));
      out_ += fmt::format("{}_count{} {}\n", name, labels(i, ""), number(double(times.count)));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void head(const std::string& name, const char* type) {
    out_ +=
        fmt::format("# HELP {} Recorded by the scripted engine.\n# TYPE {} {}\n", name, name, type);
  }
  void bucket(const std::string& name, size_t engine, const std::string& bound, int64_t count) {
    out_ += fmt::format("{}_bucket{} {}\n", name, labels(engine, fmt::format("le=\"{}\"", bound)),
                        number(double(count)));
  }
  // llama.cpp has none.
  std::string labels(size_t engine, const std::string& more) const {
    if (script_.dialect == Dialect::kLlamaCpp) return more.empty() ? "" : "{" + more + "}";
    const char* name = script_.dialect == Dialect::kSglang ? "tp_rank" : "engine";
    return fmt::format("{{{}{}{}=\"{}\",model_name=\"{}\"}}", more, more.empty() ? "" : ",", name,
                       engine, script_.model);
  }
  // Python's clients write floating point: 12.0, 1.5e+06.
  std::string number(double value) const {
    std::string text = fmt::format("{}", value);
    if (script_.dialect != Dialect::kLlamaCpp && text.find_first_of(".e") == std::string::npos)
      text += ".0";
    return text;
  }

  const Script& script_;
  const std::vector<Counters>& engines_;
  std::string out_;
};

double seconds_per(double count, double seconds) {
  return seconds > 0 ? count / seconds : 0;
}

// vLLM's names, which Mica shares.
void vllm_page(Page& page) {
  using C = const Counters&;
  page.value("vllm:num_requests_running", "gauge", [](C c) { return double(c.running); });
  page.value("vllm:num_requests_waiting", "gauge", [](C c) { return double(c.waiting); });
  page.value("vllm:kv_cache_usage_perc", "gauge", [](C c) { return c.running > 0 ? 0.25 : 0; });
  page.value("vllm:prefix_cache_queries_total", "counter",
             [](C c) { return double(c.cache_queries); });
  page.value("vllm:prefix_cache_hits_total", "counter", [](C c) { return double(c.cache_hits); });
  page.value("vllm:num_preemptions_total", "counter", [](C) { return 0.0; });
  page.value("vllm:prompt_tokens_total", "counter", [](C c) { return double(c.prompt_tokens); });
  page.value("vllm:generation_tokens_total", "counter",
             [](C c) { return double(c.generated_tokens); });
  page.value(
      "vllm:request_success_total", "counter", [](C c) { return double(c.requests); },
      "finished_reason=\"length\"");
  page.histogram("vllm:time_to_first_token_seconds",
                 [](C c) -> const Times& { return c.first_token; });
  page.histogram("vllm:inter_token_latency_seconds",
                 [](C c) -> const Times& { return c.inter_token; });
  page.histogram("vllm:e2e_request_latency_seconds",
                 [](C c) -> const Times& { return c.end_to_end; });
  page.histogram("vllm:request_queue_time_seconds", [](C c) -> const Times& { return c.queue; });
  page.histogram("vllm:request_prefill_time_seconds",
                 [](C c) -> const Times& { return c.prefill; });
  page.histogram("vllm:request_decode_time_seconds", [](C c) -> const Times& { return c.decode; });
}

void sglang_page(Page& page) {
  using C = const Counters&;
  page.value("sglang:num_running_reqs", "gauge", [](C c) { return double(c.running); });
  page.value("sglang:num_queue_reqs", "gauge", [](C c) { return double(c.waiting); });
  page.value("sglang:token_usage", "gauge", [](C c) { return c.running > 0 ? 0.25 : 0; });
  page.value("sglang:cache_hit_rate", "gauge",
             [](C c) { return seconds_per(double(c.cache_hits), double(c.cache_queries)); });
  page.value("sglang:gen_throughput", "gauge", [](C) { return 0.0; });
  page.value("sglang:num_requests_total", "counter", [](C c) { return double(c.requests); });
  page.value("sglang:prompt_tokens_total", "counter", [](C c) { return double(c.prompt_tokens); });
  page.value("sglang:generation_tokens_total", "counter",
             [](C c) { return double(c.generated_tokens); });
  page.value("sglang:cached_tokens_total", "counter", [](C c) { return double(c.cached_tokens); });
  page.histogram("sglang:time_to_first_token_seconds",
                 [](C c) -> const Times& { return c.first_token; });
  page.histogram("sglang:inter_token_latency_seconds",
                 [](C c) -> const Times& { return c.inter_token; });
  page.histogram("sglang:e2e_request_latency_seconds",
                 [](C c) -> const Times& { return c.end_to_end; });
  page.histogram("sglang:queue_time_seconds", [](C c) -> const Times& { return c.queue; });
}

void llamacpp_page(Page& page) {
  using C = const Counters&;
  page.value("llamacpp:prompt_tokens_total", "counter",
             [](C c) { return double(c.prompt_tokens - c.cached_tokens); });
  page.value("llamacpp:prompt_seconds_total", "counter", [](C c) { return c.prefill.sum; });
  page.value("llamacpp:tokens_predicted_total", "counter",
             [](C c) { return double(c.generated_tokens); });
  page.value("llamacpp:tokens_predicted_seconds_total", "counter",
             [](C c) { return c.decode.sum; });
  page.value("llamacpp:n_decode_total", "counter", [](C c) { return double(c.generated_tokens); });
  page.value("llamacpp:prompt_tokens_seconds", "gauge", [](C c) {
    return seconds_per(double(c.prompt_tokens - c.cached_tokens), c.prefill.sum);
  });
  page.value("llamacpp:predicted_tokens_seconds", "gauge",
             [](C c) { return seconds_per(double(c.generated_tokens), c.decode.sum); });
  page.value("llamacpp:requests_processing", "gauge", [](C c) { return double(c.running); });
  page.value("llamacpp:requests_deferred", "gauge", [](C c) { return double(c.waiting); });
}

// /prometheus/metrics, with `return_perf_metrics`.
void trtllm_page(Page& page) {
  using C = const Counters&;
  page.value(
      "trtllm_request_success_total", "counter", [](C c) { return double(c.requests); },
      "finished_reason=\"length\"");
  page.value("trtllm_prompt_tokens_total", "counter", [](C c) { return double(c.prompt_tokens); });
  page.value("trtllm_generation_tokens_total", "counter",
             [](C c) { return double(c.generated_tokens); });
  page.value("trtllm_kv_cache_hit_rate", "gauge",
             [](C c) { return seconds_per(double(c.cache_hits), double(c.cache_queries)); });
  page.histogram("trtllm_time_to_first_token_seconds",
                 [](C c) -> const Times& { return c.first_token; });
  page.histogram("trtllm_time_per_output_token_seconds",
                 [](C c) -> const Times& { return c.inter_token; });
  page.histogram("trtllm_e2e_request_latency_seconds",
                 [](C c) -> const Times& { return c.end_to_end; });
  page.histogram("trtllm_request_queue_time_seconds", [](C c) -> const Times& { return c.queue; });
}

}  // namespace

void Times::add(double seconds) {
  sum += seconds;
  ++count;
  for (size_t i = 0; i < kBounds.size(); ++i) below[i] += seconds <= kBounds[i];
}

std::string metrics_page(const Script& script, const std::vector<Counters>& engines) {
  Page page(script, engines);
  switch (script.dialect) {
    case Dialect::kVllm:
    case Dialect::kMica: vllm_page(page); break;
    case Dialect::kSglang: sglang_page(page); break;
    case Dialect::kLlamaCpp: llamacpp_page(page); break;
    case Dialect::kTrtLlm: trtllm_page(page); break;
    case Dialect::kMlx:
    case Dialect::kTabby:
    case Dialect::kOpenAi: break;
  }
  return page.take();
}

std::string iterations_page(const std::vector<Counters>& engines,
                            const std::vector<Iteration>& iterations) {
  Counters all;
  for (const Counters& engine : engines) {
    all.running += engine.running;
    all.waiting += engine.waiting;
    all.cache_hits += engine.cache_hits;
    all.cache_queries += engine.cache_queries;
  }
  Json list = Json::array();
  for (size_t i = 0; i < iterations.size(); ++i) {
    const int64_t hits = all.cache_hits / 16, misses = (all.cache_queries - all.cache_hits) / 16;
    list.push_back({{"timestamp", "01-01-2026 00:00:00.000000"},
                    {"iter", i},
                    {"iterLatencyMS", iterations[i].latency_ms},
                    {"numActiveRequests", all.running},
                    {"numQueuedRequests", all.waiting},
                    {"maxNumActiveRequests", 64},
                    {"inflightBatchingStats",
                     {{"numContextRequests", iterations[i].context_tokens > 0 ? 1 : 0},
                      {"numCtxTokens", iterations[i].context_tokens},
                      {"numGenRequests", iterations[i].generated_tokens},
                      {"numPausedRequests", 0}}},
                    {"kvCacheStats",
                     {{"maxNumBlocks", 1000},
                      {"freeNumBlocks", 900},
                      {"usedNumBlocks", 100},
                      {"tokensPerBlock", 16},
                      {"reusedBlocks", hits},
                      {"missedBlocks", misses},
                      {"cacheHitRate", seconds_per(double(hits), double(hits + misses))}}}});
  }
  return list.dump();
}

}  // namespace mica::fake
