#include "text/text_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

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
  Json tokens = ChatTemplate::special_tokens(directory);
  bos_token_ = tokens.value("bos_token", "");
  // The tokenizer's own end counts beside those of the configs, as in mlx-lm.
  const auto end = tokenizer_->token_to_id(tokens.value("eos_token", ""));
  if (end && std::find(end_ids_.begin(), end_ids_.end(), *end) == end_ids_.end())
    end_ids_.push_back(*end);
  if (template_override.empty()) {
    template_ = ChatTemplate::load(directory, std::move(tokens));
  } else {
    std::error_code ignored;
    const bool is_file = template_override.size() < 4096 &&
                         std::filesystem::is_regular_file(template_override, ignored);
    const std::string source = is_file ? read_text_file(template_override) : template_override;
    template_ = ChatTemplate::from_source(source, std::move(tokens));
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
