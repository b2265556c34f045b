#include "text/template/chat_template.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "text/template/template.h"
#include "text/template/unicode.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kMaxTemplateBytes = size_t{4} << 20;
constexpr size_t kMaxConfigBytes = size_t{256} << 20;
constexpr const char* kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr const char* kReasoningFields[] = {"reasoning_content", "thinking", "reasoning"};

// Texts of templates by name.
using Sources = std::map<std::string, std::string>;

Json read_json(const fs::path& path) {
  Json json = Json::parse(read_text_file(path, kMaxConfigBytes), nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorKind::kCheckpoint, "[chat template] {}: expected a JSON object",
                path.string());
  }
  return json;
}

bool file_exists(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

void add_json_templates(const Json& value, const fs::path& path, Sources& sources) {
  if (value.is_string()) {
    sources["default"] = value.get<std::string>();
    return;
  }
  if (value.is_null()) return;
  if (value.is_array()) {
    for (const Json& entry : value) {
      bool is_entry = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                      entry.contains("template") && entry["template"].is_string();
      if (!is_entry) {
        throw Error(ErrorKind::kCheckpoint,
                    "[chat template] {}: expected entries with a name and a template",
                    path.string());
      }
      sources[entry["name"].get<std::string>()] = entry["template"].get<std::string>();
    }
    return;
  }
  throw Error(ErrorKind::kCheckpoint,
              "[chat template] {}: chat_template is neither a text nor a list", path.string());
}

void add_jinja_files(const fs::path& directory, Sources& sources) {
  fs::path main = directory / "chat_template.jinja";
  if (file_exists(main)) sources["default"] = read_text_file(main, kMaxTemplateBytes);
  for (const char* folder : {"chat_templates", "additional_chat_templates"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory / folder, error)) {
      if (entry.path().extension() != ".jinja" || !file_exists(entry.path())) continue;
      sources[entry.path().stem().string()] = read_text_file(entry.path(), kMaxTemplateBytes);
    }
  }
}

// The text of a token that is a string or an object with "content".
const Json* token_text(const Json& token) {
  if (token.is_string()) return &token;
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return &token["content"];
  }
  return nullptr;
}

void add_special_tokens(const Json& config, Json& tokens) {
  for (const auto& [name, value] : config.items()) {
    if (name == "extra_special_tokens" && value.is_object()) add_special_tokens(value, tokens);
    if (name == "additional_special_tokens" && value.is_array()) {
      Json list = Json::array();
      for (const Json& token : value) {
        if (const Json* text = token_text(token)) list.push_back(*text);
      }
      if (!tokens.contains(name)) tokens[name] = std::move(list);
    }
    bool is_token = name.size() > 6 && name.compare(name.size() - 6, 6, "_token") == 0;
    const Json* text = is_token ? token_text(value) : nullptr;
    if (text && !tokens.contains(name)) tokens[name] = *text;
  }
}

jinja::Template compile(const std::string& name, const std::string& source) {
  try {
    return jinja::Template(source);
  } catch (const jinja::TemplateError& error) {
    throw Error(ErrorKind::kCheckpoint, "[chat template] '{}', line {}: {}", name, error.line,
                error.what());
  }
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::kUsage, "[chat template] " + message);
}

// Reasoning has three names among templates: the first given one fills the standard name, and
// "thinking", which gpt-oss reads. As transformers does.
Json alias_reasoning(const Json& message) {
  const Json* reasoning = nullptr;
  for (const char* field : kReasoningFields) {
    auto found = message.find(field);
    if (found != message.end() && !found->is_null()) {
      reasoning = &*found;
      break;
    }
  }
  if (!reasoning) return message;
  Json out = Json::object();
  out["thinking"] = *reasoning;
  for (const auto& [key, value] : message.items()) out[key] = value;
  out["reasoning_content"] = *reasoning;
  return out;
}

// Marks the end of the last message's text; returns that text without the mark.
std::string mark_final_message(Json& messages, const std::string& source) {
  if (messages.empty()) refuse("continue_final_message needs a message");
  Json& message = messages.back();
  auto content = message.find("content");
  if (content == message.end() || content->is_null()) {
    refuse("continue_final_message needs a last message with content");
  }
  if (source.find("content") == std::string::npos) {
    refuse("this template does not show the content of messages, so it can't be continued");
  }
  if (content->is_string()) {
    std::string text = content->get<std::string>();
    *content = text + kContinueTag;
    return text;
  }
  if (content->is_array()) {
    for (auto block = content->rbegin(); block != content->rend(); ++block) {
      if (!block->is_object() || !block->contains("text") || !(*block)["text"].is_string())
        continue;
      std::string text = (*block)["text"].get<std::string>();
      (*block)["text"] = text + kContinueTag;
      return text;
    }
  }
  refuse("continue_final_message found no text to continue in the last message");
}

