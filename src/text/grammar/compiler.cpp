#include <list>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "text/grammar/compiled.h"
#include "text/grammar/gbnf.h"
#include "text/grammar/grammar.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/regex.h"

namespace mica {
namespace {

using grammar::Grammar;

constexpr size_t kMaxChoices = 200'000;

Grammar make_choice(const std::vector<std::string>& choices) {
  if (choices.empty() || choices.size() > kMaxChoices)
    throw Error(ErrorKind::kUsage, "[choice] expected 1 to {} choices, found {}", kMaxChoices,
                choices.size());
  Grammar out;
  out.source = "[choice]";
  std::vector<grammar::ExprId> texts;
  for (size_t i = 0; i < choices.size(); i++) {
    std::vector<uint32_t> characters;
    if (!grammar::decode_utf8(choices[i], characters))
      throw Error(ErrorKind::kUsage, "[choice] choice {}: not UTF-8", i);
    texts.push_back(out.bytes(choices[i]));
  }
  out.root = out.add_rule("root", out.choice(std::move(texts)));
  return out;
}

Grammar make_regex(const std::string& pattern) {
  Grammar out;
  out.source = "[regex]";
  out.root = out.add_rule("root", grammar::parse_regex(out, pattern, false, "[regex]"));
  return out;
}

Grammar make_object(bool any_whitespace) {
  Grammar out;
  out.source = "[json object]";
  grammar::JsonText json(out, any_whitespace);
  out.root = out.add_rule("root", json.any_object());
  return out;
}

Grammar parse(const GrammarSpec& spec, const TokenVocabulary& vocabulary) {
  switch (spec.kind) {
    case GrammarSpec::Kind::kJsonSchema:
      return grammar::parse_json_schema(spec.text, {spec.any_whitespace, spec.open_objects});
    case GrammarSpec::Kind::kJsonObject: return make_object(spec.any_whitespace);
    case GrammarSpec::Kind::kRegex: return make_regex(spec.text);
    case GrammarSpec::Kind::kChoice: return make_choice(spec.choices);
    case GrammarSpec::Kind::kGrammar:
      return grammar::parse_gbnf(spec.text, {&vocabulary, spec.any_whitespace, spec.open_objects});
  }
  throw Error(ErrorKind::kUsage, "[grammar] unknown kind");
}

// Everything of a spec that decides the grammar, unambiguous.
std::string key_of(const GrammarSpec& spec) {
  std::string key{static_cast<char>('0' + static_cast<int>(spec.kind)),
                  spec.any_whitespace ? 'w' : 'c', spec.open_objects ? 'o' : 's'};
  if (spec.kind == GrammarSpec::Kind::kChoice)
    for (const std::string& choice : spec.choices) key += std::to_string(choice.size()) + ":" + choice;
  else if (spec.kind != GrammarSpec::Kind::kJsonObject)
    key += spec.text;
  return key;
}

}  // namespace

struct GrammarCompiler::Impl {
  struct Entry {
    std::string key;
    std::shared_ptr<const CompiledGrammar> grammar;
  };
  std::shared_ptr<const TokenVocabulary> vocabulary;
  size_t cache_bytes;
  std::mutex mutex;
  std::list<Entry> entries;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> index;

  // Grammars grow with the masks that they remember, so all are summed anew. The newest stays.
  void evict() {
    size_t total = 0;
    for (auto it = entries.begin(); it != entries.end();) {
      total += it->grammar->memory() + 2 * it->key.size();
      if (total <= cache_bytes || it == entries.begin()) {
        ++it;
        continue;
      }
      index.erase(it->key);
      it = entries.erase(it);
    }
  }
};

GrammarCompiler::GrammarCompiler(std::shared_ptr<const TokenVocabulary> vocabulary,
                                 size_t cache_bytes)
    : impl_(std::make_unique<Impl>()) {
  MICA_CHECK(vocabulary != nullptr);
  impl_->vocabulary = std::move(vocabulary);
  impl_->cache_bytes = cache_bytes;
}

GrammarCompiler::~GrammarCompiler() = default;

// Compiled outside the lock: two threads may compile the same once each, none waits for another.
std::shared_ptr<const CompiledGrammar> GrammarCompiler::compile(const GrammarSpec& spec) {
  const std::string key = key_of(spec);
  {
    const std::lock_guard lock(impl_->mutex);
    const auto it = impl_->index.find(key);
    if (it != impl_->index.end()) {
      impl_->entries.splice(impl_->entries.begin(), impl_->entries, it->second);
      return it->second->grammar;
    }
  }
  auto compiled =
      std::make_shared<const CompiledGrammar>(parse(spec, *impl_->vocabulary), impl_->vocabulary);
  const std::lock_guard lock(impl_->mutex);
  const auto it = impl_->index.find(key);
  if (it != impl_->index.end()) return it->second->grammar;
  impl_->entries.push_front({key, std::move(compiled)});
  impl_->index[key] = impl_->entries.begin();
  auto out = impl_->entries.front().grammar;
  impl_->evict();
  return out;
}

size_t GrammarCompiler::cached_grammars() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->entries.size();
}

}  // namespace mica
