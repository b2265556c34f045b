// A model's chat template: messages to the prompt text, as transformers' apply_chat_template.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace mica {

struct ChatTemplateOptions {
  bool add_generation_prompt = true;
  // The text ends inside the last message, for the model to go on; no generation prompt then.
  bool continue_final_message = false;
};

// Thread-safe once made.
class ChatTemplate {
 public:
  // Looks in `directory` for chat_template.jinja (and chat_templates/*.jinja, named ones), else
  // for "chat_template" in tokenizer_config.json (a text, or a list of {name, template}), else
  // for chat_template.json. nullptr when the model has none. Throws Error(kCheckpoint) for files
  // that can't be read or a template that does not parse.
  static std::unique_ptr<ChatTemplate> load(const std::filesystem::path& directory);
  // The same where special_tokens(directory) is there already.
  static std::unique_ptr<ChatTemplate> load(const std::filesystem::path& directory,
                                            nlohmann::ordered_json special_tokens);

  // `special_tokens` is an object: "bos_token" and such become variables of the template.
  static std::unique_ptr<ChatTemplate> from_source(std::string_view source,
                                                   nlohmann::ordered_json special_tokens);
  // The variables "bos_token" and such of a model, of the files of its tokenizer.
  static nlohmann::ordered_json special_tokens(const std::filesystem::path& directory);
  ~ChatTemplate();

  // `messages` is an array of at least one object, of which null members are left out; `tools` an
  // array or null; `kwargs` an object (or null) of further variables. With tools the template
  // named "tool_use" is taken if there is one.
  // Throws Error(kUsage) for raise_exception and for whatever else the template makes of the
  // request, with the line of the template.
  std::string render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools,
                     const nlohmann::ordered_json& kwargs,
                     const ChatTemplateOptions& options) const;

  // The default template's text, empty when there is none.
  std::string_view source() const;

  // What strftime_now reads, in seconds since 1970; the system's clock unless set.
  void set_clock(std::function<int64_t()> unix_seconds);

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mica
