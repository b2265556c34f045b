// One request that is waited for: a page of metrics, a reset of the cache.
#pragma once

#include <string>

#include "bench/client/client.h"

namespace mica {

// The record's `body`, `http_status`, `status` and `error` tell the outcome. Never throws for what
// the server does.
RequestSample fetch(const ClientOptions& options, const std::string& method,
                    const std::string& path, const std::string& body = "", double seconds = 10,
                    const std::string& content_type = "application/json");

}  // namespace mica
