// Errors as clients get them: OpenAI's shape, with the field that is wrong.
#pragma once

#include <chrono>
#include <string>

#include "base/error.h"
#include "server/http.h"

namespace mica {

struct ApiError {
  int status = 500;
  std::string message;
  std::string param;    // "temperature", "messages[0].content"; "" = null
  std::string code;     // "model_not_found"; "" = null
  int retry_after = 0;  // seconds, for the Retry-After header; 0 = none
};

// Thrown where a request is read; the route wrapper turns it into an answer.
class RequestError : public Error {
 public:
  explicit RequestError(ApiError error) : Error(ErrorKind::kUsage, error.message), error_(error) {}
  // 400 with the field's name.
  RequestError(std::string param, std::string message)
      : RequestError(ApiError{400, std::move(message), std::move(param), ""}) {}
  const ApiError& error() const { return error_; }

 private:
  ApiError error_;
};

// 504: the time that a request has was over.
ApiError too_late(std::chrono::milliseconds timeout);

// "invalid_request_error" for 4xx, "rate_limit_error" for 429, "server_error" for 5xx.
const char* error_type(int status);

// {"error": {"message", "type", "param", "code"}}
std::string error_json(const ApiError& error);
HttpResponse error_response(const ApiError& error);

// The exception that is being handled (inside a catch block), as a client may see it.
ApiError current_error();

}  // namespace mica
