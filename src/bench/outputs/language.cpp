#include "bench/outputs/language.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "bench/outputs/language_data.h"
#include "text/template/unicode.h"
#include "text/tokenizer/unicode.h"

namespace mica {
namespace {

// A language is told by its words when at least so many are frequent ones.
constexpr double kLeastShare = 0.08;
constexpr size_t kLeastHits = 2;

struct Language {
  const LanguageData* data;
  std::unordered_set<std::string> words;
};

std::vector<Language> make_languages() {
  std::vector<Language> languages;
  for (const LanguageData& data : language_data()) {
    Language& language = languages.emplace_back(Language{&data, {}});
    const std::string_view words = data.words;
    for (size_t at = 0; at < words.size();) {
      const size_t end = std::min(words.find(' ', at), words.size());
      language.words.emplace(words.substr(at, end - at));
      at = end + 1;
    }
  }
  return languages;
}

const std::vector<Language>& languages() {
  static const std::vector<Language> kLanguages = make_languages();
  return kLanguages;
}

struct Script {
  std::string name;
  const RangeSet* set;
};

std::vector<Script> make_scripts() {
  std::set<std::string> names = {"Katakana"};
  for (const LanguageData& data : language_data()) names.insert(data.script);
  std::vector<Script> scripts;
  for (const std::string& name : names) {
    const RangeSet* set = tok::property_set(name);
    MICA_CHECK_MSG(set, "{}", name);
    scripts.push_back({name, set});
  }
  return scripts;
}

// The script's name, or empty.
std::string_view script_of(char32_t c) {
  static const std::vector<Script> kScripts = make_scripts();
  static const Script* latin =
      &*std::find_if(kScripts.begin(), kScripts.end(),
                     [](const Script& script) { return script.name == "Latin"; });
  if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z' ? std::string_view(latin->name) : "";
  for (const Script& script : kScripts)
    if (script.set->contains(c)) return script.name;
  return "";
}

struct Letters {
  std::map<std::string_view, size_t> of;  // by script
  std::vector<std::string> words;         // lower case
};

Letters letters_of(std::string_view text) {
  Letters letters;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) letters.words.push_back(jinja::to_lower(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const char32_t c = jinja::next_code_point(text, at);
    if (!tok::is_rust_word(c)) {
      end_word();
      continue;
    }
    append_utf8(word, c);
    if (const std::string_view script = script_of(c); !script.empty()) ++letters.of[script];
  }
  end_word();
  return letters;
}

// That of most letters; Japanese is known by its kana, which stand between Chinese characters.
std::string_view main_script(const Letters& letters) {
  std::string_view most;
  size_t count = 0, all = 0, kana = 0;
  for (const auto& [script, n] : letters.of) {
    all += n;
    if (script == "Hiragana" || script == "Katakana") kana += n;
    if (n > count) most = script, count = n;
  }
  if (kana > 0 && kana * 10 > all && most != "Latin") return "Hiragana";
  return most == "Katakana" ? "Hiragana" : most;
}

std::optional<std::string> language_of(const Letters& letters) {
  const std::string_view script = main_script(letters);
  if (script.empty()) return std::nullopt;
  const Language* best = nullptr;
  size_t best_hits = 0;
  for (const Language& language : languages()) {
    if (script != language.data->script) continue;
    if (language.words.empty()) return language.data->code;
    const size_t hits = static_cast<size_t>(
        std::count_if(letters.words.begin(), letters.words.end(),
                      [&](const std::string& word) { return language.words.contains(word); }));
    if (hits > best_hits) best = &language, best_hits = hits;
  }
  const double share = static_cast<double>(best_hits) /
                       static_cast<double>(std::max<size_t>(letters.words.size(), 1));
  if (best_hits < kLeastHits || share < kLeastShare) return std::nullopt;
  return best->data->code;
}

const LanguageData* find_language(std::string_view code) {
  for (const LanguageData& data : language_data())
    if (code == data.code) return &data;
  return nullptr;
}

}  // namespace

std::vector<std::string> known_languages() {
  std::vector<std::string> codes;
  for (const LanguageData& data : language_data()) codes.emplace_back(data.code);
  std::sort(codes.begin(), codes.end());
  return codes;
}

bool is_known_language(std::string_view code) {
  return find_language(code) != nullptr;
}

std::optional<std::string> detect_language(std::string_view text) {
  return language_of(letters_of(text));
}

bool may_be_language(std::string_view text, std::string_view code) {
  const LanguageData* wanted = find_language(code);
  MICA_CHECK(wanted);
  const Letters letters = letters_of(text);
  const auto found = language_of(letters);
  return found ? *found == code : main_script(letters) == wanted->script;
}

}  // namespace mica
