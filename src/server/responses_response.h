// Answers in the shapes of OpenAI's Responses.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "server/answer_format.h"
#include "server/response_store.h"

namespace mica {

// What is known before the answer.
struct ResponseRecord {
  nlohmann::ordered_json response;       // the object, without output
  nlohmann::ordered_json input;          // items of the request
  nlohmann::ordered_json dialogue;       // items before the answer, those of `input` too
  std::shared_ptr<ResponseStore> store;  // takes the finished response; null: it is not kept
  bool logprobs = false;
};

std::string new_response_id();
std::unique_ptr<AnswerFormat> responses_format(ResponseRecord record);

}  // namespace mica
