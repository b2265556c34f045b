#include "bench/load/prompt_maker.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mix.h"

namespace mica {
namespace {

constexpr size_t kWords = 2048;  // enough that texts differ early
constexpr size_t kFewestWords = 16;
constexpr int32_t kAttempts = 24;

// For a server whose tokenizer is not known: short words that most vocabularies have.
const std::vector<std::string>& common_words() {
  static const std::vector<std::string> words = {
      " time",  " people", " water", " house", " light", " paper", " river", " table",
      " music", " story",  " world", " night", " green", " small", " road",  " city",
      " first", " never",  " under", " money", " black", " white", " young", " heart",
      " stone", " north",  " south", " field", " voice", " plant", " child", " three"};
  return words;
}

bool is_word(const std::string& bytes) {
  return bytes.size() >= 4 && bytes.size() <= 12 && bytes[0] == ' ' &&
         std::all_of(bytes.begin() + 1, bytes.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// Words that are one token also between others. Taken from all over the vocabulary.
std::vector<std::string> find_words(const Tokenizer& tokenizer) {
  std::vector<std::string> words;
  const auto size = static_cast<uint64_t>(tokenizer.vocab_size());
  const uint64_t tries = std::min<uint64_t>(size, 65536);
  for (uint64_t i = 0; i < tries && words.size() < kWords; ++i) {
    const auto id = static_cast<int32_t>(i * size / tries);
    if (tokenizer.is_special(id)) continue;
    const std::string bytes = tokenizer.token_bytes(id);
    if (!is_word(bytes)) continue;
    if (tokenizer.encode(" the" + bytes + bytes + " the", false).size() ==
        tokenizer.encode(" the the", false).size() + 2)
      words.push_back(bytes);
  }
  return words;
}

// Those that are one token without the space before them: the first of a text. All, if none is.
std::vector<std::string> find_starts(const Tokenizer& tokenizer,
                                     const std::vector<std::string>& words) {
  std::vector<std::string> starts;
  for (const std::string& word : words)
    if (tokenizer.encode(word.substr(1), false).size() == 1) starts.push_back(word);
  return starts.empty() ? words : starts;
}

// Finds a number of words whose text has `wanted` tokens: each step adds or takes what is missing.
std::string fit(int64_t wanted, int64_t first_guess,
                const std::function<std::string(int64_t)>& make,
                const std::function<int64_t(const std::string&)>& count) {
  int64_t words = std::max<int64_t>(first_guess, 1);
  for (int32_t attempt = 0; attempt < kAttempts; ++attempt) {
    std::string text = make(words);
    const int64_t found = count(text);
    if (found == wanted) return text;
    const int64_t next = words + wanted - found;
    if (next < 1 && words == 1)
      throw Error(ErrorKind::kUsage,
                  "[prompts] expected a prompt of {} tokens; the shortest has {} (the chat "
                  "template's own tokens count)",
                  wanted, found);
    words = std::max<int64_t>(next, 1);
  }
  throw Error(ErrorKind::kUsage, "[prompts] this tokenizer makes no text of exactly {} tokens",
              wanted);
}

}  // namespace

PromptMaker::PromptMaker(const TextModel* text) : text_(text) {
  words_ = text ? find_words(text->tokenizer()) : common_words();
  starts_ = text ? find_starts(text->tokenizer(), words_) : words_;
  if (words_.size() < kFewestWords)
    throw Error(ErrorKind::kUsage,
                "[prompts] expected a vocabulary with at least {} words of lower-case letters, "
                "found {}; give prompts of your own",
                kFewestWords, words_.size());
}

std::string PromptMaker::words(int64_t count, uint64_t key) const {
  std::string text = starts_[random_word(key, 0) % starts_.size()].substr(1);
  for (int64_t i = 1; i < count; ++i)
    text += words_[random_word(key, static_cast<uint64_t>(i)) % words_.size()];
  return text;
}

std::string PromptMaker::text(int64_t tokens, uint64_t key, const std::string& before) const {
  const auto make = [&](int64_t count) { return before + words(count, key); };
  if (!text_) return make(tokens - std::count(before.begin(), before.end(), ' '));
  const auto count = [&](const std::string& text) { return this->tokens(text); };
  return fit(tokens, tokens - count(before), make, count);
}

std::string PromptMaker::user_text(int64_t tokens, uint64_t key, const std::string& system,
                                   const std::string& before) const {
  if (!text_) return text(tokens, key, before);
  return fit(
      tokens, tokens - rendered_tokens(before, system),
      [&](int64_t count) { return before + words(count, key); },
      [&](const std::string& user) { return rendered_tokens(user, system); });
}

int64_t PromptMaker::tokens(const std::string& text) const {
  if (!text_) return 1 + std::ranges::count_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return static_cast<int64_t>(text_->tokenizer().encode(text, false).size());
}

int64_t PromptMaker::rendered_tokens(const std::string& user, const std::string& system) const {
  if (!text_) return -1;
  using Json = nlohmann::ordered_json;
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", user}});
  ChatTemplateOptions options;
  options.add_generation_prompt = true;
  const std::string rendered = text_->render(messages, Json(), Json::object(), options);
  return static_cast<int64_t>(text_->encode_rendered(rendered).size());
}

}  // namespace mica
