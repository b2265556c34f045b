#pragma once

#include <string>

namespace mica {

// Where an HTTP server is. "https://host:8443/below/" -> secure, "host", "8443", "/below".
struct Url {
  bool secure = false;
  std::string host;    // a name or an address, without brackets
  std::string port;    // digits; 80 or 443 when none is given
  std::string prefix;  // of every path: empty or "/…" without a slash at the end

  std::string authority() const;  // "host:8443", "[::1]:80"
};

// Throws Error(kUsage): no http or https, no host, a port that is none, a user name, a query.
Url parse_url(const std::string& text);

}  // namespace mica
