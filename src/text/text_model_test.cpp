#include "text/text_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "temp_folder.h"
#include "test_data.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

class TextModelTest : public testing::Test {
 protected:
  void SetUp() override {
    write("tokenizer.json", read_text_file(source_path("tests/data/tokenizer/llama3.json")));
    write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "<|end|>"})");
  }
  void write(const std::string& file, const std::string& text) const {
    write_text_file(folder_ / file, text);
  }
  TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path();
};

TEST_F(TextModelTest, EndIds) {
  const int32_t end = TextModel(folder_, {}).tokenizer().token_to_id("<|end|>").value();
  EXPECT_EQ(TextModel(folder_, {}).end_ids(), std::vector<int32_t>{end});
  EXPECT_EQ(TextModel(folder_, {3, 5}).end_ids(), (std::vector<int32_t>{3, 5, end}));
  EXPECT_EQ(TextModel(folder_, {end, 5}).end_ids(), (std::vector<int32_t>{end, 5}));
}

TEST_F(TextModelTest, OneBos) {
  const TextModel text(folder_, {});
  const int32_t bos = text.tokenizer().token_to_id("<s>").value();
  EXPECT_EQ(text.encode("<s>the").front(), bos);
  EXPECT_EQ(text.encode("<s>the"), text.encode("the"));
}

TEST_F(TextModelTest, TemplateOverride) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "hi"}}});
  write("special_tokens_map.json", R"({"image_token": "<i>"})");
  write("other.jinja", "file {{ bos_token }}{{ image_token }}");
  const auto rendered = [&](const std::string& source) {
    return TextModel(folder_, {}, source).render(messages, nullptr, nullptr, {});
  };
  EXPECT_EQ(rendered(""), "user: hi\nassistant:");
  EXPECT_EQ(rendered("text {{ eos_token }}{{ messages[0].content }}"), "text <|end|>hi");
  EXPECT_EQ(rendered((folder_ / "other.jinja").string()), "file <s><i>");
}

}  // namespace
}  // namespace mica
