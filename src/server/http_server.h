// HTTP/1.1 on a few threads: keep-alive, chunked streams, limits (limits.h), disconnects noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http.h"

namespace mica {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // a name or an address
  uint16_t port = 8080;            // 0: any free one
  int threads = 2;
  std::string allowed_origins = "*";  // for browsers: comma-separated origins, or *
};

class HttpServer {
 public:
  // Runs on an I/O thread and must not wait: long work belongs to other threads, which answer
  // through `Exchange::post`.
  using Handler = std::function<void(HttpRequest, std::shared_ptr<Exchange>)>;

  // Binds and listens; throws Error(kUsage) when the address can't be had. Connections wait until
  // `start`.
  explicit HttpServer(const HttpServerOptions& options);
  ~HttpServer();  // stop()

  void start(Handler handler);
  // Takes no more connections and closes each one after the answer it is at.
  void drain();
  // Closes everything and joins the threads. Exchanges still open are closed.
  void stop();

  uint16_t port() const;
  size_t connections() const;
  size_t active_requests() const;  // read in full, not yet answered in full

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica
