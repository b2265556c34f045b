// A small HTTP client for the hub: redirects without leaking the token, limits on what a server may
// send, and one place that decides what is worth another try.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/hub/hub.h"

namespace mica::hub {

struct HttpResponse {
  int status = 0;  // 0: no answer, see `failure`
  std::map<std::string, std::string>
      headers;             // names in lower case, of the last answer; X-Linked-… of any
  std::string body;        // without a sink, and of every answer but 2xx
  std::string url;         // of the last answer
  std::string failure;     // why the exchange broke off; empty: it is whole
  bool transient = false;  // another try may succeed
  double retry_after = 0;  // seconds the server asked to wait, at most 60

  bool ok() const { return failure.empty() && status >= 200 && status < 300; }
  std::string header(const std::string& name) const;  // "" when absent
  std::optional<uint64_t> number(const std::string& name) const;
};

struct HttpRequest {
  std::string url;
  bool head = false;
  uint64_t from = 0;  // > 0: "Range: bytes=from-"
  // HEAD: stop at the first answer that leads to another origin (it carries X-Linked-Etag).
  bool stay_at_origin = false;
  uint64_t max_body = 64 << 20;  // of `body`
  // 2xx answers only: headers once, then the bytes. What they throw leaves send().
  std::function<void(const HttpResponse&)> on_headers;
  std::function<void(const char*, size_t)> sink;
};

// One connection at a time, kept open between requests: one client per thread.
class HttpClient {
 public:
  explicit HttpClient(const HubOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // One try. Throws kNetwork only for what no retry can mend (a redirect to file://, a loop).
  HttpResponse send(const HttpRequest& request);

 private:
  struct Exchange;
  void perform(const HttpRequest& request, const std::string& url, HttpResponse& response);
  void set_headers(const HttpRequest& request, const std::string& url);

  const HubOptions& options_;
  std::string origin_;           // the only one that gets the token
  void* curl_;                   // CURL*
  void* header_list_ = nullptr;  // curl_slist*
};

// "scheme://host:port" in lower case; throws kNetwork for anything but http and https.
std::string origin_of(const std::string& url);
// A redirect's target, which may be relative to `base`.
std::string join_url(const std::string& base, const std::string& location);
// Percent-encodes all but letters, digits and "-_.~"; '/' stays when `keep_slash`.
std::string url_encode(std::string_view text, bool keep_slash);

// Why the exchange did not succeed, in one line.
std::string describe(const HttpResponse& response);

// Pause before try number `failures` + 1, in seconds: doubles from first_pause, at most 30, or what
// the server asked for.
double pause_before_retry(const HubPatience& patience, int failures, const HttpResponse& response);

// send() until it is whole and not transient, at most patience.attempts times; a connection that
// can't be made at all is tried three times. `on_retry` gets a text for the user and the pause,
// and is to wait.
HttpResponse send_patiently(HttpClient& client, const HttpRequest& request,
                            const HubPatience& patience,
                            const std::function<void(const std::string&, double)>& on_retry);

}  // namespace mica::hub
