// The server as a whole: state (loading, ready, failed), routes, workers. An endpoint is one line
// in the table of app.cpp and its handler.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "server/api_keys.h"
#include "server/health_probe.h"
#include "server/http_counters.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/model_registry.h"
#include "server/response_store.h"
#include "server/served_model.h"
#include "server/server_error.h"
#include "server/watchdog.h"
#include "server/worker_pool.h"

namespace mica {

struct CompletionJob;
struct RequestedModel;

// In the shape of the path's dialect.
HttpResponse dialect_error(std::string_view path, const ApiError& error);

struct AppOptions {
  HttpServerOptions http;
  int workers = 2;
  bool webui = true;  // the page at /
  ApiKeys keys;       // none: everybody may ask
  bool metrics_public = false;
  bool access_log = false;
  std::chrono::milliseconds watchdog_timeout{std::chrono::minutes(5)};  // 0: no watchdog
  std::chrono::milliseconds request_timeout{0};                         // in all; 0: none
  std::chrono::milliseconds health_timeout{std::chrono::seconds(20)};   // of /health?generate=1
  uint64_t model_budget = 0;  // as in ModelRegistryOptions, these three
  int max_models = 4;
  std::chrono::milliseconds model_patience{std::chrono::seconds(5)};
};

class App {
 public:
  // Binds the port (throws Error(kUsage)) and answers: 503 until a model is there.
  explicit App(AppOptions options);
  ~App();

  uint16_t port() const { return http_.port(); }

  // The models of this server; the first one is the default.
  ModelRegistry& models() { return models_; }
  // From now on requests run, and wait for models that are not loaded.
  void set_ready() { ready_ = true; }
  // The same with this as a model, which stays and must live until `stop` has returned.
  void set_ready(const ServedModel& model);
  // The model can't be had: /health says why.
  void set_failed(const std::string& reason);
  // For ServedModel::metrics.
  ServerMetrics& metrics() { return metrics_; }
  void reload_certificate() { http_.reload_certificate(); }

  // Takes no more connections or requests; those that run go on.
  void drain();
  // Those that run get an error as their answer, or at the end of it.
  void abort_requests();
  size_t active_requests() const { return http_.active_requests(); }
  size_t connections() const { return http_.connections(); }
  // Ends everything. Then the engine may be destroyed, and after it this.
  void stop();

 private:
  // Who may ask, once there are keys.
  enum class Access : uint8_t { kWithKey, kPublic, kMetrics };
  struct Route;
  static const Route kRoutes[];
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange);
  void dispatch(const Route& route, HttpRequest request, std::shared_ptr<Exchange> exchange);
  bool may_ask(const Route& route, const HttpRequest& request) const;
  void request_ended(const RequestRecord& record);
  void look_at_engines();       // every second
  void check_ready() const;     // RequestError(503) unless requests run
  std::string failure() const;  // why no request can run; "" = none
  // The model that a request on a worker runs on; RequestError(503) if its engine is at fault.
  const ServedModel& loaded_model(const HttpRequest& request) const;
  // On the exchange's executor, one after the other (app_models.cpp).
  struct Parked;
  void choose_model(const Route& route, HttpRequest request, std::shared_ptr<Exchange> exchange);
  void wait_for_model(std::shared_ptr<Parked> parked);
  void run(Parked& parked, ModelLease lease);
  std::chrono::milliseconds timeout_of(const HttpRequest& request) const;
  std::chrono::milliseconds time_left(const HttpRequest& request) const;  // 0: no limit
  void generate_token(const std::shared_ptr<Exchange>& exchange);
  void start(CompletionJob job, const HttpRequest& request, const ServedModel& model,
             const std::shared_ptr<Exchange>& exchange);
  // The same once its prompts are scored.
  void start_scored(std::shared_ptr<CompletionJob> job, const HttpRequest& request,
                    const std::shared_ptr<Exchange>& exchange);

  // Inline: on the I/O thread.
  void health(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void version(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void show_metrics(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void reset_prefix_cache(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void list_models(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void show_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void web_file(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void load_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void unload_model(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  // On a worker.
  void load_adapter(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void unload_adapter(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void chat_completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void completions(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  // app_dialects.cpp, app_side_work.cpp; those of single responses are inline.
  void messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void count_messages(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void responses(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void count_responses(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void show_response(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void delete_response(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void count_chat(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void tokenize_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void detokenize_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void template_text(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void embeddings(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);

  const AppOptions options_;
  // Shared with the answers on their way, which may end after this.
  const std::shared_ptr<ResponseStore> responses_ = std::make_shared<ResponseStore>();
  ServerMetrics metrics_;
  HttpCounters counters_;
  ModelRegistry models_;
  HealthProbe probe_;
  HttpServer http_;
  WorkerPool workers_;
  // These wait for pieces of work in the engine: one computes, one prepares its answer.
  WorkerPool side_work_{2};
  std::atomic<bool> ready_{false};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::string failure_;  // under the mutex
};

}  // namespace mica
