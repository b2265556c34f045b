#include "text/tokenizer/load_parts.h"

#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

std::string_view type_of(const JsonView& json) {
  return json.at("type").string();
}

void check_depth(const JsonView& json, int depth) {
  if (depth > kMaxPartDepth)
    throw Error(ErrorKind::kCheckpoint, "[tokenizer] {}: expected at most {} levels of Sequence",
                json.where(), kMaxPartDepth);
}

char32_t single_char(const JsonView& json) {
  const std::string_view text = json.string();
  if (text.empty() || utf8_length(text[0]) != text.size()) json.fail("one character");
  uint32_t length;
  return decode_utf8(text.data(), length);
}

struct Pattern {
  std::string text;
  bool is_regex;
};

// {"String": "x"} or {"Regex": "x"}.
Pattern load_pattern(const JsonView& json) {
  if (json.is_string()) return {std::string(json.string()), false};
  if (auto text = json.find("String")) return {std::string(text->string()), false};
  if (auto regex = json.find("Regex")) return {std::string(regex->string()), true};
  json.fail("{\"String\": …} or {\"Regex\": …}");
}

SplitBehavior load_behavior(const JsonView& json) {
  const std::string_view name = json.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  json.fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

PrependScheme load_prepend_scheme(const JsonView& json) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (auto name = json.find("prepend_scheme")) {
    if (name->string() == "first")
      scheme = PrependScheme::kFirst;
    else if (name->string() == "never")
      scheme = PrependScheme::kNever;
    else if (name->string() != "always")
      name->fail("first, never or always");
  }
  // Files from before prepend_scheme say add_prefix_space.
  if (!json.boolean_or("add_prefix_space", true)) scheme = PrependScheme::kNever;
  return scheme;
}

std::string decode_base64(const JsonView& json) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : json.string()) {
    if (c == '=') break;
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) json.fail("base64");
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((count += 6) >= 8) out.push_back(static_cast<char>(bits >> (count -= 8) & 0xFF));
  }
  return out;
}

template <typename Part, typename Load>
std::vector<Part> load_list(const JsonView& json, std::string_view key, Load load) {
  std::vector<Part> parts;
  json.at(key).each_item([&](const JsonView& item) { parts.push_back(load(item)); });
  return parts;
}

int32_t load_id(const JsonView& json) {
  return static_cast<int32_t>(json.integer(kMaxTokenId));
}

// ["[SEP]", 102]
int32_t load_token_pair(const JsonView& json) {
  std::optional<int32_t> id;
  size_t count = 0;
  json.each_item([&](const JsonView& item) {
    if (count++ == 1) id = load_id(item);
  });
  if (!id) json.fail("[token, id]");
  return *id;
}

Template load_template(const JsonView& json, const JsonView& special_tokens) {
  Template out;
  json.each_item([&](const JsonView& item) {
    TemplatePiece piece;
    if (auto sequence = item.find("Sequence")) {
      const JsonView id = sequence->at("id");
      if (id.string() != "A" && id.string() != "B") id.fail("A or B");
      piece.sequence = id.string() == "A" ? 0 : 1;
    } else {
      const JsonView token = special_tokens.at(item.at("SpecialToken").at("id").string());
      token.at("ids").each_item([&](const JsonView& id) { piece.ids.push_back(load_id(id)); });
    }
    out.push_back(std::move(piece));
  });
  return out;
}

}  // namespace

NormalizerPtr load_normalizer(const JsonView& json, int depth) {
  check_depth(json, depth);
  const std::string_view type = type_of(json);
  if (type == "Sequence")
    return make_normalizer_sequence(load_list<NormalizerPtr>(
        json, "normalizers",
        [&](const JsonView& part) { return load_normalizer(part, depth + 1); }));
  if (type == "NFC") return make_normal_form(NormalForm::kNfc);
  if (type == "NFD") return make_normal_form(NormalForm::kNfd);
  if (type == "NFKC") return make_normal_form(NormalForm::kNfkc);
  if (type == "NFKD") return make_normal_form(NormalForm::kNfkd);
  if (type == "Lowercase") return make_lowercase();
  if (type == "Prepend") return make_prepend(std::string(json.at("prepend").string()));
  if (type == "StripAccents") return make_strip_accents();
  if (type == "Nmt") return make_nmt();
  if (type == "ByteLevel") return make_byte_level_normalizer();
  if (type == "Strip")
    return make_strip_normalizer(json.at("strip_left").boolean(), json.at("strip_right").boolean());
  if (type == "Precompiled") {
    auto charsmap = json.find("precompiled_charsmap");
    return charsmap && !charsmap->string().empty() ? make_precompiled(decode_base64(*charsmap))
                                                   : make_normalizer_sequence({});
  }
  if (type == "Replace") {
    Pattern pattern = load_pattern(json.at("pattern"));
    return make_replace_normalizer(std::move(pattern.text), pattern.is_regex,
                                   std::string(json.at("content").string()));
  }
  if (type == "BertNormalizer" || type == "Bert") {
    BertNormalizerOptions options;
    options.clean_text = json.boolean_or("clean_text", true);
    options.handle_chinese_chars = json.boolean_or("handle_chinese_chars", true);
    options.lowercase = json.boolean_or("lowercase", true);
    options.strip_accents = json.boolean_or("strip_accents", options.lowercase);
    return make_bert_normalizer(options);
  }
  json.at("type").fail("the type of a normalizer");
}

