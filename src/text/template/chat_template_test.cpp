#include "text/template/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "test_data.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSimple =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

Json user(const std::string& text) {
  return {{"role", "user"}, {"content", text}};
}
Json assistant(const std::string& text) {
  return {{"role", "assistant"}, {"content", text}};
}

Json hello() {
  return Json::array({user("hello")});
}

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[chat template]"), std::string::npos);
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kInternal;
}

class Folder {
 public:
  explicit Folder(const std::string& name)
      : path(std::filesystem::path(::testing::TempDir()) / ("chat_template_" + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path / file).parent_path());
    write_text_file(path / file, text);
  }
  const std::filesystem::path path;
};

TEST(ChatTemplate, GenerationPrompt) {
  auto chat = ChatTemplate::from_source(kSimple, Json::object());
  Json messages = Json::array({user("hi")});
  EXPECT_EQ(chat->render(messages, nullptr, nullptr, {}), "<user>hi</user><assistant>");
  EXPECT_EQ(chat->render(messages, nullptr, nullptr, {.add_generation_prompt = false}),
            "<user>hi</user>");
  EXPECT_EQ(chat->source(), kSimple);
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  auto chat = ChatTemplate::from_source(kSimple, Json::object());
  Json messages = Json::array({user("hi"), assistant("Well, ")});
  EXPECT_EQ(chat->render(messages, nullptr, nullptr, {.continue_final_message = true}),
            "<user>hi</user><assistant>Well, ");
  auto trimmed = ChatTemplate::from_source(
      "{% for m in messages %}[{{ m.content|trim }}]{% endfor %}", Json::object());
  EXPECT_EQ(trimmed->render(messages, nullptr, nullptr, {.continue_final_message = true}),
            "[hi][Well,");
  auto drops = ChatTemplate::from_source("{{ messages[0].content }}", Json::object());
  EXPECT_EQ(
      kind_of([&] { drops->render(messages, nullptr, nullptr, {.continue_final_message = true}); }),
      ErrorKind::kUsage);
  EXPECT_EQ(kind_of([&] {
              chat->render(Json::array(), nullptr, nullptr, {.continue_final_message = true});
            }),
            ErrorKind::kUsage);
}

TEST(ChatTemplate, Variables) {
  auto chat = ChatTemplate::from_source(
      "{{ bos_token }}{{ enable_thinking }}{{ tools|tojson }}{{ documents }}{{ missing }}",
      {{"bos_token", "<s>"}});
  Json tools = Json::array({{{"zeta", 1}, {"alpha", {{"b", "é<"}, {"a", nullptr}}}}});
  EXPECT_EQ(chat->render(hello(), tools, {{"enable_thinking", false}}, {}),
            R"(<s>False[{"zeta": 1, "alpha": {"b": "é<", "a": null}}]None)");
  EXPECT_EQ(chat->render(hello(), nullptr, {{"bos_token", "!"}}, {}), "!nullNone");
}

TEST(ChatTemplate, ReasoningNames) {
  auto chat = ChatTemplate::from_source(
      "{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}", Json::object());
  for (const char* name : {"reasoning", "reasoning_content", "thinking"}) {
    Json messages = Json::array({{{"role", "assistant"}, {name, "why"}}});
    EXPECT_EQ(chat->render(messages, nullptr, nullptr, {}), "why|why") << name;
  }
}

TEST(ChatTemplate, LeavesNullsOut) {
  auto chat = ChatTemplate::from_source(
      "{% for m in messages %}{{ m|tojson }}{% endfor %}{{ tools }}{{ x }}", Json::object());
  Json messages = Json::array({{{"role", "assistant"},
                                {"content", nullptr},
                                {"reasoning", nullptr},
                                {"tool_calls", Json::array({{{"id", nullptr}}})}}});
  EXPECT_EQ(chat->render(messages, nullptr, {{"x", nullptr}}, {}),
            R"({"role": "assistant", "tool_calls": [{"id": null}]}NoneNone)");
}

