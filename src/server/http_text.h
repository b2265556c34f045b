// Small texts of HTTP: heads of responses, percent-decoding, CORS.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

namespace mica {

// How the body of a response is delimited.
enum class BodyFraming { kLength, kChunked, kUntilClose };

// "HTTP/1.1 200 OK\r\n…\r\n\r\n". `length` counts with kLength only.
std::string response_head(const HttpResponse& response, BodyFraming framing, size_t length,
                          bool keep_alive);
// One chunk of Transfer-Encoding: chunked; the empty one ends the body.
std::string chunk(std::string_view bytes);

// "/v1/models/a%2Fb?x=1" -> path "/v1/models/a/b", query "x=1". nullopt when it is no path (the
// form "http://host/path" is one).
struct Target {
  std::string path, query;
};
std::optional<Target> parse_target(std::string_view target);

// The value of "name=value" in "a=1&name=value", decoded; "" when absent.
std::string query_value(std::string_view query, std::string_view name);

// X-Request-Timeout: seconds above 0, "" = none (0). Throws RequestError.
std::chrono::milliseconds requested_timeout(std::string_view seconds);

// Headers that let a browser's page of `origin` read the answer. `allowed`: comma list or "*".
void add_cors(HttpResponse& response, std::string_view allowed, std::string_view origin);
// The answer to a browser that asks before it sends (Fetch standard, 4.8), without `add_cors`.
HttpResponse preflight_response();

// The client's X-Request-Id if it is 1 to 128 letters, digits or "-_.:/+=@", else a new one.
std::string request_id(std::string_view asked);

const char* status_text(int status);

}  // namespace mica
