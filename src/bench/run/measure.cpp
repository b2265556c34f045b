#include "bench/run/measure.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/error.h"
#include "bench/run/engine_report.h"

namespace mica {
namespace {

constexpr std::chrono::milliseconds kLook{200};  // between questions whether the engine lives
constexpr std::chrono::milliseconds kLastLook{1000};

// Cuts the client's work short when the engine dies or the user interrupts.
class Watch {
 public:
  Watch(Client& client, const MeasureTarget& target, std::stop_token interrupt)
      : thread_([this, &client, &target, interrupt](const std::stop_token& end) {
          while (!end.stop_requested()) {
            if (!cut_ && target.failure)
              if (auto failure = target.failure()) {
                failure_ = std::move(*failure);
                cut_ = true;
              }
            if (interrupt.stop_requested()) cut_ = true;
            if (cut_) client.stop();  // again and again: it ends what is asked at this moment
            std::this_thread::sleep_for(kLook);
          }
        }) {}

  bool cut() const { return cut_; }

  // Ends the watching; why the engine died, or empty. `lost`: it closed connections; its end may
  // be about to be seen.
  const std::string& end(bool lost) {
    const auto until = std::chrono::steady_clock::now() + kLastLook;
    while (lost && !cut_ && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(kLook / 4);
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return failure_;
  }

 private:
  std::string failure_;
  std::atomic<bool> cut_ = false;
  std::jthread thread_;  // last: it uses the rest
};

class Measuring {
 public:
  Measuring(const MeasureTarget& target, const BenchPoint& point, const Workload& workload,
            const std::vector<Conversation>& conversations, RunWriter& writer,
            const MeasureOptions& options)
      : target_(target),
        dialect_(target.plan->dialect),
        point_(point),
        writer_(writer),
        options_(options),
        workload_(workload),
        conversations_(conversations),
        client_({.url = target.url, .api_key = target.key}),
        engine_(dialect_, target.url, target.key),
        rule_(options.precision) {}

  RunRecord run() {
    Watch watch(client_, target_, options_.interrupt);
    std::string error;
    try {
      step("warm-up");
      warm();
      step(point_.name());
      if (!watch.cut()) load();
    } catch (const Error& caught) {
      error = caught.what();
    }
    if (const std::string& death = watch.end(lost_); !death.empty()) error = death;
    if (options_.interrupt.stop_requested()) return writer_.finish(RunState::kInterrupted, error);
    return writer_.finish(error.empty() ? RunState::kFinished : RunState::kFailed, error);
  }

 private:
  void step(const std::string& text) {
    if (options_.progress) options_.progress({.text = text});
  }

  void take(const RequestSample& record) {
    writer_.add(record);
    lost_ |= record.status == RequestStatus::kDropped || record.status == RequestStatus::kRefused;
    if (record.status == RequestStatus::kTimeout && target_.verdict && !looked_) {
      looked_ = true;
      writer_.add(Mark{Severity::kWarning, "timeout",
                       fmt::format("request {}: {}; the engine then: {}", record.id, record.error,
                                   target_.verdict())});
    }
    if (record.warmup) return;
    if (record.ok() && record.output_tokens() > 0)
      rule_.add((record.ended - record.sent) / static_cast<double>(record.output_tokens()));
    if (options_.progress)
      options_.progress({.kind = MeasureProgress::Kind::kRequest,
                         .record = &record,
                         .done = ++done_,
                         .total = static_cast<int64_t>(conversations_.size())});
  }

  DriveOptions drive_options() {
    DriveOptions out;
    out.arrivals = point_.arrivals;
    out.chat = point_.workload.chat;
    out.seconds = point_.seconds;
    out.model = target_.plan->served_name.value;
    out.deadlines = options_.deadlines;
    out.no_cache = !point_.workload.warm_cache;
    out.run = writer_.id();
    out.fields = {{"temperature", "0"}};
    for (const PlanVariable& field : target_.plan->sampling)
      out.fields.emplace_back(field.name, field.value);
    if (dialect_.seed) out.seed = static_cast<int64_t>(point_.workload.seed);
    if (options_.precise) out.stop = [this] { return rule_.done(); };
    return out;
  }

  // Where the engine has a way. Prompts are unique in any case.
  void empty_cache() {
    if (point_.workload.warm_cache || dialect_.cache_reset.empty()) return;
    RequestSpec spec;
    spec.path = dialect_.cache_reset;
    spec.form = AnswerForm::kPlain;
    spec.deadlines.total = 60;
    client_.submit(spec, [this](RequestSample record) {
      if (!record.ok())
        writer_.add(Mark{Severity::kWarning, "cache_not_reset",
                         fmt::format("POST {} failed: {}; prompts are unique all the same",
                                     dialect_.cache_reset, record.error)});
    });
    client_.run();
  }

