// How true the workbench's client is: its times against a scripted engine in another process whose
// schedule is known and whose own clock is the same one.
//   bench_client_accuracy [--streams 1,200,1000] [--rounds 3] [--tokens 64] [--interval-ms 20]
// "schedule": against what the script says, the engine's own lateness included. "engine": against
// the moments at which the engine had read the request and handed each chunk to the kernel.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/client/client.h"
#include "bench/client/fetch.h"
#include "fake_engine/ask.h"
#include "fake_engine/process.h"

namespace mica {
namespace {

using Json = nlohmann::json;

struct Flags {
  std::vector<int> streams = {1, 200, 1000};
  int rounds = 3, tokens = 64;
  double first_token_ms = 50, interval_ms = 20;
  double spread_ms = 0;  // of the beginnings; 0 = one interval
};

// Absolute values, milliseconds.
class Errors {
 public:
  void add(double seconds) { all_.push_back(std::abs(seconds) * 1e3); }
  void print(const char* what) {
    std::sort(all_.begin(), all_.end());
    std::printf("  %-28s median %8.3f  p99 %8.3f  max %8.3f ms\n", what, at(0.5), at(0.99), at(1));
  }

 private:
  double at(double share) const {
    if (all_.empty()) return 0;
    return all_[static_cast<size_t>(share * static_cast<double>(all_.size() - 1))];
  }
  std::vector<double> all_;
};

struct Report {
  Errors first_schedule, first_engine, gap_schedule, gap_engine, end_schedule, end_engine, late;
  int64_t failed = 0, tokens = 0;

  void add(const RequestSample& record, const Json& truth, const Flags& flags) {
    const std::vector<double> sent = truth["sent"], due = truth["due"];
    std::vector<double> seen;
    for (const ChunkRecord& chunk : record.chunks)
      if (chunk.kind == ChunkKind::kAnswer) seen.push_back(chunk.time);
    if (!record.ok() || seen.size() != sent.size() || seen.empty()) {
      ++failed;
      return;
    }
    tokens += static_cast<int64_t>(seen.size());
    const double first = flags.first_token_ms / 1e3, gap = flags.interval_ms / 1e3;
    const double received = truth["received"];
    const size_t last = seen.size() - 1;
    first_schedule.add(record.first_token - record.sent - first);
    first_engine.add(record.first_token - record.sent - (sent[0] - received));
    end_schedule.add(record.last_token - record.sent - first - gap * static_cast<double>(last));
    end_engine.add(record.last_token - record.sent - (sent[last] - received));
    for (size_t i = 0; i < seen.size(); ++i) {
      late.add(sent[i] - due[i]);
      if (i == 0) continue;
      gap_schedule.add(seen[i] - seen[i - 1] - gap);
      gap_engine.add(seen[i] - seen[i - 1] - (sent[i] - sent[i - 1]));
    }
  }
};

// By the question, which is another for each request.
std::map<std::string, Json> truths(const std::string& url) {
  const RequestSample page = fetch({.url = url}, "GET", "/fake/timeline", "", 60);
  if (!page.ok()) throw Error(ErrorKind::kMeasurement, "[accuracy] no timeline: {}", page.error);
  std::map<std::string, Json> out;
  Json timeline = Json::parse(page.body);  // outlives the loop
  for (Json& request : timeline["requests"]) {
    const std::string question = request["body"]["messages"][0]["content"];
    out[question] = std::move(request);
  }
  return out;
}

void measure(int streams, const Flags& flags) {
  const fake::FakeProcess engine(Json{
      {"timing", {{"first_token_ms", flags.first_token_ms}, {"interval_ms", flags.interval_ms}}}});
  Client client({.url = engine.url()});
  const double spread = (flags.spread_ms > 0 ? flags.spread_ms : flags.interval_ms) / 1e3;
  std::vector<std::pair<std::string, RequestSample>> records;
  // The first round opens the connections and is not counted.
  for (int round = -1; round < flags.rounds; ++round) {
    const double begin = client.now() + 0.1;
    for (int i = 0; i < streams; ++i) {
      const std::string question =
          "round " + std::to_string(round) + " stream " + std::to_string(i);
      RequestSpec spec = fake::chat_request(flags.tokens, question);
      spec.due = begin + spread * i / streams;
      client.submit(spec, [&records, question, round](RequestSample record) {
        if (round >= 0) records.emplace_back(question, std::move(record));
      });
    }
    client.run();
  }
  const ClientCost cost = client.cost();
  Report report;
  const auto truth = truths(engine.url());
  for (const auto& [question, record] : records) report.add(record, truth.at(question), flags);
  std::printf("%d streams, %d rounds of %d tokens every %g ms: %lld failed\n", streams,
              flags.rounds, flags.tokens, flags.interval_ms, static_cast<long long>(report.failed));
  report.first_schedule.print("first token, schedule");
  report.first_engine.print("first token, engine");
  report.gap_schedule.print("inter-token, schedule");
  report.gap_engine.print("inter-token, engine");
  report.end_schedule.print("end to end, schedule");
  report.end_engine.print("end to end, engine");
  report.late.print("(the engine's own lateness)");
  std::printf(
      "  client: %.2f us of CPU a chunk (%lld chunks, %.2f s), worst timer lag %.3f ms, %lld "
      "connections\n",
      cost.cpu_seconds * 1e6 / static_cast<double>(std::max<int64_t>(cost.chunks, 1)),
      static_cast<long long>(cost.chunks), cost.cpu_seconds, cost.worst_lag * 1e3,
      static_cast<long long>(cost.connections));
  std::fflush(stdout);
}

}  // namespace
}  // namespace mica

int main(int argc, char** argv) {
  CLI::App app("The client's times against a scripted engine");
  mica::Flags flags;
  app.add_option("--streams", flags.streams, "Numbers of streams at one time")->delimiter(',');
  app.add_option("--rounds", flags.rounds, "After one that is not counted")->capture_default_str();
  app.add_option("--tokens", flags.tokens, "Of each answer")->capture_default_str();
  app.add_option("--first-token-ms", flags.first_token_ms, "")->capture_default_str();
  app.add_option("--interval-ms", flags.interval_ms, "Between tokens")->capture_default_str();
  app.add_option("--spread-ms", flags.spread_ms, "Of the beginnings (0: one interval)");
  CLI11_PARSE(app, argc, argv);
  try {
    for (const int streams : flags.streams) mica::measure(streams, flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
