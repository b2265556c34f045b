// The streaming client of the workbench: sends requests when they are due and finds out what
// happened to each (record.h). One thread, any number of open streams, HTTP/1.1 and https.
//
//   Client client({.url = plan.url});
//   client.submit({.path = plan.dialect.chat, .body = chat_body(…), .due = 0.5}, keep_record);
//   client.run();
//
// Nothing is hidden: no request is sent twice, no redirect is followed, and time stands still for
// nobody: a byte's time is taken when it was read, before anything looks at it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/client/record.h"

namespace mica {

// Seconds; 0 = none. A request that passes one ends with kTimeout, and what came before is kept.
struct RequestDeadlines {
  double connect = 30;      // name, connection and TLS
  double first_byte = 600;  // from the sent request to the answer's head
  double first_token = 0;   // from the sent request to its first token
  double silence = 0;       // between two pieces of an answer that has begun
  double total = 3600;      // from the start of the connection to the end
};

struct ClientOptions {
  std::string url;      // "http://127.0.0.1:8000", "https://host/prefix"
  std::string api_key;  // "Authorization: Bearer …"; empty = none
  std::vector<std::pair<std::string, std::string>> headers;  // of every request
  bool keep_alive = true;                        // false: each request has a connection of its own
  bool verify_certificate = true;                // of https
  std::string ca_file;                           // PEM; empty = the system's
  int64_t max_answer_bytes = int64_t{64} << 20;  // of one answer; more is kMalformed
};

enum class AnswerForm {
  kStream,  // server-sent events of the chat or completions dialect
  kWhole,   // one JSON object of it
  kPlain,   // anything: only RequestSample::body is filled (a metrics page, a list of models)
};

struct RequestSpec {
  int64_t id = 0;
  bool warmup = false;
  std::string group;
  double due = RequestSample::kNever;  // when to send, run time; kNever = at once
  std::string method = "POST";
  std::string path;  // below the client's url: "/v1/chat/completions"
  std::string body;  // JSON (request_body.h), else content_type says what
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // beside the client's
  AnswerForm form = AnswerForm::kStream;
  bool keep_body = false;  // fills RequestSample::body
  RequestDeadlines deadlines;
  int64_t wanted_input = RequestSample::kUnknown, wanted_output = RequestSample::kUnknown;
};

// What the client itself needed: whether its figures can be believed.
struct ClientCost {
  double cpu_seconds = 0;   // of run()'s thread
  int64_t chunks = 0;       // pieces of streams read
  int64_t bytes = 0;        // received
  int64_t connections = 0;  // made
  int64_t sent_again = 0;   // requests that met the end of a kept connection
  double worst_lag = 0;     // seconds that a timer came too late, at most
};

// Not thread-safe but for stop(): one thread submits and runs; callbacks come on that thread.
class Client {
 public:
  using Done = std::function<void(RequestSample)>;
  using Clock = std::chrono::steady_clock;

  // Throws Error(kUsage): a url that is none, a file of certificates that can't be read.
  explicit Client(const ClientOptions& options);
  ~Client();  // open requests are forgotten without a callback
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Run time 0 is the construction. Seconds of the monotonic clock.
  Clock::time_point epoch() const;
  double now() const;

  // Also from callbacks. `done` comes exactly once from run(), whatever happens. Returns a handle
  // for cancel().
  using Handle = uint64_t;
  Handle submit(RequestSpec spec, Done done);
  // Ends it with kCancelled and what came so far; its callback comes from run(). No effect on one
  // that has ended.
  void cancel(Handle handle);
  void cancel_all();
  // Calls `work` on run()'s thread at this run time.
  void at(double time, std::function<void()> work);

  // Until no request is open and no work of at() is left. Callbacks may throw: it comes out here.
  void run();
  // From any thread and from signal-driven code: forgets at(), cancels everything, run() returns
  // after the callbacks.
  void stop();

  size_t open() const;  // submitted and not ended
  ClientCost cost() const;

  struct Impl;  // client_state.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica
