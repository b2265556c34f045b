#include "cli/convert/gguf_tokenizer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quote.h"
#include "checkpoint/json_reader.h"
#include "cli/convert/gguf_splits.h"
#include "text/template/chat_template.h"

namespace mica {
namespace {

using nlohmann::json;

// tokenizer.ggml.token_type
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

[[noreturn]] void fail(const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kCheckpoint, "[convert] tokenizer.json: expected {}, found {}", expected,
              found);
}

// tokenizer.json with the parts that are looked at more than once.
class Source {
 public:
  explicit Source(const std::filesystem::path& directory)
      : root_(parse_json_object(read_text_file(directory / "tokenizer.json"), "tokenizer.json")) {
    if (!model().is_object() || !model().contains("vocab")) fail("a model with a vocab", "none");
    if (text(model(), "type", "BPE") != "BPE")
      fail("a tokenizer of type BPE", in_quotes(text(model(), "type", "")));
    if (!model()["vocab"].is_object()) fail("an object as model.vocab", brief(model()["vocab"]));
  }

  const json& root() const { return root_; }
  const json& model() const { return part(root_, "model"); }
  // An empty object where there is none.
  static const json& part(const json& object, const char* key) {
    static const json none = json::object();
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found == object.end() || found->is_null() ? none : *found;
  }
  static std::string text(const json& object, const char* key, const std::string& otherwise) {
    const json& value = part(object, key);
    return value.is_string() ? value.get<std::string>() : otherwise;
  }
  static bool flag(const json& object, const char* key) {
    const json& value = part(object, key);
    return value.is_boolean() && value.get<bool>();
  }

 private:
  json root_;
};

// Tokens by id, as many as the embedding has rows.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::map<std::string, int32_t, std::less<>> ids;

  explicit Vocabulary(size_t size) : tokens(size), types(size, kUnused) {}
  void add(const std::string& token, const json& id, int32_t type) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0) fail("token ids", brief(id));
    const auto index = id.get<size_t>();
    if (index >= tokens.size()) {
      log_warning("{} has the id {}, the embedding {} rows: it is left out", in_quotes(token),
                  index, tokens.size());
      return;
    }
    tokens[index] = token;
    types[index] = type;
    ids[token] = static_cast<int32_t>(index);
  }
};

bool is_byte_token(const std::string& token) {
  return token.size() == 6 && token.rfind("<0x", 0) == 0 && token[5] == '>';
}

Vocabulary read_vocabulary(const Source& source, int64_t size) {
  Vocabulary vocabulary(static_cast<size_t>(size));
  const bool bytes = Source::flag(source.model(), "byte_fallback");
  const std::string unknown = Source::text(source.model(), "unk_token", "");
  for (const auto& [token, id] : source.model()["vocab"].items())
    vocabulary.add(token, id,
                   bytes && is_byte_token(token)          ? kByte
                   : !unknown.empty() && token == unknown ? kUnknown
                                                          : kNormal);
  for (const json& added : Source::part(source.root(), "added_tokens")) {
    const std::string token = Source::text(added, "content", "");
    if (token.empty() || (bytes && token == unknown)) continue;
    vocabulary.add(token, Source::part(added, "id"),
                   Source::flag(added, "special") ? kControl : kUserDefined);
  }
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i)
    if (vocabulary.tokens[i].empty()) vocabulary.tokens[i] = fmt::format("[PAD{}]", i);
  return vocabulary;
}

// "a b" or ["a", "b"].
std::pair<std::string, std::string> split_merge(const json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  const std::string text = merge.is_string() ? merge.get<std::string>() : "";
  const size_t blank = text.find(' ', 1);
  if (blank == text.npos) fail("a pair in each of model.merges", brief(merge));
  return {text.substr(0, blank), text.substr(blank + 1)};
}

std::vector<std::pair<std::string, std::string>> read_merges(const Source& source) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const json& merge : Source::part(source.model(), "merges"))
    merges.push_back(split_merge(merge));
  return merges;
}

// llama.cpp changes no text before it is split; NFC hardly ever does.
void warn_of_normalizer(const Source& source) {
  const json& normalizer = Source::part(source.root(), "normalizer");
  const std::string type = Source::text(normalizer, "type", "");
  if (!normalizer.empty() && type != "NFC")
    log_warning("tokenizer.json: llama.cpp has no normalizer {}: texts may get other tokens",
                in_quotes(type));
}

// A byte-level vocabulary, whose merges are kept.
void add_byte_level(const Source& source, const std::string& pre, GgufMetadata& keys) {
  warn_of_normalizer(source);
  keys.emplace_back("tokenizer.ggml.model", gguf_string("gpt2"));
  keys.emplace_back("tokenizer.ggml.pre",
                    gguf_string(pre.empty() ? gguf_split_name(source.root()) : pre));
  std::vector<std::string> merges;
  for (const auto& [left, right] : read_merges(source)) merges.push_back(left + " " + right);
  keys.emplace_back("tokenizer.ggml.merges", gguf_strings(std::move(merges)));
}

