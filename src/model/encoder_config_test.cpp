// config.json of encoders and the files of sentence-transformers beside it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "model/config.h"
#include "model/pooling.h"
#include "temp_folder.h"

namespace mica {
namespace {

std::string bert(const std::string& extra = "", const std::string& type = "bert") {
  return R"({"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128,
             "num_attention_heads": 4, "vocab_size": 99, "model_type": ")" +
         type + "\"" + (extra.empty() ? "" : ", " + extra) + "}";
}

template <typename Parse>
void expect_error(Parse&& parse, const std::string& part) {
  try {
    parse();
    ADD_FAILURE() << "no error; expected one with: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCheckpoint);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(EncoderConfig, DefaultsAreThoseOfTransformers) {
  const ModelConfig config = parse_model_config(R"({"model_type": "bert"})");
  EXPECT_EQ(config.hidden_size, 768);
  EXPECT_EQ(config.num_hidden_layers, 12);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.vocab_size, 30522);
  EXPECT_EQ(config.type_vocab_size, 2);
  EXPECT_EQ(config.max_position_embeddings, 512);
  EXPECT_EQ(config.position_offset, 0);
  EXPECT_FLOAT_EQ(config.layer_norm_eps, 1e-12f);
  EXPECT_EQ(config.activation, Activation::kGelu);
}

TEST(EncoderConfig, PositionsOfRobertaBeginBehindThePadding) {
  const std::string fields = R"("max_position_embeddings": 514, "pad_token_id": 1,
                                "type_vocab_size": 1, "layer_norm_eps": 1e-5)";
  for (const char* type : {"roberta", "xlm-roberta", "camembert"}) {
    const ModelConfig config = parse_model_config(bert(fields, type));
    EXPECT_EQ(config.position_offset, 2);
    EXPECT_EQ(config.max_position_embeddings, 512);
  }
}

TEST(EncoderConfig, WrongValuesAreNamed) {
  const auto fails = [](const std::string& extra, const std::string& part) {
    expect_error([&] { parse_model_config(bert(extra)); }, part);
  };
  fails(R"("hidden_act": "relu")", "key 'hidden_act': expected gelu");
  fails(R"("position_embedding_type": "relative_key")", "position_embedding_type");
  fails(R"("is_decoder": true)", "is_decoder");
  fails(R"("max_position_embeddings": 0)", "max_position_embeddings");
  fails(R"("hidden_size": 66)", "a divisor of hidden_size 66");
  fails(R"("hidden_size": 4)", "heads of an even size");
  expect_error(
      [] {
        parse_model_config(bert(R"("max_position_embeddings": 2, "pad_token_id": 1)", "roberta"));
      },
      "more than 2");
}

TEST(Pooling, ModesOldAndNew) {
  const auto old = [](const std::string& key) {
    return parse_pooling(R"({"word_embedding_dimension": 8, ")" + key + R"(": true,
                             "pooling_mode_max_tokens": false})");
  };
  EXPECT_EQ(old("pooling_mode_mean_tokens"), Pooling::kMean);
  EXPECT_EQ(old("pooling_mode_cls_token"), Pooling::kCls);
  EXPECT_EQ(old("pooling_mode_lasttoken"), Pooling::kLast);
  EXPECT_EQ(parse_pooling(R"({"pooling_mode": "mean"})"), Pooling::kMean);
  EXPECT_EQ(parse_pooling(R"({"pooling_mode": "lasttoken"})"), Pooling::kLast);
  expect_error([&] { old("pooling_mode_mean_sqrt_len_tokens"); }, "found mean_sqrt_len_tokens");
  expect_error([] { parse_pooling(R"({"pooling_mode": "max"})"); }, "found max");
  expect_error([] { parse_pooling("{}"); }, "found nothing");
  expect_error(
      [] {
        parse_pooling(R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})");
      },
      "several");
}

TEST(Pooling, Modules) {
  const std::string transformer = R"({"idx": 0, "path": "", "type": "a.models.Transformer"})";
  const std::string pooling = R"({"idx": 1, "path": "1_Pooling", "type": "a.models.Pooling"})";
  const std::string normalize = R"({"idx": 2, "path": "2_Normalize", "type": "Normalize"})";
  const auto modules = parse_pooling_modules("[" + transformer + "," + pooling + "]");
  EXPECT_EQ(modules.pooling_folder, "1_Pooling");
  EXPECT_FALSE(modules.normalize);
  EXPECT_TRUE(parse_pooling_modules("[" + pooling + "," + normalize + "]").normalize);
  const auto fails = [](const std::string& json, const std::string& part) {
    expect_error([&] { parse_pooling_modules(json); }, part);
  };
  fails(R"([{"path": "3", "type": "x.Dense"}])", "found Dense");
  fails(R"([{"path": "../elsewhere", "type": "Pooling"}])", "the name of a folder");
  fails(R"([{"path": "/etc", "type": "Pooling"}])", "the name of a folder");
  fails(R"([{"path": "", "type": "Pooling"}])", "the name of a folder");
  fails("[3]", "expected objects");
  fails("{}", "a list of modules");
  fails("[", "modules.json");
}

TEST(Pooling, FolderOfSentenceTransformers) {
  const TempFolder folder;
  const auto write = [&](const std::filesystem::path& name, const std::string& text) {
    std::filesystem::create_directories((folder.path() / name).parent_path());
    std::ofstream(folder.path() / name) << text;
  };
  EXPECT_EQ(load_pooling(folder.path(), /*encoder=*/true).pooling, Pooling::kMean);
  EXPECT_EQ(load_pooling(folder.path(), /*encoder=*/false).pooling, Pooling::kLast);
  EXPECT_TRUE(load_pooling(folder.path(), /*encoder=*/true).normalize);
  EXPECT_EQ(load_pooling(folder.path(), /*encoder=*/true).max_tokens, 0);

  write("modules.json", R"([{"path": "", "type": "sentence_transformers.models.Transformer"},
                            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true})");
  write("sentence_bert_config.json", R"({"max_seq_length": 256, "do_lower_case": false})");
  const PoolingConfig config = load_pooling(folder.path(), /*encoder=*/true);
  EXPECT_EQ(config.pooling, Pooling::kCls);
  EXPECT_FALSE(config.normalize);
  EXPECT_EQ(config.max_tokens, 256);
}

}  // namespace
}  // namespace mica
