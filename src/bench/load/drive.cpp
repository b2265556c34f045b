#include "bench/load/drive.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>

#include "base/error.h"

namespace mica {
namespace {

// A conversation on its way.
struct Talk {
  const Conversation& conversation;
  std::vector<std::string> answers;
};

class Drive {
 public:
  Drive(Client& client, const PlanDialect& dialect, const std::vector<Conversation>& conversations,
        const DriveOptions& options, int64_t& next_id, const RecordSink& sink)
      : client_(client),
        dialect_(dialect),
        conversations_(conversations),
        trace_(conversations.front().time >= 0),
        options_(options),
        next_id_(next_id),
        sink_(sink) {}

  DriveResult run() {
    result_.began = client_.now();
    if (closed())
      for (int32_t i = 0; i < options_.arrivals.concurrency; ++i) begin_next();
    else
      schedule();
    client_.run();
    result_.ended = client_.now();
    return std::move(result_);
  }

 private:
  bool closed() const { return !trace_ && options_.arrivals.kind == ArrivalOptions::Kind::kClosed; }

  std::vector<double> due_times() const {
    if (!trace_)
      return arrival_times(options_.arrivals, static_cast<int64_t>(conversations_.size()));
    const double speed = options_.arrivals.rate > 0 ? options_.arrivals.rate : 1;
    std::vector<double> times;
    for (const Conversation& conversation : conversations_)
      times.push_back(conversation.time / speed);
    return times;
  }

  void schedule() {
    for (const double time : due_times()) {
      if (options_.seconds > 0 && time > options_.seconds) {
        result_.stopped = true;
        break;
      }
      const double due = result_.began + time;
      client_.at(due, [this, due] {
        if (full()) return waiting_.push_back(due);
        begin(due);
      });
    }
  }

  bool full() const {
    const int32_t most = options_.arrivals.kind == ArrivalOptions::Kind::kClosed
                             ? 0  // says nothing of a trace
                             : options_.arrivals.concurrency;
    return most > 0 && talking_ >= most;
  }

  bool may_begin() {
    if (begun_ == conversations_.size()) return false;
    const bool late = options_.seconds > 0 && client_.now() - result_.began > options_.seconds;
    if (late || (options_.stop && options_.stop())) result_.stopped = true;
    return !result_.stopped;
  }

  // Closed loop, or the longest waiting of an open one.
  void begin_next() {
    if (closed()) return begin(RequestSample::kNever);
    if (waiting_.empty()) return;
    const double due = waiting_.front();
    waiting_.pop_front();
    begin(due);
  }

  void begin(double due) {
    if (!may_begin()) return;
    ++talking_;
    // Shared with the client's callbacks.
    const auto talk = std::make_shared<Talk>(Talk{conversations_[begun_++], {}});
    // Warm-up has no need of it: its requests compute the prefix themselves.
    if (talk->conversation.prime.empty() || options_.warmup) return send(talk, due);
    prime(talk);
  }

  // Fills the prefix cache; whether it worked is seen in the request that follows.
  void prime(const std::shared_ptr<Talk>& talk) {
    RequestSpec spec = spec_of(prime_content(talk->conversation, options_.chat));
    spec.warmup = true;
    spec.group = "prefix";
    client_.submit(std::move(spec), [this, talk](RequestSample record) {
      const bool cancelled = record.status == RequestStatus::kCancelled;
      sink_(std::move(record));
      if (!cancelled) return send(talk, RequestSample::kNever);
      result_.stopped = true;
      --talking_;
    });
  }

  // What all requests have.
  RequestSpec spec_of(RequestContent content) {
    content.model = options_.model;
    content.stream = options_.stream;
    content.fields = options_.fields;
    content.seed = options_.seed;
    content.no_cache = options_.no_cache;
    content.unique = fmt::format("{}-{}", options_.run, next_id_);
    RequestBody body = request_body(dialect_, content);
    for (std::string& field : body.left_out)
      if (std::find(result_.left_out.begin(), result_.left_out.end(), field) ==
          result_.left_out.end())
        result_.left_out.push_back(std::move(field));

    RequestSpec spec;
    spec.id = next_id_++;
    spec.warmup = options_.warmup;
    spec.path = std::move(body.path);
    spec.body = std::move(body.json);
    spec.deadlines = options_.deadlines;
    return spec;
  }

