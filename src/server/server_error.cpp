#include "server/server_error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "server/json_text.h"

namespace mica {
namespace {

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage: return 400;
    case ErrorKind::kDevice:
    case ErrorKind::kOutOfMemory:
    case ErrorKind::kBackend: return 503;
    default: return 500;
  }
}

}  // namespace

ApiError too_late(std::chrono::milliseconds timeout) {
  return {504, fmt::format("the request took longer than {} seconds",
                           std::chrono::duration<double>(timeout).count())};
}

const char* error_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  if (status == 504) return "timeout_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string error_json(const ApiError& error) {
  const nlohmann::ordered_json json = {{"error",
                                        {{"message", error.message},
                                         {"type", error_type(error.status)},
                                         {"param", text_or_null(error.param)},
                                         {"code", text_or_null(error.code)}}}};
  return to_text(json);
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = error_json(error);
  response.error_code = error.code;
  if (error.retry_after > 0)
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  return response;
}

ApiError current_error() {
  try {
    throw;
  } catch (const RequestError& error) {
    return error.error();
  } catch (const Error& error) {
    return {status_of(error.kind()), error.what()};
  } catch (const std::bad_alloc&) {
    return {503, "out of memory for this request"};
  } catch (const std::exception& error) {
    log_error("[server] internal error: {}", error.what());
    return {500, std::string("internal error: ") + error.what()};
  }
}

}  // namespace mica
