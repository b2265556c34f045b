#include "cli/convert/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "cli/convert/convert_test.h"

namespace mica {
namespace {

GgufHeader keys_of(const std::filesystem::path& folder, int64_t vocab_size,
                   const std::string& pre = "") {
  ModelConfig config;
  config.vocab_size = vocab_size;
  config.eos_token_ids = {1, 2};
  GgufHeader header;
  for (auto& [key, value] : gguf_tokenizer_metadata(folder, config, pre))
    header.metadata.emplace(key, value);
  return header;
}

template <typename T>
const std::vector<T>& list(const GgufHeader& header, const char* key) {
  return std::get<std::vector<T>>(header.find(key)->items);
}

GgufHeader keys_of_family(const std::string& family, const std::string& pre = "") {
  const TempFolder folder;
  copy_tokenizer(family, folder.path());
  return keys_of(folder.path(), 700, pre);
}

TEST(GgufTokenizer, SplitsAreToldByTheirPattern) {
  const std::pair<const char*, const char*> families[] = {
      {"qwen", "qwen2"},   {"llama3", "llama-bpe"},     {"gpt2", "gpt-2"},
      {"o200k", "gpt-4o"}, {"deepseek", "deepseek-v3"},
  };
  for (const auto& [family, pre] : families) {
    const GgufHeader keys = keys_of_family(family);
    EXPECT_EQ(keys.string("tokenizer.ggml.model"), "gpt2") << family;
    EXPECT_EQ(keys.string("tokenizer.ggml.pre"), pre) << family;
    EXPECT_GT(keys.find("tokenizer.ggml.merges")->size(), 100u) << family;
  }
}

TEST(GgufTokenizer, UnknownSplitsAreRefusedUnlessNamed) {
  const std::string error = checkpoint_error([] { keys_of_family("clip"); });
  EXPECT_NE(error.find("pre_tokenizer"), std::string::npos) << error;
  EXPECT_NE(error.find("--tokenizer-pre"), std::string::npos) << error;
  EXPECT_EQ(keys_of_family("falcon", "falcon").string("tokenizer.ggml.pre"), "falcon");
}

TEST(GgufTokenizer, OtherKindsAreRefused) {
  for (const char* family : {"bert", "unigram_bytes", "word_level"})
    EXPECT_NE(checkpoint_error([&] { keys_of_family(family); }).find("of type BPE"),
              std::string::npos)
        << family;
}

TEST(GgufTokenizer, TokensFillTheEmbedding) {
  const GgufHeader keys = keys_of_family("qwen");
  const auto& tokens = list<std::string>(keys, "tokenizer.ggml.tokens");
  const auto& types = list<int64_t>(keys, "tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 700u);
  ASSERT_EQ(types.size(), 700u);
  EXPECT_EQ(tokens[0], "!");
  EXPECT_EQ(types[0], 1);
  EXPECT_EQ(tokens[699], "[PAD699]");
  EXPECT_EQ(types[699], 5);
}

TEST(GgufTokenizer, ByteFallbackHasScoresInTheOrderOfTheMerges) {
  const GgufHeader keys = keys_of_family("llama2");
  EXPECT_EQ(keys.string("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.add_space_prefix"), 1u);
  EXPECT_EQ(keys.find("tokenizer.ggml.merges"), nullptr);
  const auto& scores = list<double>(keys, "tokenizer.ggml.scores");
  const auto& tokens = list<std::string>(keys, "tokenizer.ggml.tokens");
  const auto& types = list<int64_t>(keys, "tokenizer.ggml.token_type");
  ASSERT_EQ(scores.size(), tokens.size());
  EXPECT_EQ(*std::max_element(scores.begin(), scores.end()), -1);  // the first merge's token
  const auto byte = std::find(tokens.begin(), tokens.end(), "<0x0A>") - tokens.begin();
  EXPECT_EQ(types[static_cast<size_t>(byte)], 6);
  EXPECT_EQ(keys_of_family("gemma").unsigned_integer("tokenizer.ggml.add_space_prefix"), 0u);
  EXPECT_EQ(keys_of_family("mistral").unsigned_integer("tokenizer.ggml.add_space_prefix"), 1u);
}

TEST(GgufTokenizer, SpecialTokensOfTheFilesBeside) {
  const TempFolder folder;
  copy_tokenizer("llama2", folder.path());
  write_text_file(folder.path() / "tokenizer_config.json",
                  R"({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                      "chat_template": "{{ messages[0].content }}"})");
  const GgufHeader keys = keys_of(folder.path(), 700);
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.bos_token_id"), 1u);
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.eos_token_id"), 2u);
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.eot_token_id"), 1u);  // the config's other end
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.unknown_token_id"), 0u);
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.add_bos_token"), 1u);
  EXPECT_EQ(keys.unsigned_integer("tokenizer.ggml.add_eos_token"), 0u);
  EXPECT_EQ(keys.string("tokenizer.chat_template"), "{{ messages[0].content }}");
}

TEST(GgufTokenizer, WithoutATokenizerIdsAreAllThereIs) {
  const TempFolder folder;
  EXPECT_EQ(keys_of(folder.path(), 10).string("tokenizer.ggml.model"), "none");
}

TEST(GgufTokenizer, WrongFilesAreErrors) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "tokenizer.json"},
      {"{}", "a model with a vocab"},
      {R"({"model": {"type": "BPE", "vocab": []}})", "an object as model.vocab"},
      {R"({"model": {"type": "BPE", "vocab": {"a": "x"}}})", "token ids"},
      {R"({"model": {"type": "BPE", "byte_fallback": true, "vocab": {"a": 0}, "merges": ["ab"]}})",
       "a pair"},
      {R"({"model": {"type": "BPE", "byte_fallback": true, "vocab": {"a": 0}, "merges": [[1, 2]]}})",
       "a pair"}};
  for (const auto& [text, part] : cases) {
    const TempFolder folder;
    write_text_file(folder.path() / "tokenizer.json", text);
    const std::string error = checkpoint_error([&] { keys_of(folder.path(), 10); });
    EXPECT_NE(error.find(part), std::string::npos) << text << "\n" << error;
  }
}

}  // namespace
}  // namespace mica
