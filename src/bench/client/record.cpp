#include "bench/client/record.h"

#include <algorithm>

#include "base/error.h"

namespace mica {

const char* name(RequestStatus status) {
  switch (status) {
    case RequestStatus::kOk: return "ok";
    case RequestStatus::kRefused: return "refused";
    case RequestStatus::kHttpError: return "http_error";
    case RequestStatus::kTimeout: return "timeout";
    case RequestStatus::kDropped: return "dropped";
    case RequestStatus::kMalformed: return "malformed";
    case RequestStatus::kServerError: return "server_error";
    case RequestStatus::kCancelled: return "cancelled";
  }
  MICA_CHECK(false);
}

int64_t RequestSample::output_tokens() const {
  if (completion_tokens != kUnknown) return completion_tokens;
  if (counted_output != kUnknown) return counted_output;
  return std::count_if(chunks.begin(), chunks.end(), [](const ChunkRecord& chunk) {
    return chunk.kind != ChunkKind::kRole && chunk.kind != ChunkKind::kUsage;
  });
}

}  // namespace mica
