// The flags of `serve` for whoever operates it: keys, TLS, limits, logs, time limits.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "server/app.h"

namespace CLI {
class App;
}

namespace mica {

struct OperationFlags {
  std::vector<std::string> api_keys;
  std::string api_key_file, config, log_format = "text";
  double watchdog_timeout = 300, health_timeout = 20, drain_timeout = 30;  // seconds
};

// `app` gets what its options can hold at once, the rest comes with `apply`.
void add_operation_flags(CLI::App& command, OperationFlags& flags, AppOptions& app);
// Also the keys of --api-key-file and of MICA_API_KEY. Throws Error(kUsage).
void apply(const OperationFlags& flags, AppOptions& app);

// Of a flag in seconds; more than a billion count as that many.
std::chrono::milliseconds milliseconds(double seconds);

// Whether other machines can reach an address, as far as its text tells.
bool is_reachable(const std::string& host);

}  // namespace mica
