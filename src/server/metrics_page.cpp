#include "server/metrics_page.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "server/prometheus.h"

namespace mica {
namespace {

double as_double(uint64_t value) {
  return static_cast<double>(value);
}

void write_engine(PrometheusText& out, const EngineStats& engine) {
  out.gauge("vllm:num_requests_running", "Answers that are being generated.", engine.running);
  out.gauge("vllm:num_requests_waiting", "Answers that wait for their first step.", engine.waiting);
  out.gauge("vllm:kv_cache_usage_perc", "Share of the cache's blocks that sequences hold, 0 to 1.",
            engine.blocks_total > 0 ? 1.0 * engine.blocks_used / engine.blocks_total : 0.0);
  out.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
              as_double(engine.prefix_query_tokens));
  out.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
              as_double(engine.prefix_hit_tokens));
  out.counter("mica:prefix_cache_evictions_total", "Blocks that the prefix cache gave up for room.",
              as_double(engine.evictions));
  out.counter("vllm:num_preemptions_total", "Answers whose blocks were taken for others.",
              as_double(engine.preemptions));
  out.counter("vllm:prompt_tokens_total", "Prompt tokens of started requests.",
              as_double(engine.prompt_tokens));
  out.counter("vllm:prompt_tokens_cached_total", "Of these: taken from the prefix cache.",
              as_double(engine.cached_tokens));
  out.counter("vllm:generation_tokens_total", "Generated tokens.",
              as_double(engine.generated_tokens));
}

void write_speculation(PrometheusText& out, const EngineStats& engine) {
  out.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens that were guessed.",
              as_double(engine.draft_tokens));
  out.counter("vllm:spec_decode_num_accepted_tokens_total", "Guesses that came true.",
              as_double(engine.accepted_draft_tokens));
  out.counter("mica:spec_decode_verify_steps_total", "Steps that checked guesses.",
              as_double(engine.verify_steps));
  out.counter("mica:spec_decode_draft_failures_total", "Steps in which the draft model failed.",
              as_double(engine.draft_failures));
}

void write_answers(PrometheusText& out, const ServerMetrics& answers) {
  constexpr const char* kSuccess = "vllm:request_success_total";
  out.family(kSuccess, "counter", "Answers that ended, by the reason.");
  for (size_t i = 0; i < kAnswerEnds; ++i)
    out.sample(kSuccess, {{"finished_reason", name(static_cast<AnswerEnd>(i))}},
               as_double(answers.ended[i].load(std::memory_order_relaxed)));
  out.histogram("vllm:time_to_first_token_seconds",
                "From the arrival of a request to the first token of an answer.",
                answers.first_token_seconds);
  out.histogram("vllm:inter_token_latency_seconds", "Between two tokens of an answer.",
                answers.inter_token_seconds);
  out.histogram("vllm:request_time_per_output_token_seconds",
                "Mean of an answer's times between tokens.", answers.time_per_output_token_seconds);
  out.histogram("vllm:e2e_request_latency_seconds",
                "From the arrival of a request to the end of an answer.",
                answers.end_to_end_seconds);
  out.histogram("vllm:request_queue_time_seconds", "From submission to the first step.",
                answers.queue_seconds);
  out.histogram("vllm:request_prefill_time_seconds", "From the first step to the first token.",
                answers.prefill_seconds);
  out.histogram("vllm:request_decode_time_seconds", "From the first token to the last.",
                answers.decode_seconds);
  out.histogram("vllm:request_inference_time_seconds", "From the first step to the last token.",
                answers.inference_seconds);
  out.histogram("vllm:request_prompt_tokens", "Prompt tokens of an answer.", answers.prompt_tokens);
  out.histogram("vllm:request_generation_tokens", "Generated tokens of an answer.",
                answers.generation_tokens);
  out.histogram("vllm:request_params_max_tokens", "What max_tokens an answer had.",
                answers.requested_tokens);
}

