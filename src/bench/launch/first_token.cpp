#include "bench/launch/first_token.h"

#include <nlohmann/json.hpp>

#include "bench/client/client.h"

namespace mica {
namespace {

// A few: the first may be half a character, which is no text yet.
constexpr int kTokens = 4;

std::string body_of(const LaunchPlan& plan) {
  nlohmann::json body = {{"model", plan.served_name.value},
                         {"messages", {{{"role", "user"}, {"content", "Say hello."}}}},
                         {"max_tokens", kTokens},
                         {"stream", true}};
  if (plan.dialect.stream_usage) body["stream_options"] = {{"include_usage", true}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

FirstToken client_first_token(const std::string& key) {
  return [key](const LaunchPlan& plan, std::chrono::seconds deadline, std::stop_token stop) {
    const auto seconds = static_cast<double>(deadline.count());
    Client client({.url = plan.url, .api_key = key});
    const std::stop_callback cancel(stop, [&client] { client.stop(); });
    RequestSpec spec;
    spec.warmup = true;
    spec.path = plan.dialect.chat;
    spec.body = body_of(plan);
    spec.deadlines = {.first_byte = seconds, .first_token = seconds, .total = seconds};
    RequestSample result;
    client.submit(std::move(spec), [&](RequestSample record) { result = std::move(record); });
    client.run();
    return result;
  };
}

}  // namespace mica
