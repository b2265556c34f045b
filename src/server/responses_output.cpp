#include "server/responses_output.h"

#include "server/json_text.h"
#include "server/openai_response.h"
#include "server/sse.h"

namespace mica {

using Json = nlohmann::ordered_json;

std::string ResponseOutput::event(const char* type, Json members) {
  Json body = {{"type", type}, {"sequence_number", sequence_++}};
  body.update(members);
  return sse_event(type, to_text(body));
}

Json ResponseOutput::place() const {
  return {{"item_id", items_.back()["id"]}, {"output_index", items_.size() - 1}};
}

std::string ResponseOutput::add(std::span<const AnswerPart> parts,
                                std::span<const ScoredToken> tokens) {
  std::string out;
  for (const AnswerPart& part : parts) {
    switch (part.kind) {
      case AnswerPart::Kind::kReasoning:
        if (open_ != Kind::kReasoning) out += open(Kind::kReasoning, part);
        out += text_delta(part.text, {});
        break;
      case AnswerPart::Kind::kContent:
        if (open_ != Kind::kMessage) out += open(Kind::kMessage, part);
        out += text_delta(part.text, tokens);
        tokens = {};
        break;
      case AnswerPart::Kind::kToolBegin: out += open(Kind::kCall, part); break;
      case AnswerPart::Kind::kToolArguments: {
        Json& arguments = items_.back()["arguments"];
        arguments = arguments.get<std::string>() + part.text;
        Json body = place();
        body["delta"] = part.text;
        out += event("response.function_call_arguments.delta", std::move(body));
        break;
      }
      case AnswerPart::Kind::kToolEnd: out += close("completed"); break;
    }
  }
  return out;
}

std::string ResponseOutput::open(Kind kind, const AnswerPart& part) {
  std::string out = close("completed");
  open_ = kind;
  const char* content = nullptr;
  if (kind == Kind::kReasoning) {
    items_.push_back({{"id", new_id("rs_")},
                      {"type", "reasoning"},
                      {"summary", Json::array()},
                      {"content", Json::array()},
                      {"encrypted_content", nullptr},
                      {"status", "in_progress"}});
    content = "reasoning_text";
  } else if (kind == Kind::kMessage) {
    items_.push_back({{"id", new_id("msg_")},
                      {"type", "message"},
                      {"status", "in_progress"},
                      {"role", "assistant"},
                      {"content", Json::array()}});
    content = "output_text";
  } else {
    items_.push_back({{"id", new_id("fc_")},
                      {"type", "function_call"},
                      {"status", "in_progress"},
                      {"call_id", part.id},
                      {"name", part.name},
                      {"arguments", ""}});
  }
  out += event("response.output_item.added",
               {{"output_index", items_.size() - 1}, {"item", items_.back()}});
  return content ? out + open_content(content) : out;
}

std::string ResponseOutput::open_content(const char* type) {
  Json part = {{"type", type}, {"text", ""}};
  if (open_ == Kind::kMessage) {
    part["annotations"] = Json::array();
    part["logprobs"] = Json::array();
  }
  items_.back()["content"].push_back(part);
  Json body = place();
  body["content_index"] = 0;
  body["part"] = std::move(part);
  return event("response.content_part.added", std::move(body));
}

std::string ResponseOutput::text_delta(const std::string& text,
                                       std::span<const ScoredToken> tokens) {
  Json& part = items_.back()["content"][0];
  part["text"].get_ref<std::string&>() += text;
  Json body = place();
  body["content_index"] = 0;
  body["delta"] = text;
  if (open_ == Kind::kReasoning) return event("response.reasoning_text.delta", std::move(body));
  Json scored = Json::array();
  if (logprobs_) scored = chat_logprobs(tokens, /*as_ids=*/false)["content"];
  for (const Json& token : scored) part["logprobs"].push_back(token);
  body["logprobs"] = std::move(scored);
  return event("response.output_text.delta", std::move(body));
}

std::string ResponseOutput::close_content() {
  const Json& part = items_.back()["content"][0];
  Json body = place();
  body["content_index"] = 0;
  Json done = body;
  body["text"] = part["text"];
  if (open_ == Kind::kMessage) body["logprobs"] = part["logprobs"];
  std::string out =
      event(open_ == Kind::kMessage ? "response.output_text.done" : "response.reasoning_text.done",
            std::move(body));
  done["part"] = part;
  return out += event("response.content_part.done", std::move(done));
}

std::string ResponseOutput::close(const char* status) {
  if (open_ == Kind::kNone) return "";
  std::string out;
  Json& item = items_.back();
  if (open_ == Kind::kCall) {
    Json body = place();
    body["name"] = item["name"];
    body["arguments"] = item["arguments"];
    out = event("response.function_call_arguments.done", std::move(body));
  } else {
    out = close_content();
  }
  item["status"] = status;
  open_ = Kind::kNone;
  return out +=
         event("response.output_item.done", {{"output_index", items_.size() - 1}, {"item", item}});
}

}  // namespace mica
