#include "cli/serve_operations.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/log.h"

namespace mica {
namespace {

void add_security_flags(CLI::App& command, OperationFlags& flags, AppOptions& app) {
  command.add_option(
      "--api-key", flags.api_keys,
      "Clients need one of these keys; may be repeated. Better from a file, as other "
      "users see command lines. Without keys everybody may ask");
  command.add_option("--api-key-file", flags.api_key_file,
                     "File with one key a line (default without keys: MICA_API_KEY)");
  command.add_flag("--metrics-public", app.metrics_public, "/metrics needs no key");
  command.add_option("--ssl-cert-file", app.http.ssl_cert_file,
                     "PEM certificate chain: HTTPS. SIGHUP reads it again");
  command.add_option("--ssl-key-file", app.http.ssl_key_file, "PEM key of the certificate");
}

void add_limit_flags(CLI::App& command, OperationFlags& flags, AppOptions& app) {
  command.add_option("--max-body-bytes", app.http.max_body_bytes, "Largest body of a request")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->capture_default_str();
  command
      .add_option("--max-header-bytes", app.http.max_header_bytes, "Largest header of a request")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->check(CLI::Range(size_t{256}, size_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--max-connections", app.http.max_connections, "Open connections; more get 503")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--watchdog-timeout", flags.watchdog_timeout,
                  "Requests end when the engine takes no step for so many seconds (0: never)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--health-timeout", flags.health_timeout,
                  "/health?generate=1 waits so many seconds for a token")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--drain-timeout", flags.drain_timeout,
                  "Running requests get so many seconds after SIGTERM or SIGINT")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

}  // namespace

void add_operation_flags(CLI::App& command, OperationFlags& flags, AppOptions& app) {
  command.add_option("--config", flags.config,
                     "YAML file of flags, as 'port: 9000'; the command line wins");
  add_security_flags(command, flags, app);
  add_limit_flags(command, flags, app);
  command.add_flag("--access-log", app.access_log, "Log a line for each request, without its text");
  command.add_option("--log-format", flags.log_format, "Lines of the log: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void apply(const OperationFlags& flags, AppOptions& app) {
  if (flags.log_format == "json") set_log_format(LogFormat::kJson);
  for (const std::string& key : flags.api_keys) app.keys.add(key);
  if (!flags.api_key_file.empty()) app.keys.add_file(flags.api_key_file);
  const char* key = std::getenv("MICA_API_KEY");
  if (app.keys.empty() && key && *key) app.keys.add(key);
  app.watchdog_timeout = milliseconds(flags.watchdog_timeout);
  app.health_timeout = milliseconds(flags.health_timeout);
}

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(std::min(seconds, 1e9) * 1000));
}

bool is_reachable(const std::string& host) {
  return host != "localhost" && host != "::1" && host.rfind("127.", 0) != 0;
}

}  // namespace mica
