// The tokens that the files beside a tokenizer.json add or make special: tokenizer_config.json and,
// where that does not list its added tokens, the older special_tokens_map.json and
// added_tokens.json. As transformers' generic tokenizer does it.
#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "text/tokenizer/load_parts.h"
#include "text/tokenizer/tokenizer_impl.h"

namespace mica {
namespace {

using tok::AddedToken;
using tok::JsonView;

constexpr const char* kStandardNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                          "pad_token", "cls_token", "mask_token"};
constexpr const char* kNamedLists[] = {"additional_special_tokens", "extra_special_tokens"};

// A string, or an object with the flags of an added token.
std::optional<AddedToken> read_token(const JsonView& json) {
  AddedToken token;
  if (json.is_string()) {
    token.content = json.string();
    token.normalized = false;
    token.special = true;
  } else if (json.is_object() && json.find("content")) {
    token = tok::load_added_token(json);
  } else {
    return std::nullopt;
  }
  return token;
}

// A file of the folder with an object, or nothing.
class ConfigFile {
 public:
  ConfigFile(const std::filesystem::path& directory, const char* name) : name_(name) {
    if (!std::filesystem::exists(directory / name)) return;
    root_.emplace(tok::parse_json(parser_, read_text_file(directory / name)), name);
    if (!root_->is_object()) root_->fail("an object");
  }
  explicit operator bool() const { return root_.has_value(); }
  const JsonView* operator->() const { return &*root_; }

 private:
  std::string name_;
  simdjson::dom::parser parser_;
  std::optional<JsonView> root_;
};

class TokensToAdd {
 public:
  explicit TokensToAdd(const std::filesystem::path& directory)
      : config_(directory, "tokenizer_config.json") {
    if (!config_) return;
    read_config();
    simdjson::dom::element list;
    const bool has_list =
        config_->element().at_key("added_tokens_decoder").get(list) == simdjson::SUCCESS;
    if (has_list) return;
    read_map(ConfigFile(directory, "special_tokens_map.json"));
    read_added(ConfigFile(directory, "added_tokens.json"));
    keeps_own_ = true;
  }

  // `own` are those of tokenizer.json.
  std::vector<AddedToken> all(const std::map<int32_t, AddedToken>& own) const {
    std::map<int64_t, AddedToken> by_id = by_id_;
    auto named = named_;
    std::stable_sort(named.begin(), named.end(),
                     [](const auto& a, const auto& b) { return rank(a.first) < rank(b.first); });
    std::set<std::string> names, known;
    for (const auto& [name, token] : named) names.insert(token.content);
    for (const auto& [id, token] : own) {
      known.insert(token.content);
      if (keeps_own_) by_id[id] = token;
    }
    std::vector<AddedToken> tokens;
    const auto add = [&](AddedToken token) {
      token.special = token.special || names.contains(token.content);
      known.insert(token.content);
      tokens.push_back(std::move(token));
    };
    for (const auto& [id, token] : by_id) add(token);
    for (const auto& [name, token] : named)
      if (!known.contains(token.content)) add(token);
    for (const AddedToken& token : further_)
      if (!known.contains(token.content)) add(token);
    return tokens;
  }

  bool splits_special_tokens() const {
    return config_ && config_->boolean_or("split_special_tokens", false);
  }

 private:
  void name(std::string_view name, const JsonView& value) {
    const auto token = read_token(value);
    if (!token) return;
    const auto known = std::find_if(named_.begin(), named_.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (known != named_.end())
      known->second = *token;
    else
      named_.emplace_back(name, *token);
  }

  // The standard names come first, in their order.
  static size_t rank(std::string_view name) {
    return static_cast<size_t>(
        std::find(std::begin(kStandardNames), std::end(kStandardNames), name) -
        std::begin(kStandardNames));
  }

  void read_config() {
    config_->each_member([&](std::string_view key, const JsonView& value) {
      if (key.ends_with("_token")) name(key, value);
    });
    for (const char* key : kNamedLists) {
      const auto list = config_->find(key);
      if (list && list->is_array())
        list->each_item([&](const JsonView& item) {
          if (auto token = read_token(item)) further_.push_back(std::move(*token));
        });
      if (list && list->is_object())
        list->each_member(
            [&](std::string_view token_name, const JsonView& value) { name(token_name, value); });
    }
    if (auto decoder = config_->find("added_tokens_decoder"))
      decoder->each_member([&](std::string_view key, const JsonView& value) {
        int64_t id = 0;
        for (char c : key) {
          if (c < '0' || c > '9' || id >= tok::kMaxTokenId) value.fail("a token id as key");
          id = id * 10 + (c - '0');
        }
        by_id_[id] = tok::load_added_token(value);
      });
  }

  void read_map(const ConfigFile& map) {
    if (!map) return;
    map->each_member([&](std::string_view key, const JsonView& value) {
      if (key.ends_with("_token")) name(key, value);
    });
  }

  // {"token": id, …}; the ids give the order only.
  void read_added(const ConfigFile& added) {
    if (!added) return;
    std::set<std::string_view> special;
    for (const auto& [key, token] : named_) {
      if (rank(key) < std::size(kStandardNames)) special.insert(token.content);
    }
    for (const AddedToken& token : further_) special.insert(token.content);
    added->each_member([&](std::string_view content, const JsonView& id) {
      AddedToken token;
      token.content = content;
      token.special = special.contains(content);
      token.normalized = !token.special;
      by_id_[id.integer(tok::kMaxTokenId)] = std::move(token);
    });
  }

  ConfigFile config_;
  std::vector<std::pair<std::string, AddedToken>> named_;
  std::vector<AddedToken> further_;
  std::map<int64_t, AddedToken> by_id_;
  bool keeps_own_ = false;
};

}  // namespace

void Tokenizer::Impl::apply_config(const std::filesystem::path& directory) {
  // add_bos_token and add_eos_token change nothing: beside a tokenizer.json the reference takes
  // the post-processor from that file.
  const TokensToAdd tokens(directory);
  added.add(tokens.all(added.tokens()), *model, normalizer.get());
  if (tokens.splits_special_tokens()) added.ignore_special_tokens();
}

}  // namespace mica