// Whether the normalizer puts a blank before the text.
bool adds_space(const Source& source) {
  const json& normalizer = Source::part(source.root(), "normalizer");
  const json& splitter = Source::part(source.root(), "pre_tokenizer");
  if (Source::text(splitter, "type", "") == "Metaspace")
    return Source::text(splitter, "prepend_scheme", "always") != "never" &&
           !(splitter.contains("add_prefix_space") && !Source::flag(splitter, "add_prefix_space"));
  const auto prepends = [](const json& part) {
    return Source::text(part, "type", "") == "Prepend";
  };
  const json& parts = Source::part(normalizer, "normalizers");
  return prepends(normalizer) || std::any_of(parts.begin(), parts.end(), prepends);
}

// llama.cpp merges the pair whose token has the highest score: the earlier the merge, the higher.
void add_byte_fallback(const Source& source, const Vocabulary& vocabulary, GgufMetadata& keys) {
  keys.emplace_back("tokenizer.ggml.model", gguf_string("llama"));
  keys.emplace_back("tokenizer.ggml.pre", gguf_string("default"));
  std::vector<float> scores(vocabulary.tokens.size(), -1e6f);
  float score = 0;
  for (const auto& [left, right] : read_merges(source)) {
    const auto merged = vocabulary.ids.find(left + right);
    score -= 1;
    if (merged == vocabulary.ids.end()) continue;
    float& known = scores[static_cast<size_t>(merged->second)];
    known = std::max(known, score);
  }
  keys.emplace_back("tokenizer.ggml.scores", gguf_f32s(scores));
  keys.emplace_back("tokenizer.ggml.add_space_prefix", gguf_bool(adds_space(source)));
}

// Whether the post-processor puts this token before (after) a text.
bool post_processor_adds(const json& processor, const std::string& token, bool before) {
  const auto is_token = [&](const json& piece) {
    return Source::text(Source::part(piece, "SpecialToken"), "id", "") == token;
  };
  const json& single = Source::part(processor, "single");
  if (single.is_array() && !single.empty() && is_token(before ? single.front() : single.back()))
    return true;
  const json& parts = Source::part(processor, "processors");
  return std::any_of(parts.begin(), parts.end(),
                     [&](const json& part) { return post_processor_adds(part, token, before); });
}

void add_special_ids(const Source& source, const Vocabulary& vocabulary, const ModelConfig& config,
                     const nlohmann::ordered_json& named, GgufMetadata& keys) {
  const auto id_of = [&](const char* name) -> std::optional<int32_t> {
    const auto found = vocabulary.ids.find(named.value(name, ""));
    return found == vocabulary.ids.end() ? std::nullopt : std::optional(found->second);
  };
  const auto add = [&](const char* key, int32_t id) {
    keys.emplace_back(fmt::format("tokenizer.ggml.{}_token_id", key),
                      gguf_u32(static_cast<uint64_t>(id)));
  };
  std::vector<int32_t> ends = config.eos_token_ids;
  if (const auto eos = id_of("eos_token")) {
    ends.erase(std::remove(ends.begin(), ends.end(), *eos), ends.end());
    ends.insert(ends.begin(), *eos);
  }
  if (!ends.empty()) add("eos", ends[0]);
  if (ends.size() > 1) add("eot", ends[1]);
  if (const auto bos = id_of("bos_token")) add("bos", *bos);
  if (const auto pad = id_of("pad_token")) add("padding", *pad);
  if (const auto unknown = id_of("unk_token")) add("unknown", *unknown);
  const json& processor = Source::part(source.root(), "post_processor");
  for (const bool before : {true, false}) {
    const std::string token = named.value(before ? "bos_token" : "eos_token", "");
    keys.emplace_back(before ? "tokenizer.ggml.add_bos_token" : "tokenizer.ggml.add_eos_token",
                      gguf_bool(!token.empty() && post_processor_adds(processor, token, before)));
  }
}

}  // namespace

GgufMetadata gguf_tokenizer_metadata(const std::filesystem::path& directory,
                                     const ModelConfig& config, const std::string& pre) {
  std::error_code failed;
  if (!std::filesystem::exists(directory / "tokenizer.json", failed)) {
    log_warning("no tokenizer.json: the GGUF file will take token ids only");
    return {{"tokenizer.ggml.model", gguf_string("none")}};
  }
  const Source source(directory);
  Vocabulary vocabulary = read_vocabulary(source, config.vocab_size);
  GgufMetadata keys;
  if (Source::flag(source.model(), "byte_fallback"))
    add_byte_fallback(source, vocabulary, keys);
  else
    add_byte_level(source, pre, keys);
  const nlohmann::ordered_json named = ChatTemplate::special_tokens(directory);
  add_special_ids(source, vocabulary, config, named, keys);
  keys.emplace_back("tokenizer.ggml.tokens", gguf_strings(std::move(vocabulary.tokens)));
  keys.emplace_back("tokenizer.ggml.token_type", gguf_i32s(vocabulary.types));
  if (const auto chat = ChatTemplate::load(directory, named); chat && !chat->source().empty())
    keys.emplace_back("tokenizer.chat_template", gguf_string(std::string(chat->source())));
  return keys;
}

}  // namespace mica
