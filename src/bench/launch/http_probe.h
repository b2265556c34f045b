// One small HTTP exchange for questions of readiness; measuring has a client of its own.
#pragma once

#include <string>

namespace mica {

struct ProbeAnswer {
  int status = 0;          // 0: no answer
  bool connected = false;  // somebody took the connection
  bool no_http = false;    // and sent bytes that are none
  std::string server;      // header Server
  std::string body;        // at most 1 MiB
  std::string failure;     // why there is no answer
  bool ok() const { return status >= 200 && status < 300; }
};

// `key`: a bearer token, or empty.
ProbeAnswer probe_get(const std::string& url, double seconds, const std::string& key = "");

// Does somebody accept connections at this host and port, and keep them? Docker's proxy takes them
// at once and closes them as long as nobody listens inside.
bool is_port_open(const std::string& host, const std::string& port, double seconds);

}  // namespace mica
