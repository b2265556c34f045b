// HTTP/1.1 on a few threads: keep-alive, chunked streams, limits (limits.h), disconnects noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http.h"
#include "server/limits.h"

namespace mica {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // a name or an address
  uint16_t port = 8080;            // 0: any free one
  int threads = 2;
  std::string allowed_origins = "*";        // for browsers: comma-separated origins, or *
  std::string ssl_cert_file, ssl_key_file;  // PEM; both or none: TLS on every connection
  size_t max_body_bytes = limits::kBodyBytes;
  size_t max_header_bytes = limits::kHeaderBytes;
  size_t max_connections = limits::kConnections;
  // On an I/O thread, once for each request when its answer is written or its connection has ended.
  std::function<void(const RequestRecord&)> on_request_end;
};

class HttpServer {
 public:
  // Runs on an I/O thread and must not wait: long work belongs to other threads, which answer
  // through `Exchange::post`.
  using Handler = std::function<void(HttpRequest, std::shared_ptr<Exchange>)>;

  // Binds and listens; throws Error(kUsage) when the address or the certificate can't be had.
  // Connections wait until `start`.
  explicit HttpServer(const HttpServerOptions& options);
  ~HttpServer();  // stop()

  void start(Handler handler);
  // Runs `work` on an I/O thread again and again until `stop`; before `start` only.
  void every(std::chrono::milliseconds interval, std::function<void()> work);
  // Every request that asked for `on_abort` gets this error; with `model`: those that run on it.
  void abort_requests(const ApiError& error, const std::string& model = "");
  // Reads certificate and key again, for connections to come; throws Error(kUsage), and nothing has
  // changed then.
  void reload_certificate();
  // Takes no more connections and closes each one after the answer it is at.
  void drain();
  // Closes everything and joins the threads. Exchanges still open are closed.
  void stop();

  uint16_t port() const;
  size_t connections() const;
  size_t active_requests() const;        // their header is read, their answer not written in full
  uint64_t refused_connections() const;  // beyond max_connections, since start

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica
