// What turns text into a model's token ids: tokenizer, chat template and the ids that end an
// answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/template/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace mica {

class TextModel {
 public:
  // Reads tokenizer and template of a checkpoint; `end_ids` are those of its configs (ModelConfig).
  // `template_override`: a template's text or a path to it; empty = the checkpoint's own.
  TextModel(const std::filesystem::path& directory, std::vector<int32_t> end_ids,
            const std::string& template_override = "");

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  bool has_template() const { return template_ != nullptr; }
  const ChatTemplate& chat_template() const { return *template_; }
  // Ids that end an answer: those of the configs and the tokenizer's eos token.
  const std::vector<int32_t>& end_ids() const { return end_ids_; }

  // Plain text as mlx-lm encodes it: special tokens are added unless the text starts with BOS.
  std::vector<int32_t> encode(std::string_view text) const;

  // The template's text for the messages (array of {role, content, …}). Without a template the
  // contents are joined as "role: content" lines with a final "assistant:".
  std::string render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools,
                     const nlohmann::ordered_json& kwargs,
                     const ChatTemplateOptions& options) const;
  // Rendered text to ids; a template writes its special tokens itself.
  std::vector<int32_t> encode_rendered(std::string_view rendered) const;

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  std::vector<int32_t> end_ids_;
  std::string bos_token_;
};

}  // namespace mica