  void send(const std::shared_ptr<Talk>& talk, double due) {
    const size_t turn = talk->answers.size();
    RequestSpec spec =
        spec_of(turn_content(talk->conversation, options_.chat, turn, talk->answers));
    spec.group = talk->conversation.group;
    if (talk->conversation.turns.size() > 1)
      spec.group += fmt::format("{}turn {}", spec.group.empty() ? "" : ", ", turn + 1);
    spec.due = due;
    spec.wanted_input = talk->conversation.turns[turn].input_tokens;
    spec.wanted_output = talk->conversation.turns[turn].output_tokens;
    client_.submit(std::move(spec),
                   [this, talk](RequestSample record) { take(talk, std::move(record)); });
  }

  void take(const std::shared_ptr<Talk>& talk, RequestSample record) {
    ++result_.requests;
    const bool ok = record.ok();
    result_.stopped |= record.status == RequestStatus::kCancelled;  // all are, by Client::stop()
    if (!ok) ++result_.failed;
    talk->answers.push_back(record.answer);
    sink_(std::move(record));
    if (ok && talk->answers.size() < talk->conversation.turns.size())
      return send(talk, RequestSample::kNever);
    --talking_;
    begin_next();
  }

  Client& client_;
  const PlanDialect& dialect_;
  const std::vector<Conversation>& conversations_;
  const bool trace_;
  const DriveOptions& options_;
  int64_t& next_id_;
  const RecordSink& sink_;
  DriveResult result_;
  size_t begun_ = 0;
  int32_t talking_ = 0;
  std::deque<double> waiting_;  // due times that have passed
};

double median(std::vector<double> values) {
  MICA_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

DriveResult drive(Client& client, const PlanDialect& dialect,
                  const std::vector<Conversation>& conversations, const DriveOptions& options,
                  int64_t& next_id, const RecordSink& sink) {
  MICA_CHECK(!conversations.empty());
  return Drive(client, dialect, conversations, options, next_id, sink).run();
}

WarmUpResult warm_up(Client& client, const PlanDialect& dialect, const Workload& workload,
                     DriveOptions options, const WarmUpOptions& warm_up, int64_t& next_id,
                     const RecordSink& sink) {
  WarmUpResult result;
  const int32_t together = std::max(1, options.arrivals.concurrency);
  const int64_t count = std::max(4, 2 * together);
  options.warmup = true;
  options.seconds = 0;
  options.stop = {};
  options.arrivals = {.concurrency = together};
  double before = 0;
  while (result.rounds < warm_up.rounds && !result.stable) {
    std::vector<double> times;
    std::string error;
    std::vector<Conversation> conversations =
        workload.conversations(-(result.rounds + 1) * count, count);
    for (Conversation& conversation : conversations) conversation.time = -1;  // not as a trace
    int64_t failed = 0;
    const auto take = [&](RequestSample record) {
      if (record.ok())
        times.push_back(record.ended - record.sent);
      else
        error = fmt::format("{}: {}", name(record.status), record.error);
      failed += !record.ok();
      sink(std::move(record));
    };
    if (drive(client, dialect, conversations, options, next_id, take).stopped) return result;
    ++result.rounds;
    if (times.empty() || (failed > 0 && !warm_up.failures_ok))
      throw Error(ErrorKind::kBackend, "[bench] {} of {} warm-up requests failed; the last: {}{}",
                  failed, failed + static_cast<int64_t>(times.size()), error,
                  times.empty() ? "" : " (--warm-up-failures-ok measures all the same)");
    result.failed += failed;
    const double now = median(times);
    result.stable = result.rounds > 1 && std::abs(now - before) <= WarmUpResult::kStable * before;
    before = now;
  }
  return result;
}

}  // namespace mica
