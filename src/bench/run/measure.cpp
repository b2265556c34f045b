#include "bench/run/measure.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "bench/load/drive.h"
#include "bench/run/answer_check.h"
#include "bench/run/engine_report.h"
#include "bench/run/workload_record.h"

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
        rule_(options.precision),
        // Random words have no answers, and an answer of a forced length may be a loop.
        answers_(has_texts(point) && !writer.run().workload.exact_output, !options.private_texts) {}

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
    const std::string& death = watch.end(lost_);
    if (!death.empty()) error = death;
    // A server's words and an engine's log may hold pieces of prompts.
    if (options_.private_texts && !error.empty())
      error = death.empty() ? "the warm-up failed (private: the server's words are not kept)"
                            : "the engine died (private: its log is not kept)";
    if (options_.interrupt.stop_requested()) return writer_.finish(RunState::kInterrupted, error);
    return writer_.finish(error.empty() ? RunState::kFinished : RunState::kFailed, error);
  }

 private:
  void step(const std::string& text) {
    if (options_.progress) options_.progress({.text = text});
  }

  void take(const RequestSample& record) {
    if (options_.private_texts) {
      RequestSample counted = record;
      count_tokens(counted);  // now: its texts are not kept
      writer_.add(without_texts(std::move(counted)));
    } else {
      writer_.add(record);
    }
    answers_.take(record, expected(record));
    lost_ |= record.status == RequestStatus::kDropped || record.status == RequestStatus::kRefused;
    const bool look = target_.verdict && !looked_ && !options_.private_texts;
    if (record.status == RequestStatus::kTimeout && look) {
      looked_ = true;
      writer_.add(Mark{Severity::kWarning, "timeout",
                       fmt::format("request {}: {}; the engine then: {}", record.id, record.error,
                                   target_.verdict())});
    }
    if (record.warmup) return;
    if (record.ok()) {
      ++finished_;
      cached_ += std::max<int64_t>(record.cached_tokens, 0);
    }
    if (record.ok() && record.output_tokens() > 0)
      rule_.add((record.ended - record.sent) / static_cast<double>(record.output_tokens()));
    if (options_.progress)
      options_.progress({.kind = MeasureProgress::Kind::kRequest,
                         .record = &record,
                         .done = ++done_,
                         .total = static_cast<int64_t>(conversations_.size())});
  }

  // Of conversations of one turn, requests are in their order.
  std::string expected(const RequestSample& record) const {
    const auto at = static_cast<size_t>(record.id - first_id_);
    if (record.warmup || at >= conversations_.size() || conversations_[at].turns.size() > 1)
      return "";
    return conversations_[at].expected;
  }

  DriveOptions drive_options() {
    DriveOptions out;
    out.arrivals = point_.arrivals;
    out.chat = point_.workload.chat;
    out.seconds = point_.seconds;
    out.model = target_.plan->served_name.value;
    out.deadlines = options_.deadlines;
    out.no_cache = !point_.workload.warm_cache && point_.workload.depth == 0;
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
        writer_.add(Mark{
            Severity::kWarning, "cache_not_reset",
            fmt::format("POST {} failed: {}; prompts are unique all the same", dialect_.cache_reset,
                        options_.private_texts ? name(record.status) : record.error.c_str())});
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
    first_id_ = next_id_;
    engine_.begin(writer_);
    const size_t first = writer_.run().requests.size();
    const DriveResult result = drive(client_, dialect_, conversations_, drive_options(), next_id_,
                                     [this](const RequestSample& record) { take(record); });
    for (const Mark& mark : answers_.marks()) writer_.add(mark);
    if (point_.workload.depth > 0 && finished_ > 0) note_depth();
    for (const std::string& field : result.left_out)
      writer_.add(Mark{Severity::kNote, "field_left_out",
                       fmt::format("{} has no field for '{}'", target_.plan->backend, field)});
    if (!workload_.exact_input())
      writer_.add(Mark{Severity::kWarning, "estimated_input",
                       "no tokenizer is known here: lengths of prompts are estimates, the "
                       "server's counts are in the records"});
    note_pictures();
    if (options_.precise && !rule_.precise() && !options_.interrupt.stop_requested())
      writer_.add(Mark{Severity::kWarning, "not_precise",
                       fmt::format("the median is known to {:.1f} %, {:.1f} % was wanted",
                                   100 * rule_.reached(), 100 * options_.precision.precision)});
    count_all_tokens();
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

  // Engines keep encoded pictures apart from the prefix cache, which words of its own defeat.
  void note_pictures() {
    if (point_.workload.warm_cache) return;
    std::set<std::string_view> pictures;
    size_t shown = 0;
    for (const Conversation& conversation : conversations_)
      for (const std::string& image : conversation.images) {
        pictures.insert(image);
        ++shown;
      }
    if (shown > pictures.size())
      writer_.add(Mark{Severity::kWarning, "pictures_repeat",
                       fmt::format("the requests show {} different pictures {} times: an engine "
                                   "that keeps encoded pictures encodes "
                                   "each once, and its TTFT leaves that out; a data set has others",
                                   pictures.size(), shown)});
  }

  // After the load, which it would slow down.
  void count_all_tokens() {
    if (target_.text && !options_.private_texts)
      writer_.change([this](RequestSample& record) { count_tokens(record); });
  }

  // Calls of tools are text of the template's, not of the answer alone.
  void count_tokens(RequestSample& record) const {
    if (!target_.text || !record.ok() || !record.tool_calls.empty()) return;
    if (record.answer.empty() && record.reasoning.empty()) return;
    record.counted_output =
        static_cast<int64_t>(target_.text->encode_rendered(record.reasoning).size() +
                             target_.text->encode_rendered(record.answer).size());
  }

  void note_depth() {
    const int64_t depth = point_.workload.depth;
    writer_.add(
        Mark{Severity::kNote, "depth_cached",
             cached_ > 0
                 ? fmt::format("of {} tokens of depth {:.0f} came from the cache on average", depth,
                               static_cast<double>(cached_) / static_cast<double>(finished_))
                 : fmt::format("the engine reports no cached tokens: the prefill of {} "
                               "tokens of depth may be part of TTFT; the decode rate "
                               "is of that depth in any case",
                               depth)});
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
  AnswerCheck answers_;
  int64_t next_id_ = 0, first_id_ = 0, done_ = 0, finished_ = 0, cached_ = 0;
  bool lost_ = false;    // a connection
  bool looked_ = false;  // at the engine, when a request had run out of time
};

}  // namespace

RunRecord measure(const MeasureTarget& target, const BenchPoint& point, RunRecord head,
                  ResultStore& store, const MeasureOptions& options) {
  MICA_CHECK(target.plan != nullptr);
  const Workload workload(point.workload, target.text,
                          point.items ? *point.items : std::vector<DatasetItem>());
  const std::vector<Conversation> conversations = workload.conversations(0, point.conversations());
  WorkloadRecord record =
      workload_record(point, target.plan->dialect, conversations, options.private_texts);
  record.limits = to_flag(options.limits);
  record.max_prefill_rate = target.prefill.rate;
  record.max_prefill_from = target.prefill.from;
  record.more.insert(record.more.begin(), head.workload.more.begin(), head.workload.more.end());
  head.workload = std::move(record);
  RunWriter writer = store.begin(std::move(head), options.sync);
  return Measuring(target, point, workload, conversations, writer, options).run();
}

}  // namespace mica
