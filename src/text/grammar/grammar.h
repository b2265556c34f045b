// Structured output: which tokens may come next so that the text follows a JSON schema, a regular
// expression, a list of choices or a grammar (docs/structured-output.md).
//
//   auto vocabulary = std::make_shared<TokenVocabulary>(bytes, end_ids, special);  // per model
//   GrammarCompiler compiler(vocabulary);                                          // per model
//   GrammarMatcher matcher(compiler.compile({GrammarSpec::Kind::kJsonSchema, schema}));
//   matcher.mask(allowed); matcher.accept(token);                                  // per step
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// What of a tokenizer a grammar needs; made once per model, shared. Tokens with `special` set (and
// tokens without bytes) are allowed only where a grammar names them: `<text>` of GBNF.
class TokenVocabulary {
 public:
  // token_bytes[id]: what the token adds to the text, parts of UTF-8 characters included; of a
  // special token its name ("<tool_call>"). Ids outside are ignored in `end_ids`; `special` may be
  // shorter than the tokens (the rest is not special).
  TokenVocabulary(std::vector<std::string> token_bytes, std::vector<int32_t> end_ids,
                  std::vector<bool> special);
  ~TokenVocabulary();
  TokenVocabulary(const TokenVocabulary&) = delete;
  TokenVocabulary& operator=(const TokenVocabulary&) = delete;

  int32_t size() const;       // V
  size_t mask_words() const;  // (V + 31) / 32
  bool is_end(int32_t token) const;
  const std::vector<int32_t>& end_ids() const;
  std::string_view bytes(int32_t token) const;  // as given

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

struct GrammarSpec {
  enum class Kind : uint8_t {
    kJsonSchema,  // text: the schema
    kJsonObject,  // any JSON object; text is not read
    kRegex,       // text: an ECMAScript-like expression that the whole text matches
    kChoice,      // one of `choices`, literally
    kGrammar,     // text: GBNF, see below
  };
  Kind kind = Kind::kJsonObject;
  std::string text;
  std::vector<std::string> choices;
  bool any_whitespace = true;  // JSON: false: none at all; true: as formatters write it, bounded
  // JSON schema: what an object that lists `properties` and is silent about additionalProperties
  // allows beside them: false: nothing (what callers of strict mode mean), true: anything (the
  // letter of the standard).
  bool open_objects = false;
};

class CompiledGrammar;  // immutable to its users, shared between requests and threads

// Thread-safe, cached by content: least recently used first out when all take over `cache_bytes`.
class GrammarCompiler {
 public:
  explicit GrammarCompiler(std::shared_ptr<const TokenVocabulary> vocabulary,
                           size_t cache_bytes = size_t{256} << 20);
  ~GrammarCompiler();

  // Throws Error(kUsage) naming the place in the schema or grammar and what is not supported.
  std::shared_ptr<const CompiledGrammar> compile(const GrammarSpec& spec);
  size_t cached_grammars() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Follows one text. Copying is cheap (states are shared and persistent); one matcher is for one
// thread at a time, copies are independent.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar);
  GrammarMatcher(const GrammarMatcher& other);
  GrammarMatcher(GrammarMatcher&& other) noexcept;
  GrammarMatcher& operator=(GrammarMatcher other) noexcept;
  ~GrammarMatcher();

  // False and unchanged when not allowed; end ids are accepted where the text may end, and after
  // one nothing is. Throws Error(kUsage) when the grammar is too ambiguous to follow.
  bool accept(int32_t token);
  bool accept_text(std::string_view bytes);  // counts as one token for rollback
  // Overwrites `allowed` (mask_words() words): bit t % 32 of word t / 32 for each allowed token t.
  // End ids are allowed exactly where the text may end; no other special token unless named. Throws
  // Error(kUsage) when no token is possible (the vocabulary lacks bytes that the grammar needs).
  void mask(std::span<uint32_t> allowed);
  bool can_end() const;
  bool ended() const;             // an end id was accepted
  bool must_end() const;          // nothing but an end id is possible
  void rollback(int32_t tokens);  // takes back the last accepts; at most tokens_accepted()
  int32_t tokens_accepted() const;
  std::string forced() const;  // bytes that are certain to follow (jump-forward), "" if none

 private:
  struct Step;
  std::shared_ptr<const CompiledGrammar> grammar_;
  std::shared_ptr<const Step> last_;
};

// GBNF is that of llama.cpp's documentation, with `root` as the first symbol, and these more:
//   %json_schema{…}     a value that follows the JSON schema between (and with) the braces
//   %json_object        any JSON object
//   %regex"…"           text that matches the expression (string escapes of GBNF apply first)
//   <text>  <[id]>  %token"text"   exactly one token: the special token of that text or id; where
//   the
//                       vocabulary has no such special token, the text itself (`<[id]>`: an error)
// so that a tool-call grammar can embed the argument schemas of its tools:
//   root ::= <tool_call> "\n{\"name\": \"f\", \"arguments\": " %json_schema{"type":"object"} "}\n"
// These two write the parts of such a text from strings that may hold anything:
std::string gbnf_literal(std::string_view text);        // a quoted literal with escapes
std::string gbnf_json_schema(std::string_view schema);  // %json_schema…; throws if not an object
std::string gbnf_token(std::string_view text);          // %token"…"

}  // namespace mica
