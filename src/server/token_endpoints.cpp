#include "server/token_endpoints.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/json_text.h"
#include "server/openai_request.h"
#include "server/request_fields.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

std::vector<int32_t> encode(const Fields& fields, const ServedModel& model) {
  if (fields.find("messages"))
    return model.text->encode_rendered(render_chat(chat_fields(fields, model), model));
  const Json* text = fields.find("prompt");  // vLLM
  const bool special = fields.boolean("add_special_tokens", text != nullptr);
  const char* name = text ? "prompt" : "content";  // llama.cpp, which adds none unless asked
  if (!text) text = fields.find("content");
  if (!text) throw RequestError("prompt", "prompt: expected prompt, content or messages");
  if (!text->is_string()) wrong_value(name, "a string", *text);
  return model.text->tokenizer().encode(text->get<std::string>(),
                                        fields.boolean("add_special", special));
}

// A text, or where it is no UTF-8 its bytes.
Json piece_of(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

}  // namespace

std::string tokenize(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  const Tokenizer& tokenizer = model.text->tokenizer();
  const std::vector<int32_t> ids = encode(fields, model);
  Json tokens = Json::array(), names = Json::array();
  const bool pieces = fields.boolean("with_pieces", false);
  for (const int32_t id : ids) {
    if (pieces) {
      tokens.push_back({{"id", id}, {"piece", piece_of(tokenizer.token_bytes(id))}});
    } else {
      tokens.push_back(id);
    }
    names.push_back(tokenizer.id_to_token(id));
  }
  Json out = {{"count", ids.size()},
              {"max_model_len", model.engine->max_context()},
              {"tokens", std::move(tokens)}};
  if (fields.boolean("return_token_strs", false)) out["token_strs"] = std::move(names);
  return to_text(out);
}

std::string detokenize(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  const Json* list = fields.find("tokens");
  if (!list) throw RequestError("tokens", "tokens: it is missing");
  if (!list->is_array()) wrong_value("tokens", "a list of token ids", *list);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < list->size(); ++i)
    ids.push_back(static_cast<int32_t>(
        whole_number(fmt::format("tokens[{}]", i), (*list)[i], 0, model.vocabulary - 1)));
  const bool skip = fields.boolean("skip_special_tokens", false);
  const std::string text = model.text->tokenizer().decode(ids, skip);
  return to_text({{"prompt", text}, {"content", text}});
}

std::string apply_template(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  return to_text({{"prompt", render_chat(chat_fields(fields, model), model)}});
}

int64_t count_chat_tokens(std::string_view body, const ServedModel& model) {
  const Json json = parse_json_body(body);
  const Fields fields(json);
  (void)model_name(fields, model);
  const std::string rendered = render_chat(chat_fields(fields, model), model);
  return static_cast<int64_t>(model.text->encode_rendered(rendered).size());
}

std::string input_tokens_json(int64_t tokens) {
  return to_text({{"object", "response.input_tokens"}, {"input_tokens", tokens}});
}

}  // namespace mica
