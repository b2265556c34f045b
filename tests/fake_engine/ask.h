// Requests of the workbench's client to a scripted engine, for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/client/client.h"
#include "bench/client/request_body.h"

namespace mica::fake {

// A chat of one question for `tokens` tokens.
inline RequestSpec chat_request(int64_t tokens = 8, const std::string& question = "hello there",
                                bool stream = true) {
  PlanDialect dialect;
  dialect.stream_usage = true;
  RequestContent content;
  content.model = "fake-model";
  content.messages = {{"user", {{question, ""}}}};
  content.max_tokens = tokens;
  content.stream = stream;
  const RequestBody body = request_body(dialect, content);
  RequestSpec spec;
  spec.path = body.path;
  spec.body = body.json;
  spec.form = stream ? AnswerForm::kStream : AnswerForm::kWhole;
  spec.deadlines.total = 60;
  spec.wanted_output = tokens;
  return spec;
}

inline RequestSample ask(Client& client, RequestSpec spec) {
  RequestSample out;
  client.submit(std::move(spec), [&out](RequestSample record) { out = std::move(record); });
  client.run();
  return out;
}

inline RequestSample ask(const std::string& url, RequestSpec spec) {
  Client client({.url = url});
  return ask(client, std::move(spec));
}

}  // namespace mica::fake
