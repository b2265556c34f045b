#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "text/tokenizer/load_parts.h"

namespace mica::tok {
namespace {

// {"token": id, …}. The walk is written on simdjson itself: it visits a quarter of a million
// members.
Vocab load_vocab(const JsonView& json) {
  simdjson::dom::object members;
  if (json.element().get(members) != simdjson::SUCCESS) json.fail("an object of token: id");
  size_t bytes = 0, count = 0;
  for (auto [key, value] : members) bytes += key.size(), count++;
  Vocab vocab;
  vocab.reserve(count, bytes);
  for (auto [key, value] : members) {
    int64_t id;
    if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= kMaxTokenId)
      throw Error(ErrorKind::kCheckpoint,
                  "[tokenizer] {}: expected ids from 0 to {}, found {} for the token '{}'",
                  json.where(), kMaxTokenId - 1, simdjson::minify(value), key);
    vocab.add(key, static_cast<int32_t>(id));
  }
  return vocab;
}

Merge merge_of_string(std::string_view text, const JsonView& json, size_t index) {
  const size_t blank = text.find(' ');
  if (blank == std::string_view::npos || text.find(' ', blank + 1) != std::string_view::npos)
    throw Error(ErrorKind::kCheckpoint,
                "[tokenizer] {}[{}]: expected two tokens with one blank between, found '{}'",
                json.where(), index, text);
  return {text.substr(0, blank), text.substr(blank + 1)};
}

// ["a b", …] or [["a", "b"], …].
std::vector<Merge> load_merges(const JsonView& json) {
  simdjson::dom::array items;
  if (json.element().get(items) != simdjson::SUCCESS) json.fail("an array of merges");
  std::vector<Merge> merges;
  merges.reserve(items.size());
  size_t index = 0;
  for (simdjson::dom::element item : items) {
    std::string_view text;
    simdjson::dom::array pair;
    if (item.get(text) == simdjson::SUCCESS) {
      if (!text.starts_with("#version")) merges.push_back(merge_of_string(text, json, index));
    } else if (item.get(pair) == simdjson::SUCCESS) {
      std::array<std::string_view, 2> parts;
      size_t count = 0;
      for (simdjson::dom::element part : pair) {
        if (count == 2 || part.get(parts[count]) != simdjson::SUCCESS) {
          count = 3;
          break;
        }
        count++;
      }
      if (count != 2) JsonView(item, fmt::format("{}[{}]", json.where(), index)).fail("two tokens");
      merges.push_back({parts[0], parts[1]});
    } else {
      JsonView(item, fmt::format("{}[{}]", json.where(), index)).fail("a merge");
    }
    index++;
  }
  return merges;
}

std::unique_ptr<Model> load_bpe(const JsonView& json) {
  BpeOptions options;
  if (auto token = json.find("unk_token")) options.unk_token = std::string(token->string());
  options.continuing_subword_prefix = json.string_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = json.string_or("end_of_word_suffix", "");
  options.fuse_unk = json.boolean_or("fuse_unk", false);
  options.byte_fallback = json.boolean_or("byte_fallback", false);
  options.ignore_merges = json.boolean_or("ignore_merges", false);
  return make_bpe(load_vocab(json.at("vocab")), load_merges(json.at("merges")), std::move(options));
}

// The reference reads a number as (its digits as an integer) / 10^n in doubles, up to 2 ulp beside
// the nearest double. Scores must agree to the bit: segmentations of equal score are common.
double reference_number(double nearest) {
  char text[64];
  const char* const end =
      std::to_chars(text, text + sizeof text, nearest, std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0;
  bool negative = false, fraction = false;
  for (const char* p = text; p != end; p++) {
    if (*p == 'e') {
      exponent += std::atoi(std::string(p + 1, end).c_str());
      break;
    }
    if (*p == '-') {
      negative = true;
    } else if (*p == '.') {
      fraction = true;
    } else if (*p >= '0' && *p <= '9') {
      digits = digits * 10 + static_cast<uint64_t>(*p - '0');
      exponent -= fraction;
    } else {
      return nearest;  // not finite
    }
  }
  constexpr int kExact = 22;  // 10^22 is the last power of ten that a double holds exactly
  if (exponent > kExact || exponent < -kExact) return nearest;
  double power = 1;
  for (int i = 0; i < std::abs(exponent); i++) power *= 10;
  const double value = static_cast<double>(digits);
  const double result = exponent < 0 ? value / power : value * power;
  return negative ? -result : result;
}

std::unique_ptr<Model> load_unigram(const JsonView& json) {
  std::vector<UnigramPiece> pieces;
  const JsonView vocab = json.at("vocab");
  simdjson::dom::array items;
  if (vocab.element().get(items) != simdjson::SUCCESS) vocab.fail("an array of [token, score]");
  for (simdjson::dom::element item : items) {
    simdjson::dom::element token, score;
    std::string_view text;
    double value = 0;
    if (item.at(0).get(token) != simdjson::SUCCESS || token.get(text) != simdjson::SUCCESS ||
        item.at(1).get(score) != simdjson::SUCCESS || score.get(value) != simdjson::SUCCESS)
      JsonView(item, fmt::format("{}[{}]", vocab.where(), pieces.size())).fail("[token, score]");
    pieces.push_back({std::string(text), reference_number(value)});
  }
  if (static_cast<int64_t>(pieces.size()) >= kMaxTokenId) vocab.fail("fewer pieces");
  std::optional<int32_t> unk_id;
  if (auto id = json.find("unk_id"))
    unk_id = static_cast<int32_t>(id->integer(static_cast<int64_t>(pieces.size())));
  return make_unigram(std::move(pieces), unk_id, json.boolean_or("byte_fallback", false));
}

std::unique_ptr<Model> load_word_piece(const JsonView& json) {
  WordPieceOptions options;
  options.unk_token = json.string_or("unk_token", options.unk_token);
  options.continuing_subword_prefix =
      json.string_or("continuing_subword_prefix", options.continuing_subword_prefix);
  if (auto limit = json.find("max_input_chars_per_word"))
    options.max_input_chars_per_word = static_cast<size_t>(limit->integer(int64_t{1} << 40));
  return make_word_piece(load_vocab(json.at("vocab")), std::move(options));
}

// Old files have no type; their members tell.
std::string guess_type(const JsonView& json) {
  if (json.find("merges")) return "BPE";
  if (json.at("vocab").is_array()) return "Unigram";
  return json.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

}  // namespace

std::unique_ptr<Model> load_model(const JsonView& json) {
  if (!json.is_object()) json.fail("an object");
  const auto type = json.find("type");
  const std::string name = type ? std::string(type->string()) : guess_type(json);
  if (name == "BPE") return load_bpe(json);
  if (name == "Unigram") return load_unigram(json);
  if (name == "WordPiece") return load_word_piece(json);
  if (name == "WordLevel")
    return make_word_level(load_vocab(json.at("vocab")), json.string_or("unk_token", "<unk>"));
  type->fail("BPE, Unigram, WordPiece or WordLevel");
}

}  // namespace mica::tok
