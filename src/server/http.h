// HTTP as handlers see it: a request, and the exchange through which it is answered.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mica {

struct ModelUse;  // requested_model.h

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // decoded, without the query
  std::string query;   // as sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::shared_ptr<void> lease;          // the body's share of limits::kLargeBodiesInFlight
  std::shared_ptr<const ModelUse> use;  // shared with the exchange; null: it runs on no model

  // The first header of this name, in any case, or "".
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // further ones
  std::string body;
  std::string error_code;  // of an error: "queue_full"; "" = none
};

// What is known of one request and its answer, for the log and for metrics.
struct RequestRecord {
  std::chrono::steady_clock::time_point arrived = std::chrono::steady_clock::now();
  std::string id;  // X-Request-Id: the client's, or made
  std::string method, peer;
  const char* route = "";  // as in the table of routes; "" = none
  std::string model;       // the id of the one it runs on; "" = none (yet)
  int status = 0;          // 0: the connection ended before an answer
  std::string error_code;  // of the answer, if it is an error with one
  bool complete = false;   // the whole answer was written
  size_t body_bytes = 0, sent_bytes = 0;
  // Of completions: sums over their answers, the longest wait, the first token of any.
  int32_t answers = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double queue_seconds = 0, first_token_seconds = 0;
  const char* finish_reason = "";  // of the last answer that ended
};

struct ApiError;  // server_error.h

// One request being answered. Everything but `post` runs on the connection's executor: inside the
// handler, in posted work, and in the callbacks. An exchange that is dropped unanswered closes its
// connection. After the end, and after the peer has gone, calls do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Thread-safe: runs `work` on the connection's executor, never inside this call.
  virtual void post(std::function<void()> work) = 0;

  virtual void respond(HttpResponse response) = 0;
  // A body of unknown length: the head now, then pieces, then the end. Incomplete streams end with
  // the connection, without the closing chunk.
  virtual void begin_stream(HttpResponse head) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end_stream(bool complete) = 0;

  // False once answered, or when the peer has gone, is too slow, or the server ends.
  virtual bool open() const = 0;
  // Called once if the exchange closes before its end.
  virtual void on_closed(std::function<void()> callback) = 0;
  // Called if the server gives the request up (a stuck engine): answer it with this error.
  virtual void on_abort(std::function<void(const ApiError&)> callback) = 0;
  // Calls once after `delay` unless the exchange has ended; replaces an earlier one.
  virtual void after(std::chrono::milliseconds delay, std::function<void()> callback) = 0;

  // Lives as long as the exchange.
  void keep(std::shared_ptr<const void> what) { kept_ = std::move(what); }

  RequestRecord& record() { return *record_; }

 protected:
  // Shared with the connection, which may outlive the exchange until all is written.
  std::shared_ptr<RequestRecord> record_ = std::make_shared<RequestRecord>();

 private:
  std::shared_ptr<const void> kept_;
};

}  // namespace mica
