// tokenizer.json; what the files beside it change is in load_config.cpp.
#include "base/file.h"
#include "text/tokenizer/load_parts.h"
#include "text/tokenizer/tokenizer_impl.h"

namespace mica {

using tok::AddedToken;
using tok::JsonView;

simdjson::dom::element tok::parse_json(simdjson::dom::parser& parser, std::string_view json) {
  simdjson::dom::element root;
  const simdjson::error_code error =
      parser.parse(simdjson::padded_string(json.data(), json.size())).get(root);
  if (error)
    throw Error(ErrorKind::kCheckpoint,
                "[tokenizer] expected JSON, found an error in {} bytes: {}; is the file complete?",
                json.size(), simdjson::error_message(error));
  return root;
}

namespace {

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
  const JsonView json(tok::parse_json(parser, text), "");
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
  impl->apply_config(directory);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace mica
