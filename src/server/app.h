// The server as a whole: state (loading, ready, failed), routes, workers. An endpoint is one line
// in the table of app.cpp and its handler.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "server/http_server.h"
#include "server/served_model.h"
#include "server/worker_pool.h"

namespace mica {

struct AppOptions {
  HttpServerOptions http;
  int workers = 2;
};

class App {
 public:
  // Binds the port (throws Error(kUsage)) and answers: 503 until a model is there.
  explicit App(const AppOptions& options);
  ~App();

  uint16_t port() const { return http_.port(); }

  // From now on requests run. `model` and what it points to must live until `stop` has returned.
  void set_ready(const ServedModel& model);
  // The model can't be had: /health says why.
  void set_failed(const std::string& reason);

  // Takes no more connections or requests; those that run go on.
  void drain();
  size_t active_requests() const { return http_.active_requests(); }
  size_t connections() const { return http_.connections(); }
  // Ends everything. Then the engine may be destroyed, and after it this.
  void stop();

 private:
  struct Route;
  static const Route kRoutes[];
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange);
  void dispatch(const Route& route, HttpRequest request, std::shared_ptr<Exchange> exchange);
  const ServedModel& ready_model() const;  // or RequestError(503)

  // Inline: on the I/O thread.
  void health(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void list_models(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void show_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  // On a worker.
  void chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void embeddings(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);

  HttpServer http_;
  WorkerPool workers_;
  WorkerPool embedding_{2};  // these wait for vectors: one computes, one writes its answer
  std::atomic<const ServedModel*> model_{nullptr};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::string failure_;  // under the mutex
};

}  // namespace mica