void write_steps(PrometheusText& out, const MetricsSources& sources) {
  const EngineStats& engine = sources.engine;
  const double bandwidth = sources.model ? sources.model->bandwidth : 0;
  out.counter("mica:engine_steps_total", "Steps of the engine.", as_double(engine.steps));
  out.counter("mica:engine_busy_seconds_total", "Time in steps.", engine.busy_seconds);
  out.counter("mica:decode_steps_total", "Steps of single tokens only.",
              as_double(engine.decode_steps));
  out.counter("mica:decode_seconds_total", "Time in decode steps.", engine.decode_seconds);
  out.counter("mica:decode_bytes_total",
              "Weights, keys and values that decode steps had to read, bytes.",
              engine.decode_bytes);
  out.gauge("mica:decode_step_seconds", "Mean decode step of the last 15 s; 0: none ran.",
            sources.decode.step_seconds);
  out.gauge("mica:device_memory_bandwidth_bytes_per_second",
            "Memory bandwidth as measured at start; 0: not measured on this device.", bandwidth);
  out.gauge("mica:decode_bandwidth_share",
            "What decode steps of the last 15 s read, as a share of the measured bandwidth.",
            bandwidth > 0 ? sources.decode.bytes_per_second / bandwidth : 0.0);
  out.gauge("mica:engine_heartbeat_age_seconds",
            "Since the step that runs began, or the last one ended.", sources.heartbeat_age);
  out.gauge("mica:engine_in_step", "1 while a step runs.", sources.in_step ? 1 : 0);
  out.gauge("mica:engine_stuck", "1 while the engine has work and takes no steps.",
            sources.watchdog.stuck() ? 1 : 0);
  out.counter("mica:engine_stuck_total", "How often the watchdog found the engine stuck.",
              as_double(sources.watchdog.times_stuck()));
  out.gauge("mica:engine_healthy", "0 when the default model's engine has failed.",
            sources.model && !sources.model->engine->healthy() ? 0 : 1);
  out.counter("mica:answers_failed_total", "Answers that failed in the engine.",
              as_double(engine.failed));
  out.gauge("mica:kv_cache_bytes", "Memory of the cache.", as_double(engine.kv_bytes));
  out.gauge("mica:kv_blocks", "Blocks of the cache.", engine.blocks_total);
  out.gauge("mica:kv_blocks_cached", "Free blocks with content that a prompt may find.",
            engine.blocks_cached);
}

void write_models(PrometheusText& out, const ModelCounts& models) {
  out.gauge("mica:models_loaded", "Models that are loaded.", models.loaded);
  out.counter("mica:model_loads_total", "Models loaded since start.", as_double(models.loads));
  out.counter("mica:model_load_failures_total", "Models that could not be loaded.",
              as_double(models.failures));
  out.counter("mica:model_evictions_total", "Models unloaded to make room for others.",
              as_double(models.evictions));
}

void write_http(PrometheusText& out, const MetricsSources& sources) {
  constexpr const char* kRequests = "mica:http_requests_total";
  out.family(kRequests, "counter", "Requests that ended; status 0: cut off before an answer.");
  for (const auto& [key, count] : sources.http.requests())
    out.sample(kRequests, {{"route", key.first}, {"status", std::to_string(key.second)}},
               as_double(count));
  constexpr const char* kRejected = "mica:http_rejected_total";
  out.family(kRejected, "counter", "Requests turned away before the engine saw them.");
  for (const auto& [reason, count] : sources.http.rejections())
    out.sample(kRejected, {{"reason", reason}}, as_double(count));
  out.sample(kRejected, {{"reason", "too_many_connections"}},
             as_double(sources.refused_connections));
  out.gauge("mica:http_connections", "Open connections.", as_double(sources.connections));
  out.gauge("mica:http_active_requests", "Requests that are being answered.",
            as_double(sources.active_requests));
}

void write_build(PrometheusText& out, const ServedModel* model) {
  constexpr const char* kBuild = "mica:build_info";
  out.family(kBuild, "gauge", "1, with the version and the device.");
  out.sample(kBuild, {{"version", MICA_VERSION}, {"device", model ? model->device : ""}}, 1);
  if (!model) return;
  out.gauge("mica:model_load_seconds", "Time to load the model.", model->load_seconds);
  out.gauge("mica:model_weight_bytes", "Weights of the model.", as_double(model->weight_bytes));
  out.gauge("mica:max_context_tokens", "Longest prompt and answer together.",
            model->engine->max_context());
}

// What Prometheus' own client libraries tell of a process (proc(5)).
void write_process(PrometheusText& out) {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // the name before it may have spaces
  if (name_end == std::string::npos) return;
  std::istringstream fields(text.substr(name_end + 1));
  std::vector<std::string> values(std::istream_iterator<std::string>{fields}, {});
  constexpr size_t kUserTime = 11, kSystemTime = 12, kResident = 21;  // after the name
  if (values.size() <= kResident) return;
  const auto value = [&](size_t at) { return std::strtod(values[at].c_str(), nullptr); };
  out.counter("process_cpu_seconds_total", "User and system time.",
              (value(kUserTime) + value(kSystemTime)) / static_cast<double>(sysconf(_SC_CLK_TCK)));
  out.gauge("process_resident_memory_bytes", "Resident memory.",
            value(kResident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  std::error_code error;
  const std::filesystem::directory_iterator descriptors("/proc/self/fd", error);
  if (!error)
    out.gauge("process_open_fds", "Open file descriptors.",
              static_cast<double>(std::distance(begin(descriptors), end(descriptors))));
}

}  // namespace

std::string metrics_page(const MetricsSources& sources) {
  PrometheusText out(PrometheusText::Labels{{"model_name", sources.model_name}});
  write_engine(out, sources.engine);
  write_speculation(out, sources.engine);
  write_answers(out, sources.answers);
  write_steps(out, sources);
  write_models(out, sources.models);
  write_http(out, sources);
  write_build(out, sources.model);
  PrometheusText process(PrometheusText::Labels{});
  write_process(process);
  return out.take() + process.take();
}

}  // namespace mica
