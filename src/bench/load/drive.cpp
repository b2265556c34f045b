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
  int64_t index = 0;
  Conversation conversation;
  std::vector<std::string> answers;
};

class Drive {
 public:
  Drive(Client& client, const PlanDialect& dialect, const Workload& workload,
        const DriveOptions& options, int64_t& next_id, const RecordSink& sink)
      : client_(client),
        dialect_(dialect),
        workload_(workload),
        options_(options),
        next_id_(next_id),
        sink_(sink) {}

  DriveResult run() {
    result_.began = client_.now();
    if (workload_.is_trace() || options_.arrivals.kind != ArrivalOptions::Kind::kClosed)
      schedule();
    else
      for (int32_t i = 0; i < options_.arrivals.concurrency; ++i) begin_next();
    client_.run();
    result_.ended = client_.now();
    return std::move(result_);
  }

 private:
  // A trace brings its own times, which `rate` compresses: 2 = twice as fast.
  std::vector<double> due_times() const {
    if (!workload_.is_trace()) return arrival_times(options_.arrivals, options_.count);
    const double speed = options_.arrivals.rate > 0 ? options_.arrivals.rate : 1;
    std::vector<double> times;
    for (int64_t i = 0; i < options_.count; ++i)
      times.push_back(workload_.conversation(options_.first + i).time / speed);
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
    return options_.arrivals.concurrency > 0 && talking_ >= options_.arrivals.concurrency;
  }

  bool may_begin() {
    if (begun_ == options_.count) return false;
    const bool late = options_.seconds > 0 && client_.now() - result_.began > options_.seconds;
    if (late || (options_.stop && options_.stop())) result_.stopped = true;
    return !result_.stopped;
  }

  // Closed loop, or the longest waiting of an open one.
  void begin_next() {
    if (options_.arrivals.kind == ArrivalOptions::Kind::kClosed && !workload_.is_trace())
      return begin(RequestRecord::kNever);
    if (waiting_.empty()) return;
    const double due = waiting_.front();
    waiting_.pop_front();
    begin(due);
  }

  void begin(double due) {
    if (!may_begin()) return;
    auto talk = std::make_shared<Talk>();  // shared with the client's callbacks
    talk->index = options_.first + (options_.warmup ? -begun_ : begun_);
    ++begun_;
    ++talking_;
    talk->conversation = workload_.conversation(talk->index);
    send(talk, due);
  }

  void send(const std::shared_ptr<Talk>& talk, double due) {
    const size_t turn = talk->answers.size();
    RequestContent content = turn_content(workload_, talk->conversation, turn, talk->answers);
    content.model = options_.model;
    content.stream = options_.stream;
    content.fields = options_.fields;
    content.seed = options_.seed;
    if (!options_.cache_salt.empty())
      content.cache_salt = fmt::format("{}-{}", options_.cache_salt, next_id_);
    RequestBody body = request_body(dialect_, content);
    for (std::string& field : body.left_out)
      if (std::find(result_.left_out.begin(), result_.left_out.end(), field) ==
          result_.left_out.end())
        result_.left_out.push_back(std::move(field));

    RequestSpec spec;
    spec.id = next_id_++;
    spec.warmup = options_.warmup;
    spec.group = talk->conversation.group;
    if (talk->conversation.turns.size() > 1)
      spec.group += fmt::format("{}turn {}", spec.group.empty() ? "" : ", ", turn + 1);
    spec.due = due;
    spec.path = std::move(body.path);
    spec.body = std::move(body.json);
    spec.deadlines = options_.deadlines;
    spec.wanted_input = talk->conversation.turns[turn].input_tokens;
    spec.wanted_output = talk->conversation.turns[turn].output_tokens;
    client_.submit(std::move(spec),
                   [this, talk](RequestRecord record) { take(talk, std::move(record)); });
  }

  void take(const std::shared_ptr<Talk>& talk, RequestRecord record) {
    ++result_.requests;
    const bool ok = record.ok();
    if (!ok) ++result_.failed;
    talk->answers.push_back(record.answer);
    sink_(std::move(record));
    if (ok && talk->answers.size() < talk->conversation.turns.size())
      return send(talk, RequestRecord::kNever);
    --talking_;
    begin_next();
  }

  Client& client_;
  const PlanDialect& dialect_;
  const Workload& workload_;
  const DriveOptions& options_;
  int64_t& next_id_;
  const RecordSink& sink_;
  DriveResult result_;
  int64_t begun_ = 0;
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

DriveResult drive(Client& client, const PlanDialect& dialect, const Workload& workload,
                  const DriveOptions& options, int64_t& next_id, const RecordSink& sink) {
  MICA_CHECK(options.count > 0);
  return Drive(client, dialect, workload, options, next_id, sink).run();
}

WarmUpResult warm_up(Client& client, const PlanDialect& dialect, const Workload& workload,
                     DriveOptions options, int32_t most, int64_t& next_id, const RecordSink& sink) {
  WarmUpResult result;
  const int32_t together = std::max(1, options.arrivals.concurrency);
  options.warmup = true;
  options.count = std::max(4, 2 * together);
  options.first = -1;
  options.arrivals = {.concurrency = together};
  double before = 0;
  while (result.rounds < most && !result.stable) {
    std::vector<double> times;
    std::string error;
    const DriveResult round =
        drive(client, dialect, workload, options, next_id, [&](RequestRecord record) {
          if (record.ok())
            times.push_back(record.ended - record.sent);
          else
            error = fmt::format("{}: {}", name(record.status), record.error);
          sink(std::move(record));
        });
    options.first -= options.count;
    ++result.rounds;
    if (times.empty() && round.stopped) return result;
    if (times.empty())
      throw Error(ErrorKind::kBackend,
                  "[bench] none of {} warm-up requests succeeded; the last: {}", options.count,
                  error);
    const double now = median(times);
    result.stable = result.rounds > 1 && std::abs(now - before) <= WarmUpResult::kStable * before;
    before = now;
  }
  return result;
}

}  // namespace mica
