// POST /v1/embeddings: OpenAI's request to vectors of texts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/served_model.h"

namespace mica {

struct EmbeddingsRequest {
  std::string model;                         // as the request names it
  std::vector<std::vector<int32_t>> inputs;  // token ids of each text, none too long
  int32_t dimensions = 0;                    // 0 = all
  bool base64 = false;
  int64_t adapter = 0;  // Request::adapter
};

// Checks every field. Throws RequestError with the field's name.
EmbeddingsRequest parse_embeddings(std::string_view body, const ServedModel& model);

// The body of the answer. `gone` tells that nobody waits for it any more: the work ends soon, and
// the body is "".
std::string answer_embeddings(const EmbeddingsRequest& request, const ServedModel& model,
                              const std::function<bool()>& gone);

}  // namespace mica
