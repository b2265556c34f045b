#include "bench/client/fetch.h"

#include <utility>

namespace mica {

RequestSample fetch(const ClientOptions& options, const std::string& method,
                    const std::string& path, const std::string& body, double seconds,
                    const std::string& content_type) {
  ClientOptions once = options;
  once.keep_alive = false;
  Client client(once);
  RequestSpec spec;
  spec.method = method;
  spec.path = path;
  spec.body = body;
  spec.content_type = content_type;
  spec.form = AnswerForm::kPlain;
  spec.deadlines.total = seconds;
  RequestSample out;
  client.submit(std::move(spec), [&out](RequestSample record) { out = std::move(record); });
  client.run();
  return out;
}

}  // namespace mica
