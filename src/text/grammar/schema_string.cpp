// Strings: lengths, patterns and formats.
#include <algorithm>

#include "base/error.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

// Lengths beside a pattern; a larger maxLength means this.
constexpr int64_t kMaxPatternLength = 1000;
constexpr int64_t kEndless = int64_t{1} << 40;  // of Lengths::most

// Characters of the texts of an expression.
struct Lengths {
  int64_t least = 0, most = kEndless;
};

Lengths lengths_of(const Grammar& characters, ExprId id) {
  const Expr& expr = characters.exprs[static_cast<size_t>(id)];
  switch (expr.kind) {
    case ExprKind::kClass: return {1, 1};
    case ExprKind::kSequence: {
      Lengths sum{0, 0};
      for (const ExprId child : expr.children) {
        const Lengths part = lengths_of(characters, child);
        sum.least = std::min(sum.least + part.least, kEndless);
        sum.most = std::min(sum.most + part.most, kEndless);
      }
      return sum;
    }
    case ExprKind::kChoice: {
      Lengths any{kEndless, 0};
      for (const ExprId child : expr.children) {
        const Lengths part = lengths_of(characters, child);
        any.least = std::min(any.least, part.least);
        any.most = std::max(any.most, part.most);
      }
      return any;
    }
    case ExprKind::kRepeat: {
      const Lengths part = lengths_of(characters, expr.children[0]);
      const int64_t most =
          expr.max == kNoMaximum ? kEndless : std::min(part.most * expr.max, kEndless);
      return {std::min(part.least * expr.min, kEndless), part.most == 0 ? 0 : most};
    }
    default: return {};
  }
}

}  // namespace

struct SchemaCompiler::StringParts {
  std::vector<CharTerm> terms;  // patterns and formats
  int64_t min = 0, max = kNoMaximum;
};

ExprId SchemaCompiler::pattern(Grammar& characters, const Json& schema, const std::string& text) {
  const auto it = pointers_.find(&schema);
  return parse_regex(characters, text, true,
                     "[json schema] #" + (it == pointers_.end() ? "" : it->second));
}

const CharDfa& SchemaCompiler::pattern_dfa(const Json& schema, const std::string& text,
                                           bool search) {
  const auto it = dfas_.find((search ? "s" : "w") + text);
  if (it != dfas_.end()) return it->second;
  Grammar characters;
  const std::string place = "[json schema] #" + pointers_[&schema];
  const ExprId expr = parse_regex(characters, text, search, place);
  return dfas_[(search ? "s" : "w") + text] = intersect(characters, {{expr, false}}, place);
}

SchemaCompiler::StringParts SchemaCompiler::string_parts(const Flat& flat, Grammar& characters) {
  StringParts parts;
  for (const Json* schema : flat.schemas) {
    if (keyword(*schema, "minLength")) parts.min = std::max(parts.min, count(*schema, "minLength"));
    if (keyword(*schema, "maxLength")) {
      const int64_t max = count(*schema, "maxLength");
      parts.max = parts.max == kNoMaximum ? max : std::min(parts.max, max);
    }
    if (parts.min > kMaxCount)
      fail(*schema, "minLength", fmt::format("more than {} is not supported", kMaxCount));
    if (const Json* text = keyword(*schema, "pattern")) {
      if (!text->is_string()) fail(*schema, "pattern", "expected a regular expression");
      parts.terms.push_back({pattern(characters, *schema, text->get<std::string>())});
    }
    const Json* format = keyword(*schema, "format");
    if (!format) continue;
    const char* known = format->is_string() ? format_pattern(format->get<std::string>()) : nullptr;
    // Formats of numbers say nothing about strings.
    if (!known && !(types_of(*schema) & kString)) continue;
    if (!known) fail(*schema, "format", "the format " + format->dump() + " is not supported");
    parts.terms.push_back({parse_regex(characters, known, false, "[json schema] format")});
  }
  // Limits that a pattern keeps by itself cost no counting.
  for (const CharTerm& term : parts.terms) {
    const Lengths lengths = lengths_of(characters, term.expr);
    if (lengths.least >= parts.min) parts.min = 0;
    if (parts.max != kNoMaximum && lengths.most <= parts.max) parts.max = kNoMaximum;
  }
  return parts;
}

std::vector<CharTerm> SchemaCompiler::string_terms(const Flat& flat, Grammar& characters) {
  StringParts parts = string_parts(flat, characters);
  if (has_values(flat)) {
    std::vector<ExprId> texts;
    for (const Json& value : values(flat)) {
      if (!value.is_string()) continue;
      std::vector<uint32_t> text;
      decode_utf8(value.get_ref<const std::string&>(), text);
      std::vector<ExprId> letters;
      for (const uint32_t c : text) letters.push_back(characters.one_of(CodePoints::single(c)));
      texts.push_back(characters.sequence(std::move(letters)));
    }
    return {{characters.choice(std::move(texts))}};
  }
  const int64_t max = parts.max == kNoMaximum
                          ? kNoMaximum
                          : std::min(parts.max, std::max(kMaxPatternLength, parts.min));
  if (max != kNoMaximum && max < parts.min) return {{characters.nothing()}};
  if (parts.min > 0 || max != kNoMaximum)
    parts.terms.push_back(
        {characters.repeat(characters.one_of(CodePoints::all()), static_cast<int32_t>(parts.min),
                           static_cast<int32_t>(max))});
  return parts.terms;
}

ExprId SchemaCompiler::string(const Flat& flat) {
  Grammar characters;
  const StringParts parts = string_parts(flat, characters);
  const bool lengths = parts.min > 0 || parts.max != kNoMaximum;
  if (parts.max != kNoMaximum && parts.max < parts.min) return grammar_.nothing();
  if (parts.terms.empty()) {
    if (!lengths) return json_.any_string();
    const int64_t max =
        parts.max == kNoMaximum ? kNoMaximum : std::min(parts.max, std::max(kMaxCount, parts.min));
    return grammar_.sequence(
        {grammar_.bytes("\""),
         grammar_.repeat(json_.any_character(), static_cast<int32_t>(parts.min),
                         static_cast<int32_t>(max)),
         grammar_.bytes("\"")});
  }
  if (parts.terms.size() == 1 && !lengths) return json_.string(characters, parts.terms[0].expr);
  Grammar both;
  const std::vector<CharTerm> terms = string_terms(flat, both);
  return json_.string(intersect(both, terms, "[json schema] #" + pointers_[flat.schemas[0]]));
}

}  // namespace mica::grammar
