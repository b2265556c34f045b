// The interface: broken UTF-8, streams, errors, tokenizer_config.json, threads.
#include "text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "temp_folder.h"
#include "test_data.h"
#include "text/tokenizer/unicode.h"

namespace mica {
namespace {

using nlohmann::json;

std::string file_of(const std::string& name) {
  return read_text_file(source_path("tests/data/tokenizer/" + name + ".json"));
}
std::unique_ptr<Tokenizer> load(const std::string& name) {
  return Tokenizer::from_json(file_of(name));
}

const char* const kNames[] = {"gpt2",  "roberta", "llama3", "deepseek",   "llama2",       "mistral",
                              "gemma", "bert",    "clip",   "word_level", "unigram_bytes"};

TEST(Tokenizer, BrokenUtf8ReadsAsReplacementCharacters) {
  for (const char* name : kNames) {
    const auto t = load(name);
    EXPECT_EQ(t->encode("a\xF0\x9F\x98 b\xFF\xC3", true), t->encode("a\uFFFD b\uFFFD\uFFFD", true));
  }
}

TEST(Tokenizer, ByteLevelRoundTrip) {
  for (const char* name : {"gpt2", "llama3", "o200k", "deepseek"}) {
    const auto t = load(name);
    const std::string text = "It's 12345 déjà vu,\n\n  世界 👨‍👩‍👧‍👦\t\x01 x";
    EXPECT_EQ(t->decode(t->encode(text, false), false), text);
    std::string bytes;
    for (int32_t id : t->encode(text, false)) bytes += t->token_bytes(id);
    EXPECT_EQ(bytes, text);
  }
}

// Random ids, known, unknown and special: the pieces are whole characters and add up to decode().
TEST(StreamingDetokenizer, EqualsDecode) {
  std::mt19937 rng(3);
  for (const char* name : kNames) {
    const auto t = load(name);
    for (int round = 0; round < 400; round++) {
      std::vector<int32_t> ids(rng() % 12);
      for (int32_t& id : ids)
        id = static_cast<int32_t>(rng() % static_cast<uint32_t>(t->vocab_size() + 5)) - 2;
      const bool skip = round % 2 == 0;
      StreamingDetokenizer stream(*t, skip);
      std::string text;
      for (int32_t id : ids) {
        const std::string piece = stream.add(id);
        ASSERT_TRUE(tok::is_valid_utf8(piece));
        text += piece;
      }
      text += stream.finish();
      ASSERT_EQ(text, t->decode(ids, skip)) << name;
    }
  }
}

TEST(StreamingDetokenizer, HoldsHalfCharacters) {
  const auto t = load("gpt2");
  const std::vector<int32_t> ids = t->encode("\U0010FFFD!", false);  // no merge: one token a byte
  ASSERT_EQ(ids.size(), 5u);
  StreamingDetokenizer stream(*t);
  for (int i = 0; i < 3; i++) EXPECT_EQ(stream.add(ids[static_cast<size_t>(i)]), "");
  EXPECT_EQ(stream.add(ids[3]), "\U0010FFFD");
  EXPECT_EQ(stream.add(ids[4]), "!");
  EXPECT_EQ(stream.add(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, StripsTheFirstBlankOnly) {
  const auto t = load("llama2");
  const std::vector<int32_t> ids = t->encode("the  the", false);
  StreamingDetokenizer stream(*t);
  std::string text;
  for (int32_t id : ids) text += stream.add(id);
  EXPECT_EQ(text, "the  the");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Tokenizer, IdsAndTokens) {
  const auto t = load("llama3");
  const int32_t s = t->token_to_id("<s>").value();
  EXPECT_EQ(t->encode("<s>", false), std::vector<int32_t>{s});
  EXPECT_EQ(t->id_to_token(s), "<s>");
  EXPECT_TRUE(t->is_special(s));
  EXPECT_FALSE(t->is_special(0));
  EXPECT_EQ(t->vocab_size(), t->token_to_id("<|end|>").value() + 1);
  EXPECT_EQ(t->token_bytes(t->token_to_id("Ġthe").value()), " the");
  EXPECT_EQ(t->token_to_id("no such token"), std::nullopt);
  for (int32_t id : {-1, t->vocab_size(), 1 << 30}) {
    EXPECT_EQ(t->id_to_token(id), "");
    EXPECT_EQ(t->token_bytes(id), "");
    EXPECT_FALSE(t->is_special(id));
  }
  const auto sp = load("llama2");
  EXPECT_EQ(sp->token_bytes(sp->token_to_id("<0xE4>").value()), "\xE4");
  EXPECT_EQ(sp->token_bytes(sp->token_to_id("▁the").value()), " the");
}

// The reference takes any of several tokens with one normalized form, another one at each run.
TEST(Tokenizer, EqualNormalizedForms) {
  json j = json::parse(file_of("gpt2"));
  j["normalizer"] = {{"type", "Sequence"},
                     {"normalizers", {{{"type", "NFKC"}}, {{"type", "Lowercase"}}}}};
  j["added_tokens"] = json::array();
  for (const char* content : {"QQ", "Qq", "qq", "XX", "Xx"})
    j["added_tokens"].push_back(
        {{"id", 900 + j["added_tokens"].size()}, {"content", content}, {"normalized", true}});
  const auto t = Tokenizer::from_json(j.dump());
  const int32_t qq = t->token_to_id("qq").value(), xx = t->token_to_id("XX").value();
  EXPECT_EQ(t->encode("QQxxqQ", false), (std::vector<int32_t>{qq, xx, qq}));
}

// As in the reference, no pattern matches in a text that an earlier normalizer emptied.
TEST(Tokenizer, NothingToReplaceInNothing) {
  json j = json::parse(file_of("gpt2"));
  j["normalizer"] = json::parse(
      R"({"type":"Sequence","normalizers":[{"type":"Strip","strip_left":true,"strip_right":true},
          {"type":"Replace","pattern":{"Regex":"^"},"content":"the"}]})");
  const auto t = Tokenizer::from_json(j.dump());
  EXPECT_TRUE(t->encode(" \n", false).empty());
  EXPECT_EQ(t->decode(t->encode(" x", false), false), "thex");
}

TEST(Tokenizer, ManyThreads) {
  const auto t = load("deepseek");
  const std::string text = "The quick brown fox 12345 世界 isn't\n\n x";
  const std::vector<int32_t> expected = t->encode(text, true);
  std::vector<std::thread> threads;
  std::vector<int> good(8);
  for (int& count : good)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; i++) count += t->encode(text, true) == expected;
    });
  for (std::thread& thread : threads) thread.join();
  for (int count : good) EXPECT_EQ(count, 200);
}

