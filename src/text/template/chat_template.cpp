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

// The variables of special tokens: "bos_token" and whatever else ends so, and what the objects of
// further tokens name. Of two tokens of one name the one that transformers takes.
class SpecialTokens {
 public:
  void add_config(const Json& config) {
    for (const auto& [name, value] : config.items()) {
      if (!name.ends_with("_token")) continue;
      if (const Json* text = token_text(value)) tokens_[name] = *text;
      if (!is_standard(name) && value.is_string()) further_[name] = value;
    }
    add_named(config, "extra_special_tokens");
    if (further_.empty()) add_named(config, "model_specific_special_tokens");
  }

  // special_tokens_map.json.
  void add_map(const Json& map) {
    for (const auto& [name, value] : map.items()) {
      const Json* text = name.ends_with("_token") ? token_text(value) : nullptr;
      if (text) tokens_[name] = *text;
    }
    add_named(map, "extra_special_tokens");
  }

  Json all() const {
    Json tokens = tokens_;
    tokens.update(further_);
    return tokens;
  }

 private:
  static bool is_standard(const std::string& name) {
    static constexpr std::string_view kNames[] = {
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }

  void add_named(const Json& json, const char* key) {
    auto named = json.find(key);
    if (named == json.end() || !named->is_object()) return;
    for (const auto& [name, value] : named->items()) {
      if (const Json* text = token_text(value)) further_[name] = *text;
    }
  }

  Json tokens_ = Json::object();
  Json further_ = Json::object();  // these win
};

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

// Clients send null for what a message does not have; templates expect no such key then.
Json without_nulls(const Json& message) {
  Json out = Json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) out[key] = value;
  }
  return out;
}

// Reasoning has three names among templates: the first given one fills the standard name, and
// "thinking", which gpt-oss reads. As transformers does.
Json alias_reasoning(const Json& message) {
  const Json* reasoning = nullptr;
  for (const char* field : kReasoningFields) {
    auto found = message.find(field);
    if (found != message.end()) {
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
  Json& message = messages.back();
  auto content = message.find("content");
  if (content == message.end()) {
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

void check_documents(const Json& documents) {
  if (documents.is_null()) return;
  bool are_objects = documents.is_array();
  for (const Json& document : documents) are_objects = are_objects && document.is_object();
  if (!are_objects) refuse("expected documents to be a list of objects with title and text");
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
    if (standard != templates.end()) return standard->second;
    std::string names;
    for (const auto& [name, named] : templates) names += (names.empty() ? "" : ", ") + name;
    refuse("the model has templates for special uses (" + names + ") and no default one");
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
  return load(directory, special_tokens(directory));
}

std::unique_ptr<ChatTemplate> ChatTemplate::load(const fs::path& directory, Json special_tokens) {
  auto state = std::make_unique<State>();
  Sources sources;
  add_jinja_files(directory, sources);
  for (const char* file : {"tokenizer_config.json", "chat_template.json"}) {
    fs::path path = directory / file;
    if (!sources.empty() || !file_exists(path)) continue;
    Json json = read_json(path);
    if (json.contains("chat_template")) add_json_templates(json["chat_template"], path, sources);
  }
  if (sources.empty()) return nullptr;
  state->special_tokens = std::move(special_tokens);
  for (const auto& [name, source] : sources) state->add(name, source);
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

Json ChatTemplate::special_tokens(const fs::path& directory) {
  SpecialTokens tokens;
  bool lists_tokens = false;
  fs::path config_path = directory / "tokenizer_config.json";
  if (file_exists(config_path)) {
    Json config = read_json(config_path);
    lists_tokens = config.contains("added_tokens_decoder");
    tokens.add_config(config);
  }
  // As transformers: the older file counts where the config does not list its added tokens.
  fs::path map_path = directory / "special_tokens_map.json";
  if (!lists_tokens && file_exists(map_path)) tokens.add_map(read_json(map_path));
  return tokens.all();
}

std::string ChatTemplate::render(const Json& messages, const Json& tools, const Json& kwargs,
                                 const ChatTemplateOptions& options) const {
  if (!messages.is_array()) refuse("expected messages to be a list");
  if (messages.empty()) refuse("expected at least one message");
  if (!tools.is_array() && !tools.is_null()) refuse("expected tools to be a list");
  if (!kwargs.is_object() && !kwargs.is_null()) refuse("expected the variables to be an object");
  const State::Named& chosen = state_->pick(!tools.is_null());
  Json chat = Json::array();
  for (const Json& message : messages) {
    if (!message.is_object()) refuse("expected every message to be an object");
    chat.push_back(alias_reasoning(without_nulls(message)));
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
  check_documents(variables["documents"]);
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
  auto standard = state_->templates.find("default");
  return standard != state_->templates.end() ? standard->second.source : std::string_view();
}

void ChatTemplate::set_clock(std::function<int64_t()> unix_seconds) {
  state_->clock = std::move(unix_seconds);
}

}  // namespace mica
