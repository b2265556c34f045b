#include "bench/client/url.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/error.h"

namespace mica {
namespace {

[[noreturn]] void wrong(const std::string& text, const char* expected) {
  throw Error(ErrorKind::kUsage, "[client] url '{}': expected {}, as in http://127.0.0.1:8000",
              text, expected);
}

bool takes(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

void check_port(const std::string& text, const std::string& port) {
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number < 1 || number > 65535)
    wrong(text, "a port from 1 to 65535");
}

}  // namespace

std::string Url::authority() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

Url parse_url(const std::string& text) {
  Url url;
  std::string_view rest = text;
  url.secure = takes(rest, "https://");
  if (!url.secure && !takes(rest, "http://")) wrong(text, "'http://' or 'https://' before it");
  // It becomes part of a request's head.
  if (std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    wrong(text, "no spaces");
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.prefix = rest.substr(slash);
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  if (rest.find_first_of("?#") != std::string_view::npos) wrong(text, "no '?' and no '#'");
  if (authority.find('@') != std::string_view::npos) wrong(text, "no user name");
  size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) wrong(text, "a ']' after an IPv6 address");
    url.host = authority.substr(1, close - 1);
    colon = close + 1 < authority.size() ? close + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && authority[colon] != ':') wrong(text, "':' after ']'");
  } else {
    url.host = authority.substr(0, colon);
  }
  if (url.host.empty()) wrong(text, "a host");
  if (colon == std::string_view::npos) {
    url.port = url.secure ? "443" : "80";
  } else {
    url.port = authority.substr(colon + 1);
    check_port(text, url.port);
  }
  return url;
}

}  // namespace mica