TEST(ChatTemplate, Errors) {
  auto any = ChatTemplate::from_source("x", Json::object());
  EXPECT_EQ(kind_of([&] { any->render(Json::array(), nullptr, nullptr, {}); }), ErrorKind::kUsage);
  for (const Json& documents : {Json("text"), Json::array({"text"})}) {
    EXPECT_EQ(kind_of([&] {
                any->render(hello(), nullptr, {{"documents", documents}}, {});
              }),
              ErrorKind::kUsage);
  }

  EXPECT_EQ(kind_of([] { ChatTemplate::from_source("{% if %}", Json::object()); }),
            ErrorKind::kCheckpoint);
  auto chat = ChatTemplate::from_source("\n{{ raise_exception('roles must alternate') }}", {});
  try {
    chat->render(hello(), nullptr, nullptr, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_STREQ(error.what(), "[chat template] line 2: roles must alternate");
  }
  EXPECT_EQ(kind_of([&] { chat->render("text", nullptr, nullptr, {}); }), ErrorKind::kUsage);
  EXPECT_EQ(kind_of([&] { chat->render(Json::array({1}), nullptr, nullptr, {}); }),
            ErrorKind::kUsage);
}

TEST(ChatTemplate, Clock) {
  setenv("TZ", "UTC", 1);
  tzset();
  auto chat = ChatTemplate::from_source("{{ strftime_now('%d %b %Y') }}", Json::object());
  chat->set_clock([] { return int64_t{1'709'210'096}; });
  EXPECT_EQ(chat->render(hello(), nullptr, nullptr, {}), "29 Feb 2024");
}

TEST(ChatTemplate, LoadsJinjaFiles) {
  Folder folder("jinja");
  EXPECT_EQ(ChatTemplate::load(folder.path), nullptr);
  folder.write("tokenizer_config.json",
               R"({"chat_template": "old", "bos_token": {"content": "<b>"}, "eos_token": "<e>"})");
  EXPECT_EQ(ChatTemplate::load(folder.path)->source(), "old");
  folder.write("chat_template.jinja", "{{ bos_token }}new{{ eos_token }}");
  folder.write("chat_templates/tool_use.jinja", "tools{{ eos_token }}");
  auto chat = ChatTemplate::load(folder.path);
  EXPECT_EQ(chat->render(hello(), nullptr, nullptr, {}), "<b>new<e>");
  EXPECT_EQ(chat->render(hello(), Json::array(), nullptr, {}), "tools<e>");
}

TEST(ChatTemplate, SpecialTokens) {
  Folder folder("tokens");
  folder.write("chat_template.jinja",
               "{{ bos_token }},{{ eos_token }},{{ pad_token }},{{ image_token }},{{ video }},"
               "{{ additional_special_tokens is defined }}");
  auto shown = [&](const std::string& config, const std::string& map) {
    folder.write("tokenizer_config.json", config);
    folder.write("special_tokens_map.json", map);
    return ChatTemplate::load(folder.path)->render(hello(), nullptr, nullptr, {});
  };
  const std::string map = R"({"bos_token": {"content": "<m>"}, "image_token": "<mi>"})";
  EXPECT_EQ(shown(R"({"bos_token": "<b>", "eos_token": {"content": "<e>"}, "pad_token": null,
                      "additional_special_tokens": ["<x>"]})",
                  map),
            "<m>,<e>,,<mi>,,False");
  EXPECT_EQ(shown(R"({"bos_token": "<b>", "added_tokens_decoder": {}})", map), "<b>,,,,,False");
  EXPECT_EQ(shown(R"({"image_token": "<i>", "bos_token": "<b>"})", map), "<m>,,,<i>,,False");
  EXPECT_EQ(shown(R"({"extra_special_tokens": {"image_token": "<i>", "video": "<v>"}})", "{}"),
            ",,,<i>,<v>,False");
  EXPECT_EQ(shown(R"({"model_specific_special_tokens": {"video": "<v>"}})", "{}"), ",,,,<v>,False");
  EXPECT_EQ(
      shown(R"({"image_token": "<i>", "model_specific_special_tokens": {"video": "<v>"}})", "{}"),
      ",,,<i>,,False");
}

TEST(ChatTemplate, NeedsADefault) {
  Folder folder("named");
  folder.write("additional_chat_templates/tool_use.jinja", "T");
  folder.write("additional_chat_templates/rag.jinja", "R");
  auto chat = ChatTemplate::load(folder.path);
  EXPECT_EQ(chat->source(), "");
  EXPECT_EQ(chat->render(hello(), Json::array(), nullptr, {}), "T");
  try {
    chat->render(hello(), nullptr, nullptr, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("(rag, tool_use)"), std::string::npos);
  }
}

TEST(ChatTemplate, LoadsJsonFiles) {
  Folder folder("json");
  folder.write("chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(ChatTemplate::load(folder.path)->source(), "from json");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "T"},
                                     {"name": "default", "template": "D"}]})");
  auto chat = ChatTemplate::load(folder.path);
  EXPECT_EQ(chat->render(hello(), nullptr, nullptr, {}), "D");
  EXPECT_EQ(chat->render(hello(), Json::array(), nullptr, {}), "T");
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": 1}]})");
  EXPECT_EQ(kind_of([&] { ChatTemplate::load(folder.path); }), ErrorKind::kCheckpoint);
  folder.write("tokenizer_config.json", "not json");
  EXPECT_EQ(kind_of([&] { ChatTemplate::load(folder.path); }), ErrorKind::kCheckpoint);
}

}  // namespace
}  // namespace mica
