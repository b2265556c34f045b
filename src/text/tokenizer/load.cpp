// tokenizer.json and what tokenizer_config.json beside it changes.
#include <algorithm>
#include <map>

#include "base/file.h"
#include "text/tokenizer/load_parts.h"
#include "text/tokenizer/tokenizer_impl.h"

namespace mica {

using tok::AddedToken;
using tok::JsonView;

namespace {

simdjson::dom::element parse(simdjson::dom::parser& parser, std::string_view json) {
  simdjson::dom::element root;
  const simdjson::error_code error =
      parser.parse(simdjson::padded_string(json.data(), json.size())).get(root);
  if (error)
    throw Error(ErrorKind::kCheckpoint,
                "[tokenizer] expected JSON, found an error in {} bytes: {}; is the file complete?",
                json.size(), simdjson::error_message(error));
  return root;
}

// A special token of tokenizer_config.json: a string or an object with the flags of an added token.
std::optional<AddedToken> special_token(const JsonView& json) {
  AddedToken token;
  if (json.is_string())
    token.content = json.string(), token.normalized = false;
  else if (json.is_object() && json.find("content"))
    token = tok::load_added_token(json);
  else
    return std::nullopt;
  token.special = true;
  return token;
}

// added_tokens_decoder in the order of the ids.
std::vector<AddedToken> config_tokens(const JsonView& config) {
  std::vector<AddedToken> tokens;
  if (auto decoder = config.find("added_tokens_decoder")) {
    std::map<int64_t, AddedToken> by_id;
    decoder->each_member([&](std::string_view key, const JsonView& value) {
      int64_t id = 0;
      for (char c : key) {
        if (c < '0' || c > '9' || id >= tok::kMaxTokenId) value.fail("a token id as key");
        id = id * 10 + (c - '0');
      }
      by_id[id] = tok::load_added_token(value);
    });
    for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  }
  return tokens;
}

// bos_token and its like.
std::vector<AddedToken> named_tokens(const JsonView& config) {
  std::vector<AddedToken> tokens;
  const auto add = [&tokens](const JsonView& json) {
    if (auto token = special_token(json)) tokens.push_back(std::move(*token));
  };
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"})
    if (auto value = config.find(name)) add(*value);
  for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
    auto list = config.find(name);
    if (list && list->is_array()) list->each_item(add);
    if (list && list->is_object())
      list->each_member([&](std::string_view, const JsonView& value) { add(value); });
  }
  return tokens;
}

// Other formats of a vocabulary, each with the Python class that turns it into a tokenizer.json.
struct OtherFormat {
  const char *file, *name, *python_class;
};
constexpr OtherFormat kOtherFormats[] = {
    {"tokenizer.model", "SentencePiece", "AutoTokenizer"},
    {"spiece.model", "SentencePiece", "AutoTokenizer"},
    {"tekken.json", "Mistral's tekken", "PreTrainedTokenizerFast"},
    {"tiktoken.model", "tiktoken", "AutoTokenizer"},
    {"vocab.json", "vocabulary and merges", "AutoTokenizer"},
    {"vocab.txt", "WordPiece", "AutoTokenizer"},
};

[[noreturn]] void fail_without_file(const std::filesystem::path& directory) {
  for (const OtherFormat& other : kOtherFormats) {
    if (!std::filesystem::exists(directory / other.file)) continue;
    throw Error(ErrorKind::kCheckpoint,
                "[tokenizer] {}: expected tokenizer.json, found only {} ({}), which is not read. "
                "Copy tokenizer.json from the repository of the original model, or make it: pip "
                "install transformers sentencepiece protobuf tiktoken && python -c \"from "
                "transformers import {} as T; T.from_pretrained('{}').save_pretrained('{}')\"",
                directory.string(), other.file, other.name, other.python_class, directory.string(),
                directory.string());
  }
  throw Error(ErrorKind::kCheckpoint,
              "[tokenizer] {}: expected tokenizer.json, found no file of a tokenizer; is the "
              "checkpoint complete? Copy tokenizer.json from the repository of the original model",
              directory.string());
}

}  // namespace

std::unique_ptr<Tokenizer::Impl> Tokenizer::Impl::from_json(std::string_view text) {
  simdjson::dom::parser parser;
  const JsonView json(parse(parser, text), "");
  if (!json.is_object()) json.fail("an object");
  auto impl = std::make_unique<Impl>();
  impl->model = tok::load_model(json.at("model"));
  if (auto part = json.find("normalizer")) impl->normalizer = tok::load_normalizer(*part);
  if (auto part = json.find("pre_tokenizer")) impl->pre_tokenizer = tok::load_pre_tokenizer(*part);
  if (auto part = json.find("post_processor"))
    impl->post_processor = tok::load_post_processor(*part);
  if (auto part = json.find("decoder")) impl->decoder = tok::load_decoder(*part);
  std::vector<AddedToken> tokens;
  if (auto list = json.find("added_tokens"))
    list->each_item([&](const JsonView& item) { tokens.push_back(tok::load_added_token(item)); });
  impl->added.add(tokens, *impl->model, impl->normalizer.get());
  impl->finish_loading();
  return impl;
}

void Tokenizer::Impl::apply_config(std::string_view text) {
  simdjson::dom::parser parser;
  const JsonView config(parse(parser, text), "tokenizer_config.json");
  if (!config.is_object()) config.fail("an object");
  // add_bos_token and add_eos_token change nothing: beside a tokenizer.json the reference takes
  // the post-processor from that file.
  added.add(config_tokens(config), *model, normalizer.get());
  std::vector<AddedToken> missing;
  for (AddedToken& token : named_tokens(config))
    if (!added.id(token.content)) missing.push_back(std::move(token));
  added.add(missing, *model, normalizer.get());
  if (config.boolean_or("split_special_tokens", false)) added.ignore_special_tokens();
}

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json) {
  return std::unique_ptr<Tokenizer>(new Tokenizer(Impl::from_json(tokenizer_json)));
}

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "tokenizer.json";
  if (!std::filesystem::exists(file)) fail_without_file(directory);
  std::unique_ptr<Impl> impl;
  try {
    impl = Impl::from_json(read_text_file(file));
  } catch (const Error& e) {
    if (std::string_view(e.what()).find(file.string()) != std::string_view::npos) throw;
    throw Error(e.kind(), fmt::format("{}: {}", file.string(), e.what()));
  }
  const std::filesystem::path config = directory / "tokenizer_config.json";
  if (std::filesystem::exists(config)) impl->apply_config(read_text_file(config));
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace mica
