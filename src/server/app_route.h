// Rows of the table of routes, and what every handler runs in. For the app's own files.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/app.h"
#include "server/server_error.h"

namespace mica {

// `path` may end in "*": then it stands for all that begin so. `on_worker`: the handler takes long,
// and runs on the model that the request names.
struct App::Route {
  const char* method;
  std::string_view path;
  bool on_worker;
  void (App::*handler)(const HttpRequest&, const std::shared_ptr<Exchange>&);
  Access access = Access::kWithKey;
};

// Answers with it; from a worker's thread.
void send_json(const std::shared_ptr<Exchange>& exchange, std::string body);

// The route wrapper: whatever a handler throws becomes an answer.
template <typename Work>
void guarded(const std::string& path, const std::shared_ptr<Exchange>& exchange, Work&& work) {
  try {
    work();
  } catch (...) {
    const ApiError error = current_error();
    exchange->post([exchange, path, error] { exchange->respond(dialect_error(path, error)); });
  }
}

}  // namespace mica