  void warm() {
    empty_cache();
    const double begin = client_.now();
    const WarmUpResult result =
        warm_up(client_, dialect_, workload_, drive_options(), options_.warm_up, next_id_,
                [this](const RequestSample& record) { take(record); });
    writer_.add(PhaseRecord{
        "warm-up", client_.now() - begin,
        fmt::format("{} rounds{}", result.rounds, result.stable ? ", stable" : ", not stable")});
    if (result.failed > 0)
      writer_.add(
          Mark{Severity::kWarning, "warmup_failed",
               fmt::format("{} warm-up requests failed, which was allowed", result.failed)});
    if (!result.stable && result.rounds == options_.warm_up.rounds)
      writer_.add(Mark{Severity::kWarning, "unsteady_warmup",
                       fmt::format("after {} rounds of warm-up the time of a request still changed "
                                   "by more than {:.0f} % from round to round",
                                   result.rounds, 100 * WarmUpResult::kStable)});
    empty_cache();
  }

  void load() {
    engine_.begin(writer_);
    const size_t first = writer_.run().requests.size();
    const DriveResult result = drive(client_, dialect_, conversations_, drive_options(), next_id_,
                                     [this](const RequestSample& record) { take(record); });
    for (const std::string& field : result.left_out)
      writer_.add(Mark{Severity::kNote, "field_left_out",
                       fmt::format("{} has no field for '{}'", target_.plan->backend, field)});
    if (!workload_.exact_input())
      writer_.add(Mark{Severity::kWarning, "estimated_input",
                       "no tokenizer is known here: lengths of prompts are estimates, the "
                       "server's counts are in the records"});
    if (options_.precise && !rule_.precise() && !options_.interrupt.stop_requested())
      writer_.add(Mark{Severity::kWarning, "not_precise",
                       fmt::format("the median is known to {:.1f} %, {:.1f} % was wanted",
                                   100 * rule_.reached(), 100 * options_.precision.precision)});
    count_tokens();
    if (target_.observe) target_.observe(writer_, client_.epoch(), result.began, result.ended);
    engine_.end(writer_, std::span(writer_.run().requests).subspan(first));
    const ClientCost cost = client_.cost();
    if (cost.sent_again > 0)
      writer_.add(Mark{Severity::kNote, "sent_again",
                       fmt::format("{} requests were sent twice: the server had just ended the "
                                   "connection that it had kept open",
                                   cost.sent_again)});
    writer_.add_telemetry(
        {.name = "client.cpu", .unit = "s", .source = "mica", .values = {cost.cpu_seconds}});
    writer_.add_telemetry(
        {.name = "client.worst_lag", .unit = "s", .source = "mica", .values = {cost.worst_lag}});
  }

  // After the load, which it would slow down. Calls of tools are text of the template's, not of the
  // answer alone.
  void count_tokens() {
    if (!target_.text) return;
    writer_.change([this](RequestSample& record) {
      if (!record.ok() || !record.tool_calls.empty()) return;
      if (record.answer.empty() && record.reasoning.empty()) return;
      record.counted_output =
          static_cast<int64_t>(target_.text->encode_rendered(record.reasoning).size() +
                               target_.text->encode_rendered(record.answer).size());
    });
  }

  const MeasureTarget& target_;
  const PlanDialect& dialect_;
  const BenchPoint& point_;
  RunWriter& writer_;
  const MeasureOptions& options_;
  const Workload& workload_;
  const std::vector<Conversation>& conversations_;
  Client client_;
  EngineReport engine_;
  StopRule rule_;
  int64_t next_id_ = 0, done_ = 0;
  bool lost_ = false;    // a connection
  bool looked_ = false;  // at the engine, when a request had run out of time
};

WorkloadRecord workload_record(const MeasureTarget& target, const BenchPoint& point,
                               const MeasureOptions& options) {
  WorkloadRecord out;
  out.name = point.workload_name();
  out.arrivals = to_string(point.arrivals);
  const bool shared = point.workload.turns > 1 || point.workload.shared_tokens > 0;
  out.cache = point.workload.warm_cache ? "warm" : shared ? "shared" : "cold";
  out.requests = point.conversations();
  const bool equal = point.workload.spread == 0 && !point.items;
  if (equal) {
    out.input_tokens = point.workload.prompts.empty() ? point.workload.input_tokens : 0;
    out.output_tokens = point.workload.output_tokens;
  }
  out.exact_output = target.plan->dialect.ignore_eos || target.plan->dialect.min_tokens;
  out.seed = point.workload.seed;
  out.limits = to_flag(options.limits);
  out.max_prefill_rate = target.prefill.rate;
  out.max_prefill_from = target.prefill.from;
  return out;
}

}  // namespace

RunRecord measure(const MeasureTarget& target, const BenchPoint& point, RunRecord head,
                  ResultStore& store, const MeasureOptions& options) {
  MICA_CHECK(target.plan != nullptr);
  const auto more = std::move(head.workload.more);
  head.workload = workload_record(target, point, options);
  head.workload.more = more;
  const Workload workload(point.workload, target.text,
                          point.items ? *point.items : std::vector<DatasetItem>());
  const std::vector<Conversation> conversations = workload.conversations(0, point.conversations());
  head.workload.prompts_hash = hash_of(conversations);
  RunWriter writer = store.begin(std::move(head), options.sync);
  return Measuring(target, point, workload, conversations, writer, options).run();
}

}  // namespace mica
