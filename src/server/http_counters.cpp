#include "server/http_counters.h"

namespace mica {

std::string rejection(const RequestRecord& record) {
  if (record.completion_tokens > 0) return "";
  if (record.status != 503 && (record.status < 400 || record.status > 499)) return "";
  if (!record.error_code.empty()) return record.error_code;
  switch (record.status) {
    case 404: return "not_found";
    case 405: return "method_not_allowed";
    case 413: return "body_too_large";
    case 415: return "unsupported_media_type";
    case 431: return "header_too_large";
    case 503: return "unavailable";
    default: return "invalid_request";
  }
}

void HttpCounters::add(const RequestRecord& record) {
  std::string reason = rejection(record);
  const std::lock_guard lock(mutex_);
  ++requests_[{*record.route ? record.route : "none", record.status}];
  if (!reason.empty()) ++rejections_[std::move(reason)];
}

HttpCounters::Requests HttpCounters::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::map<std::string, uint64_t> HttpCounters::rejections() const {
  const std::lock_guard lock(mutex_);
  return rejections_;
}

}  // namespace mica
