#include "bench/eval/run_eval.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "bench/client/request_body.h"

namespace mica {
namespace {

class Asker {
 public:
  Asker(Client& client, const EvalTarget& target, const QuestionSet& set,
        const EvalOptions& options, EvalFile& file,
        const std::function<void(const EvalProgress&)>& progress)
      : client_(client),
        target_(target),
        questions_(set.questions),
        options_(options),
        file_(file),
        progress_(progress) {
    const auto all = static_cast<int64_t>(questions_.size());
    counts_.questions = options.limit > 0 ? std::min(options.limit, all) : all;
    run_.records.resize(questions_.size());
  }

  EvalRun run() {
    take_earlier();
    for (int64_t i = 0; i < counts_.questions; ++i)
      if (!run_.records[static_cast<size_t>(i)]) waiting_.push_back(static_cast<size_t>(i));
    const double began = client_.now();
    for (int32_t i = 0; i < options_.concurrency; ++i) ask_next();
    client_.run();
    run_.seconds = client_.now() - began;
    if (hopeless_)
      throw Error(
          ErrorKind::kBackend,
          "[eval] {} requests in a row failed, the last: {}; {} questions are not answered, "
          "the same command goes on with them",
          streak_.size(), streak_.back().record.why, waiting_.size() + streak_.size());
    write_failures();
    file_.sync();
    return std::move(run_);
  }

 private:
  struct Failure {
    EvalRecord record;
    double sent;
  };

  void take_earlier() {
    std::unordered_map<std::string, size_t> places;
    for (size_t i = 0; i < questions_.size(); ++i) places.emplace(questions_[i].id, i);
    for (const EvalRecord& earlier : file_.records()) {
      const auto found = places.find(earlier.id);
      if (found == places.end() || questions_[found->second].prompt_hash != earlier.prompt_hash)
        throw Error(ErrorKind::kUsage,
                    "[eval] {}: has an answer to '{}', which is no such question",
                    file_.path().string(), earlier.id);
      if (static_cast<int64_t>(found->second) >= counts_.questions) continue;
      if (earlier.outcome == Outcome::kFailed && options_.retry_failed) continue;
      EvalRecord record = earlier;
      score(questions_[found->second], earlier.outcome == Outcome::kTruncated, record);
      count(record);
      run_.records[found->second] = std::move(record);
    }
  }

  void count(const EvalRecord& record) {
    ++counts_.ended;
    counts_.correct += record.outcome == Outcome::kCorrect;
    counts_.truncated += record.outcome == Outcome::kTruncated;
    counts_.failed += record.outcome == Outcome::kFailed;
  }

  void ask_next() {
    if (waiting_.empty() || hopeless_ || run_.stopped) return;
    const size_t index = waiting_.front();
    waiting_.pop_front();
    RequestContent content;
    content.model = target_.model;
    content.messages = questions_[index].messages;
    content.max_tokens = options_.max_tokens;
    content.seed = options_.seed;
    content.fields = options_.fields;
    RequestBody body = request_body(target_.dialect, content);
    for (std::string& field : body.left_out)
      if (std::find(run_.left_out.begin(), run_.left_out.end(), field) == run_.left_out.end())
        run_.left_out.push_back(std::move(field));
    RequestSpec spec;
    spec.id = static_cast<int64_t>(index);
    spec.path = std::move(body.path);
    spec.body = std::move(body.json);
    spec.deadlines = options_.deadlines;
    spec.wanted_output = options_.max_tokens;
    ++run_.asked;
    client_.submit(std::move(spec),
                   [this, index](const RequestSample& request) { take(index, request); });
  }

  void take(size_t index, const RequestSample& request) {
    if (request.status == RequestStatus::kCancelled) {
      if (!hopeless_) run_.stopped = true;
      return;
    }
    EvalRecord record = make_record(questions_[index], request);
    if (record.outcome == Outcome::kFailed) {
      streak_.push_back({record, request.sent});
      if (static_cast<int32_t>(streak_.size()) >= most_failures()) give_up();
    } else {
      write_failures(request.sent);
      file_.append(record);
    }
    count(record);
    run_.records[index] = std::move(record);
    if (progress_) progress_(counts_);
    ask_next();
  }

  // Failures in a row that leave no hope: more than two rounds of what is in flight.
  int32_t most_failures() const { return std::max(8, 2 * options_.concurrency); }

  void give_up() {
    if (hopeless_) return;
    hopeless_ = true;
    client_.cancel_all();
  }

  // They are kept back until a request that was sent later has succeeded, or all have ended.
  void write_failures(double before = std::numeric_limits<double>::infinity()) {
    std::erase_if(streak_, [&](const Failure& failure) {
      if (failure.sent >= before) return false;
      file_.append(failure.record);
      return true;
    });
  }

  Client& client_;
  const EvalTarget& target_;
  const std::vector<Question>& questions_;
  const EvalOptions& options_;
  EvalFile& file_;
  const std::function<void(const EvalProgress&)>& progress_;
  EvalRun run_;
  EvalProgress counts_;
  std::deque<size_t> waiting_;
  std::vector<Failure> streak_;  // in a row, not written yet
  bool hopeless_ = false;
};

}  // namespace

EvalRun run_eval(Client& client, const EvalTarget& target, const QuestionSet& set,
                 const EvalOptions& options, EvalFile& file,
                 const std::function<void(const EvalProgress&)>& progress) {
  MICA_CHECK(options.concurrency > 0);
  return Asker(client, target, set, options, file, progress).run();
}

}  // namespace mica
