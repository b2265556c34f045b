// Sends a workload as the arrivals say, and hands out what happened to each request.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/client/client.h"
#include "bench/load/arrivals.h"
#include "bench/load/workload.h"
#include "bench/plan/plan.h"

namespace mica {

struct DriveOptions {
  ArrivalOptions arrivals;  // a trace brings its own times, which `rate`, if set, divides
  double seconds = 0;       // no conversation begins later than this; 0 = no limit
  bool chat = true;
  bool warmup = false;
  bool stream = true;
  std::string model;      // field `model`
  bool no_cache = false;  // each request keeps from the prefix cache, where the dialect has a way
  std::string run;        // makes a salt of that unique
  std::vector<std::pair<std::string, std::string>> fields;  // name and JSON value, of each request
  std::optional<int64_t> seed;
  RequestDeadlines deadlines;
  // Asked before each conversation; true = no more begin. Null = never.
  std::function<bool()> stop;
};

struct DriveResult {
  double began = 0, ended = 0;  // run time
  int64_t requests = 0, failed = 0;
  bool stopped = false;               // by `stop` or `seconds`, before all were sent
  std::vector<std::string> left_out;  // fields that the dialect has none for, each once
};

using RecordSink = std::function<void(RequestSample)>;

// Sends all conversations, unless it is stopped, and returns when all that began has ended. A
// conversation whose turn failed has no later turns. A request's id is the next of `next_id`. A
// request of an open loop that had to wait for ArrivalOptions::concurrency has `sent` behind `due`.
DriveResult drive(Client& client, const PlanDialect& dialect,
                  const std::vector<Conversation>& conversations, const DriveOptions& options,
                  int64_t& next_id, const RecordSink& sink);

struct WarmUpOptions {
  int32_t rounds = 5;        // at most
  bool failures_ok = false;  // go on while some requests succeed
};

struct WarmUpResult {
  int32_t rounds = 0;
  int64_t failed = 0;   // requests
  bool stable = false;  // the last two rounds differ by less than kStable
  static constexpr double kStable = 0.1;
};

// Rounds of the same kind of work with other texts (indices from -1 down), at least two, until the
// median time of a request stays the same. A round is twice the concurrency, at least four. Throws
// Error(kBackend) with the server's words when a request fails, or, where failures are allowed,
// when none of a round succeeds.
WarmUpResult warm_up(Client& client, const PlanDialect& dialect, const Workload& workload,
                     DriveOptions options, const WarmUpOptions& warm_up, int64_t& next_id,
                     const RecordSink& sink);

}  // namespace mica
