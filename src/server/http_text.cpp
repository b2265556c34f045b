#include "server/http_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <cstdlib>

#include "server/json_text.h"
#include "server/server_error.h"

namespace mica {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool in_list(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (trim(list.substr(0, comma)) == item) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

std::string response_head(const HttpResponse& response, BodyFraming framing, size_t length,
                          bool keep_alive) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: mica\r\n", response.status,
                                 status_text(response.status));
  if (!response.content_type.empty()) head += "Content-Type: " + response.content_type + "\r\n";
  for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
  // RFC 9110: answers with 204 and 304 have no body; a length would be that of another answer.
  if (framing == BodyFraming::kLength && response.status != 204 && response.status != 304)
    head += fmt::format("Content-Length: {}\r\n", length);
  if (framing == BodyFraming::kChunked) head += "Transfer-Encoding: chunked\r\n";
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

std::string chunk(std::string_view bytes) {
  std::string out = fmt::format("{:x}\r\n", bytes.size());
  out += bytes;
  out += "\r\n";
  return out;
}

std::optional<Target> parse_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.substr(0, scheme.size()) == scheme) {
      const size_t slash = target.find('/', scheme.size());
      target = slash == std::string_view::npos ? "/" : target.substr(slash);
      break;
    }
  if (target == "*") return Target{"*", ""};  // OPTIONS *
  if (target.empty() || target.front() != '/') return std::nullopt;
  target = target.substr(0, target.find('#'));
  const size_t question = target.find('?');
  auto path = percent_decode(target.substr(0, question));
  if (!path) return std::nullopt;
  return Target{std::move(*path), question == std::string_view::npos
                                      ? std::string()
                                      : std::string(target.substr(question + 1))};
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view field = query.substr(0, end);
    if (field.size() > name.size() && field.starts_with(name) && field[name.size()] == '=')
      return percent_decode(field.substr(name.size() + 1)).value_or("");
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return "";
}

std::chrono::milliseconds requested_timeout(std::string_view seconds) {
  if (seconds.empty()) return std::chrono::milliseconds(0);
  const std::string text(seconds);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !(value > 0) || value > 1e9)
    throw RequestError("X-Request-Timeout",
                       fmt::format("X-Request-Timeout: expected seconds above 0, found '{}'",
                                   text.substr(0, 100)));
  return std::chrono::milliseconds(std::max<int64_t>(1, static_cast<int64_t>(value * 1000)));
}

void add_cors(HttpResponse& response, std::string_view allowed, std::string_view origin) {
  if (in_list(allowed, "*")) {
    response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  } else {
    response.headers.emplace_back("Vary", "Origin");
    if (origin.empty() || !in_list(allowed, origin)) return;
    response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  }
  response.headers.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
}

HttpResponse preflight_response() {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  // The stars do not cover Authorization (Fetch standard, 3.2.5), and are names of their own to
  // browsers that send credentials.
  response.headers = {
      {"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS, *"},
      {"Access-Control-Allow-Headers",
       "Authorization, Content-Type, X-Api-Key, X-Request-Id, X-Request-Timeout, *"},
      {"Access-Control-Max-Age", "600"}};
  return response;
}

std::string request_id(std::string_view asked) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
  };
  if (!asked.empty() && asked.size() <= 128 && std::all_of(asked.begin(), asked.end(), allowed))
    return std::string(asked);
  return new_id("req-");
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (boost::beast::iequals({key.data(), key.size()}, {name.data(), name.size()})) return value;
  return "";
}

const char* status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Unknown";
  }
}

}  // namespace mica
