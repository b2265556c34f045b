// Text to token ids and back, as the `tokenizers` library does it for the same tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

class Tokenizer {
 public:
  // Reads DIR/tokenizer.json and what the files beside it change: added tokens, named special
  // tokens, split_special_tokens of tokenizer_config.json, or the older special_tokens_map.json and
  // added_tokens.json. (Beside a tokenizer.json the reference takes no notice of add_bos_token and
  // add_eos_token.) Throws Error(kCheckpoint) with the place.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& directory);
  static std::unique_ptr<Tokenizer> from_json(std::string_view tokenizer_json);
  ~Tokenizer();

  // Thread-safe, like all that follows. `text` may hold broken UTF-8: each maximal bad subpart
  // reads as U+FFFD. Special tokens written in the text become their ids. `add_special_tokens` adds
  // those of the post-processor (<s> and the like). Throws Error(kCheckpoint) when the text has an
  // unknown character and the vocabulary no unknown token, Error(kUsage) above 2 GB.
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens) const;
  // Unknown ids are skipped. May hold U+FFFD where bytes are no UTF-8.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  int32_t vocab_size() const;  // largest id + 1
  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::string_view id_to_token(int32_t id) const;  // "" when unknown
  bool is_special(int32_t id) const;
  // The bytes that the token stands for inside a text (logprobs, grammars); "" when unknown.
  std::string token_bytes(int32_t id) const;

 private:
  friend class StreamingDetokenizer;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Decodes token by token. The pieces put together are exactly decode() of the whole sequence: a
// piece never ends inside a character, and holds only what no later token can change.
class StreamingDetokenizer {
 public:
  // `tokenizer` must outlive this.
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  StreamingDetokenizer(StreamingDetokenizer&&) noexcept;
  StreamingDetokenizer& operator=(StreamingDetokenizer&&) noexcept;
  ~StreamingDetokenizer();
  std::string add(int32_t id);  // text that is complete now, maybe ""
  std::string finish();         // what is left (U+FFFD for a half character)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mica