PreTokenizerPtr load_pre_tokenizer(const JsonView& json, int depth) {
  check_depth(json, depth);
  const std::string_view type = type_of(json);
  if (type == "Sequence")
    return make_pre_tokenizer_sequence(load_list<PreTokenizerPtr>(
        json, "pretokenizers",
        [&](const JsonView& part) { return load_pre_tokenizer(part, depth + 1); }));
  if (type == "ByteLevel")
    return make_byte_level(json.boolean_or("add_prefix_space", true),
                           json.boolean_or("use_regex", true));
  if (type == "Split") {
    Pattern pattern = load_pattern(json.at("pattern"));
    return make_split(std::move(pattern.text), pattern.is_regex, load_behavior(json.at("behavior")),
                      json.boolean_or("invert", false));
  }
  if (type == "Metaspace")
    return make_metaspace(single_char(json.at("replacement")), load_prepend_scheme(json),
                          json.boolean_or("split", true));
  if (type == "Digits") return make_digits(json.boolean_or("individual_digits", false));
  if (type == "Punctuation") {
    auto behavior = json.find("behavior");
    return make_punctuation(behavior ? load_behavior(*behavior) : SplitBehavior::kIsolated);
  }
  if (type == "Whitespace") return make_whitespace();
  if (type == "WhitespaceSplit") return make_whitespace_split();
  if (type == "BertPreTokenizer") return make_bert_pre_tokenizer();
  if (type == "UnicodeScripts") return make_unicode_scripts();
  if (type == "CharDelimiterSplit" || type == "Delimiter")
    return make_char_delimiter(single_char(json.at("delimiter")));
  if (type == "FixedLength") {
    auto length = json.find("length");
    const int64_t chars = length ? length->integer(int64_t{1} << 31) : 5;
    if (chars == 0) length->fail("a length above 0");
    return make_fixed_length(static_cast<size_t>(chars));
  }
  json.at("type").fail("the type of a pre-tokenizer");
}

PostProcessorPtr load_post_processor(const JsonView& json, int depth) {
  check_depth(json, depth);
  const std::string_view type = type_of(json);
  if (type == "Sequence")
    return make_post_processor_sequence(load_list<PostProcessorPtr>(
        json, "processors",
        [&](const JsonView& part) { return load_post_processor(part, depth + 1); }));
  if (type == "ByteLevel") return make_post_processor_sequence({});  // changes offsets only
  if (type == "TemplateProcessing") {
    const JsonView tokens = json.at("special_tokens");
    if (!tokens.is_object()) tokens.fail("an object");
    return make_template(load_template(json.at("single"), tokens),
                         load_template(json.at("pair"), tokens));
  }
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return make_cls_sep(load_token_pair(json.at("cls")), load_token_pair(json.at("sep")),
                        type == "RobertaProcessing");
  json.at("type").fail("the type of a post-processor");
}

DecoderPtr load_decoder(const JsonView& json, int depth) {
  check_depth(json, depth);
  const std::string_view type = type_of(json);
  if (type == "Sequence")
    return make_decoder_sequence(load_list<DecoderPtr>(
        json, "decoders", [&](const JsonView& part) { return load_decoder(part, depth + 1); }));
  if (type == "ByteLevel") return make_byte_level_decoder();
  if (type == "ByteFallback") return make_byte_fallback_decoder();
  if (type == "Fuse") return make_fuse_decoder();
  if (type == "Replace") {
    Pattern pattern = load_pattern(json.at("pattern"));
    return make_replace_decoder(std::move(pattern.text), pattern.is_regex,
                                std::string(json.at("content").string()));
  }
  if (type == "Strip") {
    constexpr int64_t kLimit = int64_t{1} << 31;
    return make_strip_decoder(single_char(json.at("content")),
                              static_cast<size_t>(json.at("start").integer(kLimit)),
                              static_cast<size_t>(json.at("stop").integer(kLimit)));
  }
  if (type == "Metaspace")
    return make_metaspace_decoder(single_char(json.at("replacement")),
                                  load_prepend_scheme(json) != PrependScheme::kNever);
  if (type == "WordPiece")
    return make_word_piece_decoder(json.string_or("prefix", "##"),
                                   json.boolean_or("cleanup", true));
  if (type == "BPEDecoder") return make_bpe_decoder(json.string_or("suffix", "</w>"));
  if (type == "CTC")
    return make_ctc_decoder(json.string_or("pad_token", "<pad>"),
                            json.string_or("word_delimiter_token", "|"),
                            json.boolean_or("cleanup", true));
  json.at("type").fail("the type of a decoder");
}

AddedToken load_added_token(const JsonView& json) {
  AddedToken token;
  token.content = json.at("content").string();
  token.single_word = json.boolean_or("single_word", false);
  token.lstrip = json.boolean_or("lstrip", false);
  token.rstrip = json.boolean_or("rstrip", false);
  token.special = json.boolean_or("special", false);
  token.normalized = json.boolean_or("normalized", !token.special);
  return token;
}

}  // namespace mica::tok