std::string cut_at_mark(std::string rendered, const std::string& final_text) {
  std::string_view tag = kContinueTag;
  std::string_view short_tag = tag.substr(0, tag.size() - 1);
  std::string stripped(jinja::strip(final_text, nullptr, true, true));
  size_t found = rendered.rfind(short_tag);
  if (found == std::string::npos || rendered.find(stripped) == std::string::npos) {
    refuse("the last message does not appear in the prompt, so it can't be continued");
  }
  bool keeps_space = rendered.compare(found, tag.size(), tag) == 0;
  rendered.resize(found);
  if (!keeps_space) rendered = std::string(jinja::strip(rendered, nullptr, false, true));
  return rendered;
}

}  // namespace

struct ChatTemplate::State {
  struct Named {
    std::string source;
    jinja::Template compiled;
  };
  std::map<std::string, Named> templates;
  Json special_tokens = Json::object();
  std::function<int64_t()> clock;

  void add(const std::string& name, const std::string& source) {
    if (source.size() > kMaxTemplateBytes) {
      throw Error(ErrorKind::kCheckpoint, "[chat template] '{}' has {} bytes, the limit is {}",
                  name, source.size(), kMaxTemplateBytes);
    }
    templates.emplace(name, Named{source, compile(name, source)});
  }

  const Named& pick(bool with_tools) const {
    auto tool_use = templates.find("tool_use");
    if (with_tools && tool_use != templates.end()) return tool_use->second;
    auto standard = templates.find("default");
    return standard != templates.end() ? standard->second : templates.begin()->second;
  }
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::~ChatTemplate() = default;

std::unique_ptr<ChatTemplate> ChatTemplate::from_source(std::string_view source,
                                                        Json special_tokens) {
  auto state = std::make_unique<State>();
  if (special_tokens.is_object()) state->special_tokens = std::move(special_tokens);
  state->add("default", std::string(source));
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

std::unique_ptr<ChatTemplate> ChatTemplate::load(const fs::path& directory) {
  auto state = std::make_unique<State>();
  Sources sources;
  add_jinja_files(directory, sources);
  fs::path config_path = directory / "tokenizer_config.json";
  if (file_exists(config_path)) {
    Json config = read_json(config_path);
    add_special_tokens(config, state->special_tokens);
    if (sources.empty() && config.contains("chat_template")) {
      add_json_templates(config["chat_template"], config_path, sources);
    }
  }
  fs::path map_path = directory / "special_tokens_map.json";
  if (file_exists(map_path)) add_special_tokens(read_json(map_path), state->special_tokens);
  fs::path json_path = directory / "chat_template.json";
  if (sources.empty() && file_exists(json_path)) {
    Json json = read_json(json_path);
    if (json.contains("chat_template")) {
      add_json_templates(json["chat_template"], json_path, sources);
    }
  }
  if (sources.empty()) return nullptr;
  for (const auto& [name, source] : sources) state->add(name, source);
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

std::string ChatTemplate::render(const Json& messages, const Json& tools, const Json& kwargs,
                                 const ChatTemplateOptions& options) const {
  if (!messages.is_array()) refuse("expected messages to be a list");
  if (!tools.is_array() && !tools.is_null()) refuse("expected tools to be a list");
  if (!kwargs.is_object() && !kwargs.is_null()) refuse("expected the variables to be an object");
  const State::Named& chosen = state_->pick(!tools.is_null());
  Json chat = Json::array();
  for (const Json& message : messages) {
    if (!message.is_object()) refuse("expected every message to be an object");
    chat.push_back(alias_reasoning(message));
  }
  std::string final_text;
  if (options.continue_final_message) final_text = mark_final_message(chat, chosen.source);
  Json variables = state_->special_tokens;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] =
      options.add_generation_prompt && !options.continue_final_message;
  if (kwargs.is_object()) {
    for (const auto& [name, value] : kwargs.items()) variables[name] = value;
  }
  variables["messages"] = std::move(chat);
  variables["tools"] = tools;
  std::function<jinja::ClockTime()> clock;
  if (state_->clock) {
    clock = [this] { return jinja::ClockTime{state_->clock(), 0}; };
  }
  std::string rendered;
  try {
    rendered = chosen.compiled.render(variables, {}, std::move(clock));
  } catch (const jinja::TemplateError& error) {
    refuse(fmt::format("line {}: {}", error.line, error.what()));
  }
  if (options.continue_final_message) return cut_at_mark(std::move(rendered), final_text);
  return rendered;
}

std::string_view ChatTemplate::source() const {
  return state_->pick(false).source;
}

void ChatTemplate::set_clock(std::function<int64_t()> unix_seconds) {
  state_->clock = std::move(unix_seconds);
}

}  // namespace mica