// Long words go through the heap, short ones through the scan; both are byte-pair encoding.
TEST(Tokenizer, LongWords) {
  const auto t = load("gpt2");
  std::mt19937 rng(9);
  for (int round = 0; round < 20; round++) {
    std::string word;
    while (word.size() < 300) word += "theouqckwnrb"[rng() % 12];
    const std::vector<int32_t> ids = t->encode(word, false);
    EXPECT_EQ(t->decode(ids, false), word);
  }
}

// ---- Errors

std::string error_of(const json& tokenizer) {
  try {
    Tokenizer::from_json(tokenizer.dump())->encode("some text", true);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kCheckpoint);
    return e.what();
  }
  return "no error";
}

void expect_error(const char* pointer, const json& value, const std::string& part,
                  const char* name = "gpt2") {
  json j = json::parse(file_of(name));
  j[json::json_pointer(pointer)] = value;
  const std::string message = error_of(j);
  EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(message.find("[tokenizer]"), 0u) << message;
}

TEST(TokenizerErrors, NameThePlace) {
  expect_error("/model/type", "Nonsense", "model.type: expected BPE");
  expect_error("/model/vocab", 3, "model.vocab: expected an object");
  expect_error("/model/vocab/x y", "7", "model.vocab: expected ids from 0");
  expect_error("/model/vocab/x y", -7, "found -7 for the token 'x y'");
  expect_error("/model/vocab/x y", 4000000000u, "found 4000000000");
  expect_error("/model/merges", json::array({"a b c"}), "model.merges[0]: expected two tokens");
  expect_error("/model/merges", json::array({json::array({"a"})}), "model.merges[0]: expected two");
  expect_error("/model/merges", json::array({"a Nonsense"}), "'aNonsense' which is not in it");
  expect_error("/model/byte_fallback", 1, "model.byte_fallback: expected true or false, found 1");
  expect_error("/pre_tokenizer/type", "Nonsense", "pre_tokenizer.type");
  expect_error("/pre_tokenizer", json{{"type", "Split"}}, "pre_tokenizer: expected a member");
  expect_error("/pre_tokenizer",
               json::parse(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})"),
               "'('");
  expect_error("/normalizer", json::array(), "normalizer: expected an object");
  expect_error("/normalizer",
               json::parse(R"({"type":"Precompiled","precompiled_charsmap":"////"})"),
               "normalizer.precompiled_charsmap");
  expect_error("/decoder", json{{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}},
               "decoder.content: expected one character, found \"ab\"");
  expect_error("/added_tokens/0/content", 5, "added_tokens[0].content: expected a string");
  expect_error("/post_processor/single",
               json::parse(R"([{"SpecialToken":{"id":"<x>","type_id":0}}])"), "'<x>'", "llama2");
  expect_error("/model/unk_id", 100000, "model.unk_id: expected an integer from 0",
               "unigram_bytes");
  expect_error("/model/unk_token", "<none>", "'<none>' which is not in it", "word_level");
}

TEST(TokenizerErrors, FilesThatAreNoTokenizers) {
  for (const char* text :
       {"", "{", "[]", "3", "{}", "{\"model\":null}", "{\"model\":{}}", "\xFF\xFE"})
    EXPECT_THROW(Tokenizer::from_json(text), Error) << text;
  json nested = {{"type", "Lowercase"}};
  for (int i = 0; i < 60; i++) nested = {{"type", "Sequence"}, {"normalizers", {nested}}};
  expect_error("/normalizer", nested, "levels of Sequence");
  EXPECT_THROW(Tokenizer::load("/no/such/folder"), Error);
}

