#include "bench/run/first_token.h"

#include "bench/client/client.h"
#include "bench/client/request_body.h"

namespace mica {

RequestSample ask_first_token(const LaunchPlan& plan, const std::string& key,
                              std::chrono::seconds deadline, const std::stop_token& stop) {
  RequestContent content;
  content.model = plan.served_name.value;
  content.messages = {{"user", {{"Hello", ""}}}};
  content.max_tokens = 1;
  const RequestBody body = request_body(plan.dialect, content);
  RequestSpec spec;
  spec.path = body.path;
  spec.body = body.json;
  spec.deadlines.first_token = spec.deadlines.total = static_cast<double>(deadline.count());
  Client client({.url = plan.url, .api_key = key});
  const std::stop_callback end(stop, [&client] { client.stop(); });
  RequestSample out;
  client.submit(spec, [&out](RequestSample record) { out = std::move(record); });
  client.run();
  return out;
}

}  // namespace mica
