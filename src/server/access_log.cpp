#include "server/access_log.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/json_text.h"

namespace mica {
namespace {

double milliseconds(double seconds) {
  return std::round(seconds * 1e6) / 1e3;
}

}  // namespace

AccessLine access_line(const RequestRecord& record) {
  const double total = milliseconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - record.arrived).count());
  const char* route = *record.route ? record.route : "none";
  AccessLine line;
  line.text = fmt::format("[access] {} {} {} {} {} {} ms", record.id, record.peer, record.method,
                          route, record.status, total);
  nlohmann::ordered_json fields = {{"id", record.id},
                                   {"peer", record.peer},
                                   {"method", record.method},
                                   {"route", route},
                                   {"status", record.status},
                                   {"complete", record.complete},
                                   {"duration_ms", total},
                                   {"body_bytes", record.body_bytes},
                                   {"sent_bytes", record.sent_bytes}};
  if (!record.model.empty()) fields["model"] = record.model;
  if (!record.error_code.empty()) {
    line.text += " " + record.error_code;
    fields["error"] = record.error_code;
  }
  if (record.answers > 0) {
    line.text += fmt::format(", {} of {} prompt tokens cached, {} tokens, first after {} ms: {}",
                             record.cached_tokens, record.prompt_tokens, record.completion_tokens,
                             milliseconds(record.first_token_seconds), record.finish_reason);
    fields["answers"] = record.answers;
    fields["prompt_tokens"] = record.prompt_tokens;
    fields["cached_tokens"] = record.cached_tokens;
    fields["completion_tokens"] = record.completion_tokens;
    fields["queue_ms"] = milliseconds(record.queue_seconds);
    fields["first_token_ms"] = milliseconds(record.first_token_seconds);
    fields["finish_reason"] = record.finish_reason;
  }
  if (!record.complete) line.text += ", cut off";
  const std::string object = to_text(fields);
  line.fields = object.substr(1, object.size() - 2);
  return line;
}

}  // namespace mica