TEST(TokenizerErrors, OtherFormatsAreNamed) {
  const TempFolder temp;
  const auto& folder = temp.path();
  const auto message = [&] {
    try {
      Tokenizer::load(folder);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kCheckpoint);
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message().find("found no file of a tokenizer"), std::string::npos) << message();
  write_text_file(folder / "tekken.json", "{}");
  EXPECT_NE(message().find("found only tekken.json"), std::string::npos) << message();
  EXPECT_NE(message().find("PreTrainedTokenizerFast"), std::string::npos) << message();
  write_text_file(folder / "tokenizer.model", "x");
  EXPECT_NE(message().find("found only tokenizer.model (SentencePiece)"), std::string::npos);
  EXPECT_NE(message().find("save_pretrained('" + folder.string() + "')"), std::string::npos);
}

// ---- tokenizer_config.json

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override { write_text_file(folder_ / "tokenizer.json", file_of("llama3")); }
  std::unique_ptr<Tokenizer> load_with(const json& config) {
    write_text_file(folder_ / "tokenizer_config.json", config.dump());
    return Tokenizer::load(folder_);
  }
  TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path();
};

TEST_F(ConfigTest, AddsTokens) {
  const auto plain = Tokenizer::load(folder_);
  const int32_t size = plain->vocab_size();
  const auto t = load_with(
      {{"added_tokens_decoder",
        {{std::to_string(size + 1), {{"content", "<b>"}, {"special", true}}},
         {std::to_string(size), {{"content", "<a>"}, {"special", false}, {"normalized", false}}}}},
       {"eos_token", {{"content", "<eos>"}, {"lstrip", true}}},
       {"pad_token", "<s>"},
       {"additional_special_tokens", {"<extra>"}},
       {"add_bos_token", false}});
  EXPECT_EQ(t->token_to_id("<a>"), size);
  EXPECT_EQ(t->token_to_id("<b>"), size + 1);
  EXPECT_FALSE(t->is_special(size));
  EXPECT_TRUE(t->is_special(size + 1));
  EXPECT_EQ(t->token_to_id("<eos>"), size + 2);
  EXPECT_EQ(t->token_to_id("<extra>"), size + 3);
  EXPECT_EQ(t->encode("  <eos><b>", false), (std::vector<int32_t>{size + 2, size + 1}));
  // Beside a tokenizer.json the reference ignores add_bos_token.
  EXPECT_EQ(t->encode("", true), plain->encode("", true));
}

// Special tokens of any name, and of the older files when the config lists no added tokens.
TEST_F(ConfigTest, OlderFiles) {
  const int32_t size = Tokenizer::load(folder_)->vocab_size();
  write_text_file(folder_ / "special_tokens_map.json",
                  R"({"eos_token": {"content": "<map>"}, "pad_token": "<pad>"})");
  write_text_file(folder_ / "added_tokens.json", R"({"<late>": 9, "<early>": 8, "<pad>": 7})");
  const json config = {{"eos_token", "<config>"}, {"image_token", "<image>"}};
  const auto old = load_with(config);
  EXPECT_EQ(old->token_to_id("<pad>"), size);
  EXPECT_TRUE(old->is_special(size));
  EXPECT_EQ(old->token_to_id("<early>"), size + 1);
  EXPECT_FALSE(old->is_special(size + 1));
  EXPECT_EQ(old->token_to_id("<late>"), size + 2);
  EXPECT_EQ(old->token_to_id("<map>"), size + 3);
  EXPECT_EQ(old->token_to_id("<image>"), size + 4);
  EXPECT_FALSE(old->token_to_id("<config>"));

  json listed = config;
  listed["added_tokens_decoder"] = {{"9", {{"content", "<config>"}, {"special", false}}}};
  const auto current = load_with(listed);
  EXPECT_EQ(current->token_to_id("<config>"), size);
  EXPECT_TRUE(current->is_special(size));
  EXPECT_FALSE(current->token_to_id("<map>"));
  EXPECT_FALSE(current->token_to_id("<late>"));
  write_text_file(folder_ / "added_tokens.json", "[]");
  EXPECT_THROW(load_with(config), Error);
}

TEST_F(ConfigTest, SplitsSpecialTokens) {
  const auto t = load_with({{"split_special_tokens", true}});
  EXPECT_GT(t->encode("<s>", false).size(), 1u);
}

TEST_F(ConfigTest, BadFilesNameThePlace) {
  EXPECT_THROW(load_with(json::array()), Error);
  EXPECT_THROW(load_with({{"added_tokens_decoder", {{"x", {{"content", "a"}}}}}}), Error);
  write_text_file(folder_ / "tokenizer.json", "{\"model\": 3}");
  try {
    Tokenizer::load(folder_);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("tokenizer.json: [tokenizer] model"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace mica
