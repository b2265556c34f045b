// Requests by route and status, and why requests were turned away.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "server/http.h"

namespace mica {

// Why a request was turned away before the engine saw it, or "" if it was not: the code of its
// error, or one by its status.
std::string rejection(const RequestRecord& record);

class HttpCounters {
 public:
  void add(const RequestRecord& record);  // thread-safe

  using Requests = std::map<std::pair<std::string, int>, uint64_t>;  // by route and status
  Requests requests() const;
  std::map<std::string, uint64_t> rejections() const;

 private:
  mutable std::mutex mutex_;
  Requests requests_;
  std::map<std::string, uint64_t> rejections_;
};

}  // namespace mica
