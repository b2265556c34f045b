#include "text/text_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// tokenizer_config.json, or an empty object when there is none.
Json tokenizer_config(const std::filesystem::path& directory) {
  const auto path = directory / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return Json::object();
  Json config = Json::parse(read_text_file(path, size_t{64} << 20), nullptr, false);
  if (!config.is_object())
    throw Error(ErrorKind::kCheckpoint, "[tokenizer] {}: expected a JSON object", path.string());
  return config;
}

// "bos_token" is a string or an object with "content".
std::string special_token(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
    return (*found)["content"].get<std::string>();
  return "";
}

Json special_tokens(const Json& config) {
  Json tokens = Json::object();
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                          "cls_token", "mask_token"}) {
    std::string text = special_token(config, key);
    if (!text.empty()) tokens[key] = std::move(text);
  }
  return tokens;
}

std::string join_messages(const Json& messages) {
  std::string text;
  for (const Json& message : messages) {
    const std::string role = message.value("role", "user");
    const auto content = message.find("content");
    text += role + ": " +
            (content != message.end() && content->is_string() ? content->get<std::string>() : "") +
            "\n";
  }
  return text + "assistant:";
}

}  // namespace

TextModel::TextModel(const std::filesystem::path& directory, std::vector<int32_t> end_ids,
                     const std::string& template_override)
    : tokenizer_(Tokenizer::load(directory)), end_ids_(std::move(end_ids)) {
  const Json config = tokenizer_config(directory);
  bos_token_ = special_token(config, "bos_token");
  if (template_override.empty()) {
    template_ = ChatTemplate::load(directory);
  } else {
    std::error_code ignored;
    const bool is_file = template_override.size() < 4096 &&
                         std::filesystem::is_regular_file(template_override, ignored);
    const std::string source = is_file ? read_text_file(template_override) : template_override;
    template_ = ChatTemplate::from_source(source, special_tokens(config));
  }
  if (end_ids_.empty()) {
    const auto id = tokenizer_->token_to_id(special_token(config, "eos_token"));
    if (id) end_ids_.push_back(*id);
  }
}

std::vector<int32_t> TextModel::encode(std::string_view text) const {
  const bool starts_with_bos =
      !bos_token_.empty() && text.substr(0, bos_token_.size()) == bos_token_;
  return tokenizer_->encode(text, /*add_special_tokens=*/!starts_with_bos);
}

std::string TextModel::render(const Json& messages, const Json& tools, const Json& kwargs,
                              const ChatTemplateOptions& options) const {
  return template_ ? template_->render(messages, tools, kwargs, options) : join_messages(messages);
}

std::vector<int32_t> TextModel::encode_rendered(std::string_view rendered) const {
  return template_ ? tokenizer_->encode(rendered, /*add_special_tokens=*/false) : encode(rendered);
}

}  // namespace mica
