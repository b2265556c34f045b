// Every small tokenizer of tests/data/tokenizer against what the reference library made of its
// texts.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"
#include "test_data.h"
#include "text/tokenizer/tokenizer.h"

namespace mica {
namespace {

using nlohmann::json;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip) {
  StreamingDetokenizer detokenizer(tokenizer, skip);
  std::string text;
  for (int32_t id : ids) text += detokenizer.add(id);
  return text + detokenizer.finish();
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, AgreesWithReference) {
  const std::filesystem::path folder = source_path("tests/data/tokenizer");
  const auto tokenizer = Tokenizer::from_json(read_text_file(folder / (GetParam() + ".json")));
  const json cases = json::parse(read_text_file(folder / (GetParam() + ".cases.json")));
  ASSERT_GE(cases.size(), 60u);
  for (const json& c : cases) {
    const std::string text = from_hex(c["hex"]);
    SCOPED_TRACE(c["hex"].get<std::string>());
    EXPECT_EQ(tokenizer->encode(text, false), c["ids"].get<std::vector<int32_t>>());
    const auto ids = c["special_ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(text, true), ids);
    EXPECT_EQ(tokenizer->decode(ids, false), c["text"].get<std::string>());
    EXPECT_EQ(tokenizer->decode(ids, true), c["skipped_text"].get<std::string>());
    EXPECT_EQ(stream(*tokenizer, ids, false), c["text"].get<std::string>());
    EXPECT_EQ(stream(*tokenizer, ids, true), c["skipped_text"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, Golden,
                         testing::Values("gpt2", "roberta", "llama3", "qwen", "o200k", "deepseek",
                                         "falcon", "llama2", "mistral", "gemma", "metaspace_unk",
                                         "unigram_precompiled", "unigram_bytes", "bert",
                                         "word_level", "clip", "added_tokens", "empty_patterns"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace mica
