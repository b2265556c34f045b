#include "bench/client/fetch.h"

#include <utility>

namespace mica {

RequestRecord fetch(const ClientOptions& options, const std::string& method,
                    const std::string& path, const std::string& body, double seconds) {
  ClientOptions once = options;
  once.keep_alive = false;
  Client client(once);
  RequestSpec spec;
  spec.method = method;
  spec.path = path;
  spec.body = body;
  spec.form = AnswerForm::kPlain;
  spec.deadlines.total = seconds;
  RequestRecord out;
  client.submit(std::move(spec), [&out](RequestRecord record) { out = std::move(record); });
  client.run();
  return out;
}

}  // namespace mica
