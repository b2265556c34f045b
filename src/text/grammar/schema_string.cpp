// Strings: lengths, patterns and formats.
#include <algorithm>

#include "base/error.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

// Lengths beside a pattern; a larger maxLength means this.
constexpr int64_t kMaxPatternLength = 1000;

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
    if (keyword(*schema, "minLength"))
      parts.min = std::max(parts.min, count(*schema, "minLength"));
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
    if (!known)
      fail(*schema, "format", "the format " + format->dump() + " is not supported");
    parts.terms.push_back({parse_regex(characters, known, false, "[json schema] format")});
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
  const int64_t max =
      parts.max == kNoMaximum ? kNoMaximum : std::min(parts.max, std::max(kMaxPatternLength, parts.min));
  if (max != kNoMaximum && max < parts.min) return {{characters.nothing()}};
  if (parts.min > 0 || max != kNoMaximum)
    parts.terms.push_back({characters.repeat(characters.one_of(CodePoints::all()),
                                             static_cast<int32_t>(parts.min),
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
    return grammar_.sequence({grammar_.bytes("\""),
                              grammar_.repeat(json_.any_character(), static_cast<int32_t>(parts.min),
                                              static_cast<int32_t>(max)),
                              grammar_.bytes("\"")});
  }
  if (parts.terms.size() == 1 && !lengths) return json_.string(characters, parts.terms[0].expr);
  Grammar both;
  const std::vector<CharTerm> terms = string_terms(flat, both);
  return json_.string(intersect(both, terms, "[json schema] #" + pointers_[flat.schemas[0]]));
}

// RFC 3339, 4122, 5321, 791, 4291, 3986, 1123, in the parts that a regular expression can say; each
// text is valid in its format, not every valid text is one.
const char* format_pattern(const std::string& format) {
#define MICA_DAY                                                                            \
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|"  \
  "[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])" \
  "|(?:[02468][048]|[13579][26])00)-02-29)"
#define MICA_TIME                                                                   \
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]" \
  "|2[0-3]):[0-5][0-9])"
#define MICA_OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define MICA_IPV4 MICA_OCTET "(?:\\." MICA_OCTET "){3}"
#define MICA_LABEL "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}"
#define MICA_URI_CHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define MICA_H16 "[0-9A-Fa-f]{1,4}"
  static const std::map<std::string, const char*> patterns{
      {"date", MICA_DAY},
      {"time", MICA_TIME},
      {"date-time", MICA_DAY "[Tt]" MICA_TIME},
      {"duration",
       "P(?:[0-9]{1,9}W|(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|"
       "[0-9]{1,9}D)(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
       "[0-9]{1,9}S))?|T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
       "[0-9]{1,9}S))"},
      {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
      {"email", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,32}(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}){0,2}"
                "@" MICA_LABEL "(?:\\." MICA_LABEL "){0,3}"},
      {"hostname", MICA_LABEL "(?:\\." MICA_LABEL "){0,3}"},
      {"ipv4", MICA_IPV4},
      {"ipv6",
       "(?:" MICA_H16 ":){7}" MICA_H16 "|(?:" MICA_H16 ":){1,7}:|(?:" MICA_H16 ":){1,6}:" MICA_H16
       "|(?:" MICA_H16 ":){1,5}(?::" MICA_H16 "){2}|(?:" MICA_H16 ":){1,4}(?::" MICA_H16
       "){3}|(?:" MICA_H16 ":){1,3}(?::" MICA_H16 "){4}|(?:" MICA_H16 ":){1,2}(?::" MICA_H16
       "){5}|" MICA_H16 ":(?::" MICA_H16 "){6}|:(?::" MICA_H16 "){1,7}|::"},
      {"uri", "[A-Za-z][A-Za-z0-9+.-]{0,20}:(?://" MICA_LABEL "(?:\\." MICA_LABEL
              "){0,4}(?::[0-9]{1,5})?)?(?:/" MICA_URI_CHAR "*)*(?:\\?(?:" MICA_URI_CHAR
              "|[/?])*)?(?:#(?:" MICA_URI_CHAR "|[/?])*)?"},
  };
#undef MICA_DAY
#undef MICA_TIME
#undef MICA_OCTET
#undef MICA_IPV4
#undef MICA_LABEL
#undef MICA_URI_CHAR
#undef MICA_H16
  const auto it = patterns.find(format);
  return it == patterns.end() ? nullptr : it->second;
}

}  // namespace mica::grammar
