// Small texts of HTTP: heads of responses, percent-decoding, CORS.
#pragma once

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

// Headers that let a browser's page of `origin` read the answer. `allowed`: comma list or "*".
void add_cors(HttpResponse& response, std::string_view allowed, std::string_view origin);

const char* status_text(int status);

}  // namespace mica
