// A tokenizer from foreign JSON, or a text through fixed tokenizers. Properties: no crash, and the
// stream decodes to what the whole sequence decodes to. The two engines for regular expressions are
// compared with each other.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/unicode.h"

namespace {

using mica::StreamingDetokenizer;
using mica::Tokenizer;

constexpr const char* kByteLevel =
    R"({"added_tokens":[{"id":0,"content":"<s>","lstrip":true,"rstrip":true,"special":true}],
"normalizer":{"type":"NFKC"},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true},
"post_processor":{"type":"BertProcessing","sep":["a",1],"cls":["b",2]},
"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":"a","vocab":{"a":0,"b":1,"ab":2,
"Ġ":3,"Ġa":4,"Ã":5,"©":6,"Ã©":7},"merges":["a b",["Ġ","a"],["Ã","©"]]}})";
constexpr const char* kSentencePiece =
    R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"Lowercase"},
{"type":"Strip","strip_left":true,"strip_right":true}]},"pre_tokenizer":{"type":"Metaspace",
"replacement":"▁","prepend_scheme":"first","split":true},"decoder":{"type":"Sequence","decoders":[
{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},
{"type":"Strip","content":" ","start":1,"stop":1}]},"model":{"type":"Unigram","unk_id":0,
"byte_fallback":true,"vocab":[["<unk>",0],["▁",-1],["a",-2],["▁a",-2.5],["<0xC3>",-9],["<0xA9>",-9],
["ab",-3.5]]}})";

constexpr const char* kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'ll)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([\p{Lu}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lo}]++(?:x|yz)?|\p{N}{1,3}+|\s++$|^.|\bа)"};

void require(bool condition) {
  if (!condition) std::abort();
}

void run_text(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids = tokenizer.encode(text, true);
  StreamingDetokenizer stream(tokenizer, false);
  std::string all;
  for (int32_t id : ids) {
    const std::string piece = stream.add(id);
    require(mica::tok::is_valid_utf8(piece));
    all += piece;
  }
  all += stream.finish();
  require(all == tokenizer.decode(ids, false));
}

void compare_engines(std::string_view text) {
  std::string valid;
  mica::tok::append_lossy(valid, text, false);
  using mica::tok::Regex;
  using mica::tok::RegexChoice;
  static const std::array<Regex, 3> kFast = {Regex(kPatterns[0]), Regex(kPatterns[1]),
                                             Regex(kPatterns[2])};
  static const std::array<Regex, 3> kSlow = {Regex(kPatterns[0], RegexChoice::kPcre2),
                                             Regex(kPatterns[1], RegexChoice::kPcre2),
                                             Regex(kPatterns[2], RegexChoice::kPcre2)};
  for (size_t i = 0; i < kFast.size(); i++) {
    std::vector<size_t> fast, slow;
    kFast[i].each_match(valid, [&](size_t b, size_t e) { fast.push_back(b), fast.push_back(e); });
    kSlow[i].each_match(valid, [&](size_t b, size_t e) { slow.push_back(b), slow.push_back(e); });
    require(fast == slow);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static const std::unique_ptr<Tokenizer> byte_level = Tokenizer::from_json(kByteLevel);
  static const std::unique_ptr<Tokenizer> sentence_piece = Tokenizer::from_json(kSentencePiece);
  try {
    if (!input.starts_with('{')) {
      run_text(*byte_level, input);
      run_text(*sentence_piece, input);
      compare_engines(input);
      return 0;
    }
    // The JSON, and behind a NUL the text.
    const size_t end = std::min(input.find('\0'), size);
    const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from_json(input.substr(0, end));
    run_text(*tokenizer,
             end < size ? input.substr(end + 1) : "Hello, <s> w\xC3\xB6rld 123 \xF0\x9F");
    for (int32_t id = 0; id < 3; id++) tokenizer->token_bytes(id);
  } catch (const mica::Error&) {
  }
  return 0;
}
