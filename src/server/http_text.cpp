#include "server/http_text.h"

#include <fmt/format.h>

#include <array>

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

void add_cors(HttpResponse& response, std::string_view allowed, std::string_view origin) {
  if (in_list(allowed, "*")) {
    response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  } else {
    response.headers.emplace_back("Vary", "Origin");
    if (origin.empty() || !in_list(allowed, origin)) return;
    response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  }
  response.headers.emplace_back("Access-Control-Allow-Methods", "*");
  // The star does not cover Authorization (Fetch standard, 3.2.5).
  response.headers.emplace_back("Access-Control-Allow-Headers", "*, Authorization");
}

const char* status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
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
